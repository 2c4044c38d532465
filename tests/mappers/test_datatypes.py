"""Values as sources write them: what is read, and what is left alone."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappers.base import Issue
from mappers.datatypes import (
    Mark,
    fhir_date,
    fhir_datetime,
    fhir_instant,
    fold_unit,
    id_birth_date,
    id_check,
    identifiers_from_id_number,
    instant,
    parse_quantity,
    read_number,
    reference_range,
    split_mark,
    valid_id_number,
    with_its_unit,
    zone_of,
)
from mappers.identity_keys import organization_id


@pytest.mark.parametrize(
    ("text", "day", "date_time"),
    [
        ("1970", "1970", "1970"),
        ("197003", "1970-03", "1970-03"),
        ("19700301", "1970-03-01", "1970-03-01"),
        ("2024050108", "2024-05-01", "2024-05-01"),
        ("202405010830", "2024-05-01", "2024-05-01T08:30:00+08:00"),
        ("20240501083015.1234-0500", "2024-05-01", "2024-05-01T08:30:15.1234-05:00"),
        ("20240501T083015", "2024-05-01", "2024-05-01T08:30:15+08:00"),
        ("2024-05-01 08:30:15", "2024-05-01", "2024-05-01T08:30:15+08:00"),
        ("2024-05-01T08:30:15Z", "2024-05-01", "2024-05-01T08:30:15Z"),
        ("2024/5/1 8:30", "2024-05-01", "2024-05-01T08:30:00+08:00"),
        ("2024年5月1日", "2024-05-01", "2024-05-01"),
        ("2024-05", "2024-05", "2024-05"),
        ("Aug 15, 1942", "1942-08-15", "1942-08-15"),
        ("August 15 1942", "1942-08-15", "1942-08-15"),
        ("Aux 15, 1942", None, None),
        ("20110613122406637", "2011-06-13", "2011-06-13T12:24:06.637+08:00"),
        ("20240230", None, None),
        ("2024050125", None, None),
        ("00000000", None, None),
        ("", None, None),
    ],
)
def test_dates_keep_their_precision(text: str, day: str | None, date_time: str | None) -> None:
    assert fhir_date(text) == day
    assert fhir_datetime(text, "+08:00") == date_time


def test_an_instant_needs_a_time_and_a_zone_may_have_a_name() -> None:
    assert fhir_instant("20240501", "+08:00") is None
    assert fhir_instant("202407010830", "Asia/Shanghai") == "2024-07-01T08:30:00+08:00"
    assert instant("20240501", "+08:00") == datetime(2024, 4, 30, 16, tzinfo=UTC)
    with pytest.raises(ValueError, match="no time zone"):
        zone_of("Nowhere/Town")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("μmol/L", "umol/L"),
        ("µmol/L", "umol/L"),
        ("umol/l", "umol/L"),
        ("10^9/L", "10*9/L"),
        ("×10⁹/L", "10*9/L"),
        ("10E9/L", "10*9/L"),
        ("G/L", "10*9/L"),
        ("g/L", "g/L"),
        ("10*12/L", "10*12/L"),
        ("IU/L", "[IU]/L"),
        ("U/L", "U/L"),
        ("mIU/L", "m[IU]/L"),
        ("mmHg", "mm[Hg]"),
        ("℃", "Cel"),
        ("次/分", "/min"),
        ("%", "%"),
        ("M", None),
        ("叶", None),
        ("", None),
    ],
)
def test_units_fold_to_ucum_and_keep_their_text(text: str, code: str | None) -> None:
    assert fold_unit(text) == (text, code)


@pytest.mark.parametrize(
    ("text", "value", "comparator"),
    [
        ("72.50", "72.50", ""),
        ("<0.01", "0.01", "<"),
        (">1000", "1000", ">"),
        ("≥ 5", "5", ">="),
        ("＜0.5", "0.5", "<"),
        ("-3", "-3", ""),
        ("−3", "-3", ""),
        ("５．６０", "5.60", ""),
    ],
)
def test_numbers_keep_their_digits(text: str, value: str, comparator: str) -> None:
    number = read_number(text)
    assert number is not None
    assert (str(number.value), number.comparator) == (value, comparator)


@pytest.mark.parametrize("text", ["1+", "阴性(-)", "见报告", "3-5", "1,000", "", "+", "NaN", "Infinity", "١", "1e999"])
def test_what_is_more_or_less_than_a_number_is_none(text: str) -> None:
    assert parse_quantity(text, "g/L") is None


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("5.60 mmol/L", "", "5.60"),
        ("5.6mmol/l", "mmol/L", "5.6"),
        ("<5 COI", "COI", "5"),
        ("45.2%", "", "45.2"),
        ("1a", "", None),  # a genotype, not a year
        ("5.6 g/L", "mmol/L", None),
        ("120/80", "mmHg", None),
        ("1:160", "", None),
    ],
)
def test_a_number_with_its_unit_behind_it(text: str, unit: str, value: str | None) -> None:
    found = with_its_unit(text, unit)
    assert (str(found["value"]) if found else None) == value


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("3.5-5.3", "3.5", "5.3"),
        ("3.5 ～ 5.3", "3.5", "5.3"),
        ("(57--97)", "57", "97"),
        ("-2--1", None, None),  # to -1, or to 1 with two dashes: nobody knows
        ("-2-1", "-2", "1"),
        ("<5.0mmol/L", None, "5.0"),
        ("3.5-5.3 mmol/l", "3.5", "5.3"),
        ("3.5-5.3(成人)", None, None),  # whom it is for is no unit
        ("0-0.1;男", None, None),
        ("<10^5", None, None),
        ("10⁵", None, None),
        ("<5", None, "5"),
        ("≥60", "60", None),
        ("阴性", None, None),
        ("男 3-5", None, None),
        ("5-3", None, None),
    ],
)
def test_reference_ranges(text: str, low: str | None, high: str | None) -> None:
    found = reference_range(text, "mmol/L")
    assert found is not None
    assert found["text"] == text
    edges = {edge: str(found[edge]["value"]) for edge in ("low", "high") if edge in found}
    assert edges == {edge: value for edge, value in (("low", low), ("high", high)) if value}
    assert {found[edge]["code"] for edge in edges} <= {"mmol/L"}
    assert reference_range(" ") is None


@pytest.mark.parametrize(
    ("name", "freed", "mark"),
    [
        ("【全国HR】钾", "钾", Mark("全国HR", "national")),
        ("[浙江HR] 钠", "钠", Mark("浙江HR", "浙江")),
        ("钾【全国HR】", "钾", Mark("全国HR", "national")),
        ("★钾", "钾", Mark("★", "unstated")),
        ("全国HR 钾", "钾", Mark("全国HR", "national")),
        ("鄂HR 钾", "钾", Mark("鄂HR", "鄂")),
        ("钾", "钾", None),
        ("CHR", "CHR", None),
        ("HR", "HR", None),
        ("【急】钾", "【急】钾", None),
    ],
)
def test_marks(name: str, freed: str, mark: Mark | None) -> None:
    assert split_mark(name) == (freed, mark)


NUMBERS = st.builds(
    lambda born, serial: f"339900{born:%Y%m%d}{serial:03d}",
    st.dates(date(1900, 1, 1), date(2024, 1, 1)),
    st.integers(0, 999),
)


@settings(deadline=None)
@given(NUMBERS, st.integers(0, 17), st.integers(1, 9))
def test_a_right_number_is_valid_and_one_wrong_digit_never_is(first17: str, place: int, shift: int) -> None:
    number = first17 + id_check(first17)
    assert valid_id_number(number) == number == valid_id_number(number.lower())
    assert id_birth_date(number).replace("-", "") == number[6:14]
    if number[place].isdigit():
        wrong = number[:place] + str((int(number[place]) + shift) % 10) + number[place + 1 :]
        assert valid_id_number(wrong) is None


def test_id_numbers_become_identifiers_and_a_wrong_one_drives_nothing() -> None:
    issues: list[Issue] = []
    assert id_check("11010519491231002") == "X"
    first17 = "33990019850712044"
    number = first17 + id_check(first17)
    (good,) = identifiers_from_id_number(number, facility="CTY", where="x", issues=issues)
    assert (good["system"], good["value"], issues) == ("urn:oid:2.16.156.10011.1.3", number, [])
    new, old = identifiers_from_id_number(number[:6] + number[8:17], facility="CTY", where="x", issues=issues)
    assert (new["value"], old["system"]) == (number, "urn:hub:CTY:id-15")
    (bad,) = identifiers_from_id_number("123456", facility="CTY", where="PID[1]-19", issues=issues)
    assert bad["system"] == "urn:hub:CTY:unchecked-id"
    assert [(issue.code, issue.where) for issue in issues] == [("check-failed", "PID[1]-19")]
    assert "123456" not in str(issues)
    assert identifiers_from_id_number(" ", facility="CTY", where="x", issues=issues) == []


@settings(deadline=None)
@given(st.text(max_size=30))
def test_no_text_breaks_a_reader(text: str) -> None:
    for reader in (fhir_date, fold_unit, read_number, reference_range, split_mark, valid_id_number):
        reader(text)
    found = parse_quantity(text, "g/L")
    assert found is None or isinstance(found["value"], Decimal)


def test_two_facilities_never_share_an_organization() -> None:
    names = ["CTY", "Ntierprise Clinic", "诊所一", "诊所二", "XYZ诊所", "XYZ医院", "x" * 65, "x" * 66]
    ids = [organization_id(name) for name in names]
    assert ids[:2] == ["CTY", "Ntierprise-Clinic"]
    assert len(set(ids)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", id) for id in ids)


@pytest.mark.parametrize(
    "text", ["20240501103000-5000", "20240501103000+1500", "20240501103000-0860", "00010101", "0001-01-01 00:00:00"]
)
def test_what_is_no_time_on_earth_is_no_date(text: str) -> None:
    assert instant(text, "+08:00") is None
    assert fhir_datetime(text, "+08:00") is None
