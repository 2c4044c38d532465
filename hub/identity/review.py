"""What a person looks at to decide about identities: the doubts, two records side by side, and what was decided.

A facility's own account sees doubts of which both Patients are its own; the county's see all. Values are masked until they are
opened with a reason: whoever only counts doubts learns nothing of anybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from hub.errors import Invalid, NotFound
from hub.fhir_json import load
from hub.identity.blocks import given_up
from hub.identity.compared import Comparison, Side, comparison, side_of, stated
from hub.identity.decisions import OPEN, STATUS, Decision, deciding_operation, decision_of
from hub.identity.doubts import REASON, reason_of
from hub.identity.households import Households
from hub.identity.matching import matching_in
from hub.identity.operations import PATIENT, act_of, checked_reason
from hub.identity.pairs import AT, CODE, OPERATION, OWNER, PAIR, Pair, in_order, is_task, pair_id, pair_of
from hub.identity.rules import REASONS
from hub.search.folding import fold_code
from hub.search.query import Criterion, SearchQuery, TokenValue
from hub.security.access import Access
from hub.security.door import Door
from hub.security.policy import check_identity, identity_scope, is_golden
from hub.security.reads import Reads
from hub.store.port import Key, ResourceStore, Version
from profiles.names import HUB_TAG

T = TypeVar("T")

STATES: Mapping[str, tuple[str, ...]] = {
    "open": (OPEN,),
    "later": (STATUS["later"],),
    "together": (STATUS["together"],),
    "apart": (STATUS["apart"],),
    "all": (),
}
PAGE, MOST = 25, 200
MOST_COUNTED = 1000  # values that too many share


@dataclass(frozen=True, slots=True)
class Filter:
    """Each "" for any. Raise Invalid for a state or a reason that is none."""

    state: str = "open"
    reason: str = ""
    facility: str = ""
    patient: str = ""  # id of a Patient

    def __post_init__(self) -> None:
        for name, value, known in (("state", self.state, STATES), ("reason", self.reason, {"": "", **REASONS})):
            if value not in known:
                raise Invalid(f"{name} is one of {', '.join(filter(None, known))}", expression=(name,))


@dataclass(frozen=True, slots=True)
class Doubt:
    id: str
    pair: Pair
    status: str  # Task.status
    decision: Decision
    reason: str  # one of REASONS; "" where only a person named the two
    facilities: tuple[str, ...]
    operation: str  # the id of the operation that decided; "" of none
    updated: int  # UTC ms

    @property
    def state(self) -> str:
        """One of STATES, or "closed": nothing speaks for it any more."""
        if self.status == STATUS["together"]:
            return "together"
        return next((name for name, statuses in STATES.items() if self.status in statuses), "closed")


@dataclass(frozen=True, slots=True)
class Operation:
    """What somebody did about identities."""

    id: str
    act: str
    patients: tuple[str, ...]
    who: str
    why: str
    when: str
    undone: bool
    undone_by: str = ""
    undone_why: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """Tasks as they are stored."""

    versions: tuple[Version, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Listed:
    doubts: tuple[Doubt, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Opened:
    doubt: Doubt
    comparison: Comparison
    operations: tuple[Operation, ...]  # the newest first
    unmasked: bool


@dataclass(frozen=True, slots=True)
class Member:
    """One facility's Patient of a person."""

    side: Side
    stated: tuple[tuple[str, tuple[str, ...]], ...]  # element, values


@dataclass(frozen=True, slots=True)
class Person:
    """The Patients that are one person with the one asked for, who is among them."""

    asked: str
    members: tuple[Member, ...]
    elsewhere: int  # members that this caller may not see
    operations: tuple[Operation, ...]  # that named the one asked for, the newest first
    unmasked: bool


