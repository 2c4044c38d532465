"""Check characters by the standards' own samples, and what is said of a number that is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.directory.numbers import USCC, organization_check, organization_code_problem, uscc_check, uscc_problem, ws218_problem

SAMPLES = ("12330000470051726F", "11500000MB1670604W", "91350100M000100Y43")
codes = st.builds(
    lambda head, body: (code := f"{head}{body}{organization_check(body)}") + uscc_check(code),
    st.from_regex("[159][1239]339900", fullmatch=True),
    st.text("0123456789ABCDEFGHJKLMNPQRTUWXY", min_size=8, max_size=8),
)


@pytest.mark.parametrize("code", SAMPLES)
def test_the_samples_are_right(code: str) -> None:
    assert uscc_problem(code) == ""
    assert organization_code_problem(code[8:17]) == ""
    assert ws218_problem(f"{code[8:17]}33010012A10010") == "it has 23 characters, not 22"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("12330000470051726G", "18th"),
        ("12330000470052726F", "characters 9 to 17"),
        ("12330000740051726F", "characters 9 and 10 swapped"),
        ("91350100M000100Y34", "characters 17 and 18 swapped"),
        ("123300004700517O6F", "character 16, O, does not occur in such a code, is it 0?"),
        ("1233000047005172", "16 characters, not 18"),
        ("12990000470051726F", "no area"),
        ("", "0 characters"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(wrong: str, said: str) -> None:
    assert said in uscc_problem(wrong)


@settings(max_examples=25)
@given(codes, st.integers(0, 17), st.sampled_from(USCC))
def test_no_single_slip_passes(code: str, place: int, other: str) -> None:
    assert uscc_problem(code) == ""
    slipped = code[:place] + other + code[place + 1 :]
    assert (uscc_problem(slipped) == "") == (slipped == code)


def test_organisation_codes() -> None:
    assert organization_code_problem("47005172-6") == ""
    assert "would be 6, it is 7" in organization_code_problem("470051727")
    assert "organisation code" in ws218_problem("470051727330100120A1001"[:22])
    assert ws218_problem("4700517263301001200A10") == ""
