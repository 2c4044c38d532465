"""Implicit precision, and comparing by it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.search.entries import Date, Number, Quantity, Reference, String, Token, Uri
from hub.search.match import matches
from hub.search.numbers import UNBOUNDED, between, compared, number_range, written
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
def test_a_number_lies_within_its_precision(number):
    value, low, high = written(number)
    assert low < value == float(number) < high


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
        return matches(Number(*written(entry)), NumberValue(prefix, float(asked), low, high))

    assert holds("gt") == holds("sa") == (entry > asked)
    assert holds("lt") == holds("eb") == (entry < asked)
    assert holds("ge") == (entry >= asked)
    assert holds("le") == (entry <= asked)
    assert holds("eq") != holds("ne")


def test_a_comparator_opens_one_end():
    assert compared(Decimal(5), "<=") == [(-UNBOUNDED, -UNBOUNDED, 5), (5, -UNBOUNDED, 5)]
    assert compared(Decimal(5), ">=") == [(5, 5, UNBOUNDED), (UNBOUNDED, 5, UNBOUNDED)]
    assert compared(Decimal(5), "") == [(5, 4.5, 5.5)]
    assert compared(Decimal(5), "<")[1][0] < 5 < compared(Decimal(5), ">")[0][0]
    assert compared(Decimal(0), "<")[1][0] < 0
    assert between(-UNBOUNDED, UNBOUNDED) == []
    assert between(5, 5) == [(5, 5, 5)]


@pytest.mark.parametrize(
    ("prefix", "number", "holds"),
    [  # of the range from 10 to 20. https://hl7.org/fhir/R4/search.html#prefix
        *(("eq", 15, False), ("eq", 10, False), ("ne", 15, True), ("ap", 15, True), ("ap", 25, False)),
        *(("gt", 19, True), ("gt", 20, False), ("lt", 11, True), ("lt", 10, False), ("ge", 20, True), ("le", 10, True)),
        *(("sa", 9, True), ("sa", 10, False), ("sa", 15, False), ("eb", 21, True), ("eb", 20, False), ("eb", 15, False)),
    ],
)
def test_a_range_is_compared_by_its_ends(prefix, number, holds):
    asked = NumberValue(prefix, number, number - 0.5, number + 0.5)
    assert any(matches(Number(*span), asked) for span in between(10, 20)) is holds


def test_a_range_that_lies_within_what_is_asked_equals_it():
    hundred = NumberValue("eq", 100, 95, 105)
    assert all(matches(Number(*span), hundred) for span in between(98, 102))


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
    assert matches(Quantity(5, 4.5, 5.5, "s", "mg"), QuantityValue(five, None, "mg"))
    assert not matches(Quantity(5, 4.5, 5.5, "s", "mg"), QuantityValue(five, "s", "g"))
