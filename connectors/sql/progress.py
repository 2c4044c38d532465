"""How far one view was read: the state behind a cursor.

A scan reads a view in order of (changed_at, key) up to the latest change that was visible when it began. A page's cursor holds
the place it reached. A row's changed_at is written before its commit, so the next scan starts `overlap` earlier and skips what
it knows by digest. Once the mark has stood for longer than `overlap` by our own clock, every writer that could have stamped an
earlier time has committed: the view is settled and the next scan starts behind the mark. Only durations of our own clock are
compared, so a source whose clock or zone is wrong loses nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

Stamp = datetime | date | str
"""A change time as the driver gives it: SQLite has text, in whatever ISO shape the source writes."""

NOISE = 2.0  # seconds between two looks that are no step of a clock: MySQL's own clock shows whole seconds
FURTHEST_BACK = 30 * 86_400.0
AHEAD = timedelta(days=1)  # a change time further ahead of our clock is a slip; it is read, but the mark does not follow it


class NotATime(ValueError):
    """The column declared as changed_at holds something that is no time."""


@dataclass(frozen=True, slots=True)
class Progress:
    mark: Stamp | None = None  # everything up to here was read once
    marked_at: datetime | None = None  # when, by our clock, the mark got there
    settled: bool = False  # nothing at or before the mark can appear any more
    until: Stamp | None = None  # a scan is under way up to this change …
    after: tuple[Any, ...] | None = None  # … and has come to this (changed_at, *key)
    here: datetime | None = None  # when we last looked, by our clock …
    there: datetime | None = None  # … and by the source's
    back: float = 0  # seconds by which the source's clock was set back: the scan begins so much earlier
    left: float = 0  # what of it the source's clock has not yet made up for
    known: dict[str, str] = field(default_factory=dict)  # rows of the overlap: digest of the key → digest of the row
    fresh: dict[str, str] = field(default_factory=dict)  # the same, gathered by the scan under way for the next one

    def looked(self, *, here: datetime, there: datetime) -> Progress:
        """At a look: a source's clock that went less far than ours since the last one was set back between them.

        Rows written since then have times before the mark, until its clock has made up for the step.
        """
        back = left = self.left
        if self.here is not None and self.there is not None:
            passed = (there - self.there).total_seconds()
            step = (here - self.here).total_seconds() - passed
            back = min(self.left + (step if step > NOISE else 0), FURTHEST_BACK)
            left = max(0.0, back - max(0.0, passed))
        settled = self.settled and not back
        return replace(self, here=here, there=there, back=back, left=left, settled=settled)

    def begin(self, until: Stamp) -> Progress:
        return replace(self, until=until, after=None, fresh={})

    def end(self, until: Stamp, now: datetime, overlap: timedelta) -> Progress:
        """The scan has come to its end: the mark moves, and stands still once nothing can come before it."""
        mark = clamp(until, now)
        clocks = Progress(here=self.here, there=self.there, back=self.back, left=self.left)
        if mark != self.mark or self.marked_at is None:
            return replace(clocks, mark=mark, marked_at=now, known=self.fresh)
        settled = now - self.marked_at > overlap and as_time(mark) <= latest(mark, now) and not self.left
        return replace(clocks, mark=mark, marked_at=self.marked_at, settled=settled, known={} if settled else self.fresh)


def latest(like: Stamp, now: datetime) -> datetime:
    return now if as_time(like).tzinfo else now.replace(tzinfo=None)


def clamp(stamp: Stamp, now: datetime) -> Stamp:
    limit = latest(stamp, now) + AHEAD
    return stamp if as_time(stamp) <= limit else shaped(limit, stamp)


def as_time(stamp: Stamp) -> datetime:
    """Raise NotATime."""
    if isinstance(stamp, datetime):
        return stamp
    if isinstance(stamp, date):
        return datetime(stamp.year, stamp.month, stamp.day)  # noqa: DTZ001  the source's own wall time
    if isinstance(stamp, str):
        try:
            return datetime.fromisoformat(stamp.strip())
        except ValueError:
            raise NotATime("text that is not an ISO date or time") from None
    raise NotATime(type(stamp).__name__)


def shaped(time: datetime, like: Stamp) -> Stamp:
    """A time in the shape of another stamp, so that the database compares like with like."""
    if isinstance(like, datetime):
        return time
    if isinstance(like, date):
        return time.date()
    text = like.strip()
    if len(text) <= len("2024-05-01"):
        return time.date().isoformat()
    return time.isoformat(sep="T" if text[10] == "T" else " ", timespec="seconds")


def earlier(stamp: Stamp, overlap: timedelta) -> Stamp:
    return shaped(as_time(stamp) - overlap, stamp)


def digest(value: bytes) -> str:
    return hashlib.blake2b(value, digest_size=9).hexdigest()


# A cursor is text. These types come back as what they were, for a driver compares 2024-05-01 and '2024-05-01' differently.
def plain_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"datetime": value.isoformat()}
    if isinstance(value, date):
        return {"date": value.isoformat()}
    if isinstance(value, tuple):
        return [plain_value(v) for v in value]
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": value.hex()}
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    if value is None or isinstance(value, (str, int, float)):
        return value
    return {"text": str(value)}  # a UUID: the driver takes its text for the value it is


READERS: dict[str, Callable[[str], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "bytes": bytes.fromhex,
    "decimal": Decimal,
    "text": str,
}


def typed_value(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(typed_value(v) for v in value)
    if isinstance(value, dict):
        ((kind, text),) = value.items()
        return READERS[kind](text)
    return value


def to_text(progress: Progress) -> str:
    state = {
        "mark": plain_value(progress.mark),
        "marked_at": plain_value(progress.marked_at),
        "settled": progress.settled,
        "until": plain_value(progress.until),
        "after": plain_value(progress.after),
        "here": plain_value(progress.here),
        "there": plain_value(progress.there),
        "back": progress.back or None,
        "left": progress.left or None,
    }
    kept = {name: value for name, value in state.items() if value not in (None, False)}
    for name in ("known", "fresh"):
        if rows := getattr(progress, name):
            kept[name] = rows
    return msgspec.json.encode(kept).decode()


def from_text(text: str) -> Progress:
    state = msgspec.json.decode(text) if text else {}
    rows = {name: state.pop(name, {}) for name in ("known", "fresh")}
    return Progress(**{name: typed_value(value) for name, value in state.items()}, **rows)
