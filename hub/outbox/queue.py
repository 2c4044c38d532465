"""What waits for each destination, what was sent and what was set aside; to send again, and to give up.

For the command line and the pages. Nothing here names a patient: a record is told by its type, id and version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from hub.outbox.lanes import conclude, control_id_of
from hub.outbox.letters import PREFIX, Letter, letter_in, letters_in, name_of, put_letter
from hub.store.port import ResourceStore, Transaction
from hub.subscriptions.outbox import Numbered, Progress, Standing, enqueue, events_in, number_in, progress_in, standings_in
from hub.subscriptions.signal import ring

State = Literal["waiting", "sent", "dead", "skipped"]
PAGE = 200
NOT_TRIED = Progress()


@dataclass(frozen=True, slots=True)
class Item:
    """One record's version on its way to one destination."""

    destination: str
    number: int  # in the order of its lane
    state: State
    type: str
    id: str
    version: int
    change: str  # create, update, delete
    at: int  # UTC ms: when it was sent or set aside; of one that waits, when the record changed
    control_id: str = ""
    attempts: int = 0
    problem: str = ""
    left_out: str = ""  # elements of the record that could not be said there


@dataclass(frozen=True, slots=True)
class Choice:
    """Which items; everything that is empty takes all."""

    destination: str = ""
    states: frozenset[State] = frozenset()
    numbers: frozenset[int] = frozenset()
    type: str = ""
    id: str = ""
    problem: str = ""  # words within it
    since: int = 0  # UTC ms
    until: int = 0

    def takes(self, item: Item) -> bool:
        return (
            (not self.states or item.state in self.states)
            and (not self.numbers or item.number in self.numbers)
            and self.type in ("", item.type)
            and self.id in ("", item.id)
            and self.problem in item.problem
            and item.at >= self.since
            and (not self.until or item.at <= self.until)
        )


@dataclass(frozen=True, slots=True)
class LaneState:
    """How one destination stands. `problem` is what the first that waits has met; "" when all is well."""

    destination: str
    active: bool  # False: no longer in county.toml
    waiting: int
    sent: int  # that are remembered
    dead: int
    skipped: int
    failures: int
    problem: str
    next: int  # UTC ms: not before this
    last: int  # UTC ms: when something was last sent
    oldest: int  # UTC ms: of the first that waits; 0 for none


@dataclass(frozen=True, slots=True)
class Replayed:
    queued: int
    superseded: int  # a newer version of the record was sent, or waits


def lanes(store: ResourceStore) -> list[LaneState]:
    return [_lane(store, standing) for standing in _standings(store)]


def _lane(store: ResourceStore, standing: Standing) -> LaneState:
    id, progress = standing.registration.id, standing.progress
    counts = {"sent": 0, "dead": 0, "skipped": 0}
    for _, letter in letters_in(store, id):
        counts[letter.state] += 1
    first = events_in(store, id, after=progress.done, limit=1)
    return LaneState(
        destination=name_of(id),
        active=standing.registration.state == "active",
        waiting=standing.number - progress.done,
        **counts,
        failures=progress.failures,
        problem=progress.problem,
        next=progress.next,
        last=progress.sent,
        oldest=first[0].event.at if first else 0,
    )


def _standings(store: ResourceStore) -> list[Standing]:
    return [each for each in standings_in(store) if each.registration.id.startswith(PREFIX)]


# -- looking


def items(store: ResourceStore, choice: Choice = Choice(), *, limit: int = PAGE, after: int = 0) -> list[Item]:
    """By destination and number, at most `limit`; `after` is the last number of a former page of one destination."""
    found: list[Item] = []
    for item in _items(store, choice, after):
        found.append(item)
        if len(found) == limit:
            break
    return found


def count(store: ResourceStore, choice: Choice = Choice()) -> int:
    return sum(1 for _ in _items(store, choice, 0))


def _items(store: ResourceStore, choice: Choice, after: int) -> Iterator[Item]:
    for standing in _standings(store):
        id = standing.registration.id
        if choice.destination not in ("", name_of(id)):
            continue
        yield from filter(choice.takes, _concluded(store, id, after))
        if not choice.states or "waiting" in choice.states:
            yield from filter(choice.takes, _waiting(store, standing, after))


def _concluded(store: ResourceStore, id: str, after: int) -> Iterator[Item]:
    return (_item(id, number, letter) for number, letter in letters_in(store, id, after=after))


def _item(id: str, number: int, letter: Letter) -> Item:
    event = letter.event
    return Item(
        name_of(id),
        number,
        letter.state,
        event.type,
        event.id,
        event.version,
        event.change,
        letter.at,
        letter.control_id,
        letter.attempts,
        letter.problem,
        letter.left_out,
    )


