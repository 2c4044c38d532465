"""FHIR dates and periods as instants: when a relation, a permission or an emergency begins and ends."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

_CHINA = timezone(timedelta(hours=8))


def instant_of(text: object, *, end: bool = False) -> int | None:
    """UTC ms of a FHIR date or dateTime; `end`: the last moment that a partial one covers."""
    if not isinstance(text, str):
        return None
    try:
        if len(text) == 4:
            moment = datetime(int(text) + (1 if end else 0), 1, 1, tzinfo=_CHINA)
        elif len(text) == 7:
            year, month = int(text[:4]), int(text[5:])
            moment = datetime(year + (month == 12 and end), (month % 12 + 1) if end else month, 1, tzinfo=_CHINA)
        elif len(text) == 10:
            moment = datetime.fromisoformat(text).replace(tzinfo=_CHINA) + timedelta(days=1 if end else 0)
        else:
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=_CHINA)
    except ValueError:
        return None
    return int(moment.astimezone(UTC).timestamp() * 1000)


def bounds(period: object) -> tuple[int | None, int | None]:
    """Start and end of a Period; None for what it does not state."""
    stated = period if isinstance(period, Mapping) else {}
    return instant_of(stated.get("start")), instant_of(stated.get("end"), end=True)