class Review:
    """Of one caller. Every look leaves an AuditEvent, with the reason where values were shown."""

    def __init__(self, door: Door, store: ResourceStore, access: Access) -> None:
        """Raise NotAllowed for a role that decides nothing about identities."""
        check_identity(access, {access.facility})
        self._door, self._store, self._access = door, store, access
        self._scope = identity_scope(access)

    async def doubts(self, asked: Filter, *, after: str = "", count: int = PAGE) -> Listed:
        """The newest first."""
        page = await self.stored(asked, after=after, count=count)
        return Listed(tuple(map(_doubt, page.versions)), page.next)

    async def stored(self, asked: Filter, *, after: str = "", count: int = PAGE) -> Stored:
        """The same as Tasks."""
        criteria = [_token("code", HUB_TAG, CODE), *self._own()]
        if STATES[asked.state]:
            criteria.append(Criterion("status", "token", tuple(TokenValue(None, status) for status in STATES[asked.state])))
        narrowing = (("code", REASON, asked.reason), ("identifier", AT, asked.facility), ("identifier", PAIR, asked.patient))
        criteria += [_token(code, system, value) for code, system, value in narrowing if value]
        query = SearchQuery("Task", tuple(criteria), count=min(count, MOST), after=after or None)
        page = await self._read(lambda reads: reads.search(query), action="E", interaction="search-type", type="Task")
        return Stored(tuple(version for version in page.matches if _is_pair(version)), page.next)

    async def operations(self, count: int = PAGE) -> tuple[Operation, ...]:
        """What was done, the newest first."""
        query = SearchQuery("Task", (_token("code", HUB_TAG, OPERATION), *self._own()), count=min(count, MOST))
        page = await self._read(lambda reads: reads.search(query), action="E", interaction="search-type", type="Task")
        return tuple(_operation(load(version.body)) for version in page.matches)

    async def given_up(self) -> dict[str, int]:
        """How many values of each kind too many share; none for a facility, which has no say about the county's."""
        if self._access.facility:
            return {}
        return dict((await asyncio.to_thread(given_up, self._store, MOST_COUNTED)).most_common())

    async def open(self, id: str, *, reason: str = "") -> Opened:
        """A doubt by its Task's id; with a `reason` unmasked, which the audit has before it is shown. Raise NotFound, Invalid."""
        return await self._opened(lambda reads: _pair_task(reads, id), reason)

    async def compare(self, one: str, other: str, *, reason: str = "") -> Opened:
        """Two Patients by id, whether or not anybody doubted. Raise NotFound, Invalid."""
        if one == other:
            raise Invalid("name two different Patients")
        return await self._opened(lambda reads: _named(reads, in_order(one, other)), reason)

    async def person(self, id: str, *, reason: str = "") -> Person:
        """Everybody that is one person with Patient `id`; with a `reason` unmasked. Raise NotFound, Invalid."""
        why = checked_reason(reason) if reason else ""

        def work(reads: Reads) -> Person:
            self._patient(reads, id)
            person = self._store.person_of(id)
            keys = [Key("Patient", each) for each in dict.fromkeys([id, *self._store.patients_of(person)])]
            every = [version for version in reads.read_many(keys) if not is_golden(load(version.body))]
            own = [version for version in every if self._access.facility in ("", version.facility)]
            members = tuple(_member(version, len(every) - 1, masked=not why) for version in own)
            query = SearchQuery("Task", (_token("code", HUB_TAG, OPERATION), *self._own(), _token("identifier", PATIENT, id)))
            done = tuple(_operation(load(version.body)) for version in reads.search(query).matches)
            return Person(id, members, len(every) - len(own), done, bool(why))

        return await self._read(work, interaction="read", reason=why)

    async def _opened(self, find: Callable[[Reads], Doubt], reason: str) -> Opened:
        why = checked_reason(reason) if reason else ""

        def work(reads: Reads) -> Opened:
            doubt = find(reads)
            versions = [self._patient(reads, id) for id in doubt.pair]
            matching = matching_in(self._store)
            sides = (_beside(self._store, version) for version in versions)
            compared = comparison(*sides, matching=matching, households=Households(self._store), masked=not why)
            keys = [Key("Task", id) for id in dict.fromkeys([doubt.operation]) if id]
            done = [load(version.body) for version in reads.read_many(keys)]
            return Opened(doubt, compared, tuple(map(_operation, done)), bool(why))

        return await self._read(work, interaction="read", reason=why)

    def _patient(self, reads: Reads, id: str) -> Version:
        """Raise NotFound for one that is golden, unknown, or another facility's where that may not be seen."""
        version = reads.read(Key("Patient", id))
        check_identity(self._access, {version.facility})
        if is_golden(load(version.body)):
            raise NotFound("no Patient with this id")
        return version

    def _own(self) -> list[Criterion]:
        return [_token("identifier", OWNER, self._access.facility)] if self._access.facility else []

    async def _read(self, work: Callable[[Reads], T], **more: Any) -> T:
        return await self._door.reading(self._access, work, scope=self._scope, **more)


def _token(code: str, system: str, value: str) -> Criterion:
    return Criterion(code, "token", (TokenValue(system, fold_code(value)),))


def _is_pair(version: Version) -> bool:
    """Anybody may write a Task that looks like ours; none can have this id."""
    return version.id == pair_id(pair_of(load(version.body)))


def _pair_task(reads: Reads, id: str) -> Doubt:
    version = reads.read(Key("Task", id))
    if not _is_pair(version) or not is_task(load(version.body), CODE):
        raise NotFound("no doubt about identities has this id")
    return _doubt(version)


def _named(reads: Reads, pair: Pair) -> Doubt:
    found = reads.read_many([Key("Task", pair_id(pair))])
    if found:
        return _doubt(found[0])
    return Doubt("", pair, "", "undecided", "", (), "", 0)


def _doubt(version: Version) -> Doubt:
    task = load(version.body)
    facilities = tuple(str(each["value"]) for each in task["identifier"] if each["system"] == AT)
    operation = deciding_operation(task)
    return Doubt(
        version.id, pair_of(task), str(task["status"]), decision_of(task), reason_of(task), facilities, operation, version.updated
    )


def _operation(task: Mapping[str, Any]) -> Operation:
    notes = task["note"]
    undone = notes[-1] if task["status"] != "completed" else {}
    patients = tuple(str(each["value"]) for each in task["identifier"] if each["system"] == PATIENT)
    return Operation(
        str(task["id"]),
        act_of(dict(task)),
        patients,
        str(notes[0]["authorString"]),
        str(task["reasonCode"]["text"]),
        str(task["authoredOn"]),
        bool(undone),
        str(undone.get("authorString", "")),
        str(undone.get("text", "")),
    )


def _member(version: Version, others: int, *, masked: bool) -> Member:
    patient = load(version.body)
    return Member(side_of(patient, version.facility, others), stated(patient, masked=masked))


def _beside(store: ResourceStore, version: Version) -> tuple[dict[str, Any], str, int]:
    """The Patient, its facility, and how many others are one person with it."""
    person = store.person_of(version.id)
    others = [id for id in store.patients_of(person) if id not in (version.id, person)]
    return load(version.body), version.facility, len(others)