def _waiting(store: ResourceStore, standing: Standing, after: int) -> Iterator[Item]:
    id, progress = standing.registration.id, standing.progress
    last = max(progress.done, after)
    while page := events_in(store, id, after=last, limit=PAGE):
        for each in page:
            yield _item_of(id, each, progress if each.number == progress.done + 1 else NOT_TRIED)
        last = page[-1].number


def _item_of(id: str, waiting: Numbered, tried: Progress) -> Item:
    event = waiting.event
    return Item(
        name_of(id),
        waiting.number,
        "waiting",
        event.type,
        event.id,
        event.version,
        event.change,
        event.at,
        control_id_of(id, event),
        tried.failures,
        tried.problem,
    )


# -- sending again


def replay(store: ResourceStore, choice: Choice) -> Replayed:
    """What is dead, skipped or sent of the choice goes out again at the end of its lane: of each record its newest version only.

    A record of which a newer version was sent since, or waits, is left: an old state must not follow a new one. The control id is
    the former one, so that a receiver that has it knows it again. A dead one is no longer dead then.
    """
    queued = superseded = 0
    for standing in _standings(store):
        id = standing.registration.id
        if choice.destination not in ("", name_of(id)):
            continue
        wanted = [item for item in _concluded(store, id, 0) if choice.takes(item)]
        newest = _newest(store, standing)
        for start in range(0, len(wanted), PAGE):
            page = wanted[start : start + PAGE]
            done = store.write(partial(_replay, id=id, items=page, newest=newest)).result()
            queued, superseded = queued + done.queued, superseded + done.superseded
    ring()
    return Replayed(queued, superseded)


def _newest(store: ResourceStore, standing: Standing) -> dict[tuple[str, str], int]:
    """Of each record the newest version that was sent, is set aside or waits."""
    newest: dict[tuple[str, str], int] = {}
    id = standing.registration.id
    for item in (*_concluded(store, id, 0), *_waiting(store, standing, 0)):
        key = item.type, item.id
        newest[key] = max(newest.get(key, 0), item.version)
    return newest


def _replay(transaction: Transaction, id: str, items: Iterable[Item], newest: dict[tuple[str, str], int]) -> Replayed:
    waiting = {(each.event.type, each.event.id, each.event.version) for each in _pending(transaction, id)}
    queued = superseded = 0
    for item in items:
        letter = letter_in(transaction, id, item.number)
        if letter is None:
            continue  # somebody else was quicker
        event = letter.event
        if event.version < newest[event.type, event.id] or (event.type, event.id, event.version) in waiting:
            superseded += 1
        else:
            enqueue(transaction, id, event)
            waiting.add((event.type, event.id, event.version))
            queued += 1
        if letter.state == "dead":
            put_letter(transaction, id, item.number, None)
    return Replayed(queued, superseded)


def _pending(transaction: Transaction, id: str) -> Iterator[Numbered]:
    last = progress_in(transaction, id).done
    while page := events_in(transaction, id, after=last, limit=PAGE):
        yield from page
        last = page[-1].number


# -- giving up


def discard(store: ResourceStore, choice: Choice, *, clock: Callable[[], int]) -> int:
    """Dead ones are forgotten; those that wait are set down as skipped and not sent. How many.

    Of those that wait only the first of a lane, one after the other: what is chosen behind one that is not chosen stays.
    """
    total = 0
    for standing in _standings(store):
        id = standing.registration.id
        if choice.destination not in ("", name_of(id)):
            continue
        dead = [item.number for item in _concluded(store, id, 0) if item.state == "dead" and choice.takes(item)]
        for start in range(0, len(dead), PAGE):
            total += store.write(partial(_forget, id=id, numbers=dead[start : start + PAGE])).result()
        if not choice.states or "waiting" in choice.states:
            while store.write(partial(_skip_first, id=id, choice=choice, clock=clock)).result():
                total += 1
    return total


def _forget(transaction: Transaction, id: str, numbers: Iterable[int]) -> int:
    found = [number for number in numbers if (letter := letter_in(transaction, id, number)) and letter.state == "dead"]
    for number in found:
        put_letter(transaction, id, number, None)
    return len(found)


def _skip_first(transaction: Transaction, id: str, choice: Choice, clock: Callable[[], int]) -> bool:
    progress = progress_in(transaction, id)
    if progress.done >= number_in(transaction, id):
        return False
    first = events_in(transaction, id, after=progress.done, limit=1)
    if not first:
        return False
    if not choice.takes(_item_of(id, first[0], progress)):
        return False
    event = first[0].event
    conclude(transaction, id, first[0].number, Letter(event, "skipped", problem="discarded", at=clock()), progress)
    return True
