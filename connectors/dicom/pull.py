"""Studies of an archive that is asked, some days at a time, until each is here whole: what C-FIND and QIDO-RS pulls have in common.

The cursor names the first day that is not behind us, and of every study since then what the archive said of it when it was taken:
its number of series and instances. A study whose numbers grew is taken again, the journal drops what it has. So a late series, an
archive that was away, or a pull that was killed in the middle of a study costs a repeat and never an instance.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from connectors.base import Cursor, Page, SourceRecord, SourceUnavailable

log = logging.getLogger(__name__)

MAX_REMEMBERED = 50_000  # studies within look_back_days: the cursor holds a line for each


class PullConfig(BaseModel):
    """What holds of every pull of studies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: date | None = None  # the first study date; none: look_back_days before today
    window_days: int = Field(default=7, ge=1, le=366)  # of older studies that one question asks for
    look_back_days: int = Field(default=3, ge=0, le=31)  # studies so recent are looked at again for late series
    stable_seconds: float = Field(default=60, ge=0)  # a study of these days is taken once it did not grow for so long
    chunk: int = Field(default=16, ge=1, le=500)  # instances that are held in memory at one time, and saved together
    max_studies_per_look: int = Field(default=1000, ge=1)  # the next look goes on behind them
    max_instance_bytes: int = Field(default=1 << 30, ge=1024)
    tries: int = Field(default=5, ge=1)  # looks in which fewer instances come than the archive counts, until that is told and left
    every: float = Field(default=60, gt=0)  # seconds between two looks


@dataclass(frozen=True, slots=True)
class Found:
    """A study as the archive lists it; -1 where it does not count."""

    uid: str
    series: int = -1
    instances: int = -1

    @property
    def size(self) -> str:
        return f"{self.series}/{self.instances}"


@dataclass(frozen=True, slots=True)
class Taken:
    """A Part 10 file that came, and what it is called."""

    uid: str
    content: bytes
    hints: Mapping[str, str]


