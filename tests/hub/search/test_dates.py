"""A FHIR date covers an interval; nothing is added to what is written."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.search.dates import interval


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("1970", "1970-01-01T00:00:00+08:00", "1971-01-01T00:00:00+08:00"),
        ("1970-03", "1970-03-01T00:00:00+08:00", "1970-04-01T00:00:00+08:00"),
        ("2024-12", "2024-12-01T00:00:00+08:00", "2025-01-01T00:00:00+08:00"),
        ("2024-02-29", "2024-02-29T00:00:00+08:00", "2024-03-01T00:00:00+08:00"),
        ("2024-02-29T10:05", "2024-02-29T10:05:00+08:00", "2024-02-29T10:06:00+08:00"),
        ("2024-02-29T10:05:07", "2024-02-29T10:05:07+08:00", "2024-02-29T10:05:08+08:00"),
        ("2024-02-29T10:05:07Z", "2024-02-29T10:05:07+00:00", "2024-02-29T10:05:08+00:00"),
        ("2024-02-29T10:05:07-03:30", "2024-02-29T10:05:07-03:30", "2024-02-29T10:05:08-03:30"),
        ("2024-02-29T10:05:07.5Z", "2024-02-29T10:05:07.500+00:00", "2024-02-29T10:05:07.600+00:00"),
        ("2024-02-29T10:05:07.123Z", "2024-02-29T10:05:07.123+00:00", "2024-02-29T10:05:07.124+00:00"),
        ("2024-02-29T10:05:07.1239Z", "2024-02-29T10:05:07.123+00:00", "2024-02-29T10:05:07.124+00:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00", "2017-01-01T00:00:01+00:00"),  # a leap second
    ],
)
def test_what_is_written_is_what_it_covers(text, low, high):
    assert interval(text) == (ms(low), ms(high))


@pytest.mark.parametrize(
    "text",
    [
        "", "70", "1970-3", "1970-13", "1970-00", "2023-02-29", "2024-02-30", "2024-01-01T", "2024-01-01T10", "2024-01Z",
        "2024-01-01T24:00:00", "2024-01-01T10:60:00", "2024-01-01T10:00:61", "2024-01-01T10:00:60.5", "2024-01-01 10:00:00",
        "2024-01-01T10:00:00+25:00", "2024-01-01T10:00:00.Z", "２０２４", "0000",
    ],
)  # fmt: skip
def test_what_is_no_fhir_date_is_refused(text):
    with pytest.raises(ValueError, match=r"^(not a FHIR|no such)"):
        interval(text)


def test_the_ends_of_the_calendar_are_dates_too():
    assert interval("0001")[0] < interval("9999-12-31")[1]
    assert interval("9999")[1] == interval("9999-12")[1] == interval("9999-12-31")[1]


def test_a_value_without_zone_lies_in_the_zone_asked_for():
    assert interval("2024-01-01", "Z")[0] - interval("2024-01-01", "+08:00")[0] == 8 * 3_600_000
    with pytest.raises(ValueError, match="zone"):
        interval("2024-01-01", "Asia/Shanghai")


moments = st.datetimes(min_value=datetime(1900, 1, 2), max_value=datetime(2200, 1, 1))  # noqa: DTZ001
offsets = st.integers(-14 * 60, 14 * 60)


@settings(deadline=None)
@given(moments, offsets)
def test_an_instant_with_offset_is_that_instant(moment, minutes):
    stated = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=timezone(timedelta(minutes=minutes)))
    low, high = interval(stated.isoformat(timespec="milliseconds"))
    assert datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=low) == stated
    assert high == low + 1


@settings(deadline=None)
@given(moments)
def test_more_precision_lies_within_less(moment):
    texts = [moment.isoformat(timespec="milliseconds")[:length] for length in (4, 7, 10, 16, 19, 21, 22, 23)]
    intervals = [interval(text) for text in texts]
    for (low, high), (finer_low, finer_high) in pairwise(intervals):
        assert low <= finer_low < finer_high <= high


@settings(deadline=None)
@given(st.dates(min_value=date(1, 1, 1), max_value=date(9999, 12, 30)))
def test_days_follow_each_other_without_gap(day):
    assert interval(day.isoformat())[1] == interval((day + timedelta(days=1)).isoformat())[0]
