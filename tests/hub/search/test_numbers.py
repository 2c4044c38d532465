"""Implicit precision, and comparing by it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.search.entries import Date, Number, Quantity, Reference, String, Token, Uri
from hub.search.match import matches, middle
from hub.search.numbers import UNBOUNDED, compared_range, number_range
from hub.search.query import DateValue, NumberValue, QuantityValue, ReferenceValue, StringValue, TokenValue, UriValue


@pytest.mark.parametrize(
    ("number", "low", "high"),
    [
        ("100", 99.5, 100.5),
        ("100.00", 99.995, 100.005),
        ("5.4", 5.35, 5.45),
        ("5.40", 5.395, 5.405),
        ("1e2", 95, 105),
        ("5.40e-3", 0.005395, 0.005405),
        ("-5.4", -5.45, -5.35),
        ("0", -0.5, 0.5),
        ("0.0", -0.05, 0.05),
    ],
)
def test_the_specification_s_own_examples_and_their_like(number, low, high):
    assert number_range(Decimal(number)) == (low, high)


def test_integers_floats_and_huge_numbers():
    assert number_range(5) == (4.5, 5.5)
    assert number_range(5.4) == (5.35, 5.45)
    assert number_range(Decimal("1e400"))[1] == UNBOUNDED
    with pytest.raises(ValueError, match="number"):
        number_range(Decimal("NaN"))


decimals = st.decimals(min_value=-(10**9), max_value=10**9, allow_nan=False, allow_infinity=False, places=4)


@settings(deadline=None)
@given(decimals)
def test_a_number_lies_within_its_precision_and_in_its_middle(number):
    low, high = number_range(number)
    assert low < float(number) < high
    assert middle(low, high) == float(number)


@settings(deadline=None)
@given(decimals)
def test_more_digits_mean_a_narrower_range(number):
    low, high = number_range(number)
    finer_low, finer_high = number_range(Decimal(f"{number}0"))
    assert low <= finer_low <= finer_high <= high


@settings(deadline=None)
@given(decimals, decimals)
def test_comparing_numbers_is_comparing_numbers(entry, asked):
    low, high = number_range(asked)

    def holds(prefix):
        return matches(Number(*number_range(entry)), NumberValue(prefix, float(asked), low, high))

    assert holds("gt") == holds("sa") == (entry > asked)
    assert holds("lt") == holds("eb") == (entry < asked)
    assert holds("ge") == (entry >= asked)
    assert holds("le") == (entry <= asked)
    assert holds("eq") != holds("ne")


def test_a_comparator_opens_one_end():
    assert compared_range(Decimal(5), "<")[1] == 5
    assert compared_range(Decimal(5), "<")[0] == -UNBOUNDED
    assert compared_range(Decimal(5), "<=")[1] == 5.5
    assert compared_range(Decimal(5), ">")[0] > 5
    assert compared_range(Decimal(5), ">=") == (4.5, UNBOUNDED)


intervals = st.tuples(st.integers(0, 50), st.integers(1, 20)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@settings(deadline=None)
@given(intervals, intervals)
def test_prefixes_of_dates_hang_together(entry, asked):
    holds = {
        prefix: matches(Date(*entry), DateValue(prefix, *asked))
        for prefix in ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
    }
    assert holds["eq"] != holds["ne"]
    assert holds["ge"] == (holds["gt"] or holds["eq"])
    assert holds["le"] == (holds["lt"] or holds["eq"])
    assert holds["sa"] <= holds["gt"]
    assert holds["eb"] <= holds["lt"]
    assert holds["ap"] == (not holds["sa"] and not holds["eb"])
    assert holds["eq"] <= holds["ap"]


def test_the_other_types():
    assert matches(Token("a", "s"), TokenValue(None, "a"))
    assert matches(Token("a", "s"), TokenValue("s", None))
    assert not matches(Token("a", "s"), TokenValue("", "a"))
    assert matches(Reference("Patient", "1"), ReferenceValue("", "1"))
    assert not matches(Reference("Patient", "1"), ReferenceValue("Group", "1"))
    assert matches(String("muller", "Müller"), StringValue("MÜL"))
    assert matches(Uri("urn:a"), UriValue("urn:a"))
    assert not matches(Uri("urn:a"), TokenValue(None, "urn:a"))
    five = NumberValue("eq", 5.0, 4.5, 5.5)
    assert matches(Quantity(4.5, 5.5, "s", "mg"), QuantityValue(five, None, "mg"))
    assert not matches(Quantity(4.5, 5.5, "s", "mg"), QuantityValue(five, "s", "g"))