class Archive(Protocol):
    """A PACS that is asked. Each call raises SourceDenied or SourceUnavailable."""

    def check(self) -> None: ...

    def studies(self, first: date, last: date) -> Iterator[Found]:
        """By study date, both days included."""

    def counted(self, study: Found) -> Found:
        """The study with the numbers that the archive has of it now, asked below it where its list does not count."""

    def instances(self, study: str) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Series UID and the UIDs of its instances."""

    def retrieve(self, study: str, series: str, instances: tuple[str, ...]) -> list[Taken] | None:
        """Those that came; None where they go another way (C-MOVE) and all of them arrived. One that the archive cannot give
        is not there, and raises nothing while the archive itself answers.
        """

    def close(self) -> None:
        """Let connections go; the next call makes new ones."""


@dataclass(frozen=True, slots=True)
class State:
    """What is remembered of one study."""

    day: str  # the first of the days that it was asked for with
    size: str  # as taken, or as first seen while it is waited for
    since: float = 0.0  # when it was first seen with this size; 0: it is taken
    tries: int = 0
    got: tuple[str, ...] = ()  # series that are here whole, while the study is being taken

    def words(self) -> list[object]:
        return [self.day, self.size, self.since, self.tries, list(self.got)]

    @classmethod
    def of(cls, words: list[object]) -> State:
        day, size, since, tries, got = words
        return cls(str(day), str(size), float(str(since)), int(str(tries)), tuple(map(str, got if isinstance(got, list) else [])))


class Pull:
    """The Polling connector over an Archive."""

    def __init__(
        self,
        config: PullConfig,
        archive: Archive,
        *,
        source: str,
        facility: str,
        hints: Mapping[str, str],
        clock: Callable[[], datetime],
    ) -> None:
        self.source = source
        self._config = config
        self._archive = archive
        self._facility = facility
        self._hints = dict(hints)
        self._clock = clock
        self._zone = _zone(hints.get("zone", ""))

    def check(self) -> None:
        self._archive.check()

    def done(self, page: Page) -> None:
        """Nothing is put away at the archive."""

    def fetch(self, cursor: Cursor) -> Iterator[Page]:
        """Days from the cursor's on, oldest first; each page carries what is known of every study since then.

        Days that may still change are asked one by one, those before them `window_days` at a time.
        """
        today = self._clock().astimezone(self._zone).date()
        known = {uid: State.of(words) for uid, words in json.loads(cursor.get("studies", "{}")).items()}
        start = self._config.start
        recent = max(today - timedelta(days=self._config.look_back_days), start or date.min)
        day = max(_date(cursor.get("day", "")) or start or recent, start or date.min)
        left = self._config.max_studies_per_look
        try:
            while day <= today:
                last = max(day, min(day + timedelta(days=self._config.window_days), recent) - timedelta(days=1))
                for study in self._archive.studies(day, last):
                    if left <= 0:
                        return
                    if len(known) > MAX_REMEMBERED:
                        raise SourceUnavailable(f"more than {MAX_REMEMBERED} studies in look_back_days: make it less")
                    for page in self._study(study, day, known, recent=day >= recent):
                        yield replace(page, cursor=_cursor(min(_behind(known, day), day, recent), known))
                        left -= not page.records
                day = last + timedelta(days=1)
                yield Page((), _forgetting(known, min(day, recent)))
        finally:
            self._archive.close()

    def _study(self, study: Found, day: date, known: dict[str, State], *, recent: bool) -> Iterator[Page]:
        """Pages of one study where it is new or has grown; the last one, without records, says that it is here."""
        before = known.get(study.uid)
        study = self._archive.counted(study) if -1 in (study.series, study.instances) else study
        if before and before.since == 0 and before.size == study.size and not before.tries:
            return
        now = self._clock().timestamp()
        state = before if before and before.size == study.size else State(day.isoformat(), study.size, now)
        known[study.uid] = state
        if recent and state.since and now - state.since < self._config.stable_seconds:
            yield Page((), {})
            return
        expected = came = 0
        for series, instances in self._archive.instances(study.uid):
            expected += len(instances)
            if series in known[study.uid].got:
                came += len(instances)
                continue
            here = 0
            for at in range(0, len(instances), self._config.chunk):
                chunk = instances[at : at + self._config.chunk]
                taken = self._archive.retrieve(study.uid, series, chunk)
                here += len(chunk) if taken is None else len({one.uid for one in taken})
                if taken:
                    yield Page(tuple(map(self._record, taken)), {})
            came += here
            if here >= len(instances):
                known[study.uid] = replace(known[study.uid], got=(*known[study.uid].got, series))
        known[study.uid] = self._outcome(known[study.uid], came, max(expected, study.instances))
        yield Page((), {})

    def _outcome(self, state: State, came: int, expected: int) -> State:
        """Taken whole; or to be tried again at the next look, as often as the channel allows."""
        if came >= expected:
            return State(state.day, state.size)
        tries = state.tries + 1
        if tries >= self._config.tries:
            log.error(
                "%s: of %d instances only %d came in %d looks; left until the study grows", self.source, expected, came, tries
            )
            return State(state.day, state.size)
        log.warning("%s: a study of %d instances gave %d; it is asked again", self.source, expected, came)
        return replace(state, tries=tries, since=state.since or self._clock().timestamp())

    def _record(self, taken: Taken) -> SourceRecord:
        return SourceRecord(
            source=self.source,
            facility=self._facility,
            kind="dicom",
            key=taken.uid,
            content=taken.content,
            received_at=self._clock(),
            hints={**self._hints, **taken.hints},
        )


def _cursor(day: date, known: Mapping[str, State]) -> Cursor:
    states = {uid: state.words() for uid, state in known.items()}
    return {"day": day.isoformat(), "studies": json.dumps(states, separators=(",", ":"))}


def _behind(known: Mapping[str, State], day: date) -> date:
    """The day that the next look begins with: no study that is waited for, or not here whole, is ever behind it."""
    return min((date.fromisoformat(state.day) for state in known.values() if state.since), default=day)


def _forgetting(known: dict[str, State], day: date) -> Cursor:
    """The cursor without the studies of days that are behind us for good."""
    first = min(day, _behind(known, day))
    for uid in [uid for uid, state in known.items() if state.day < first.isoformat()]:
        del known[uid]
    return _cursor(first, known)


def _date(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def _zone(text: str) -> timezone:
    if len(text) == 6 and text[0] in "+-":
        minutes = int(text[1:3]) * 60 + int(text[4:])
        return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))
    return UTC if text == "Z" else timezone(timedelta(hours=8))
