"""A person says whose records are one person's: link, unlink, merge, split, set apart, put off, and take any of these back.

No Patient of a facility and no clinical resource is written. What changes are the Tasks of pairs (hub.identity.decisions), a Task
of the operation itself, which says who, when and why, and what follows from them: the golden Patients.
https://hl7.org/fhir/R5/patient-operation-merge.html is the nearest of the standard's own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, Literal

from hub.clock import instant
from hub.errors import HubError, Invalid, Kind, NotFound
from hub.fhir_json import load
from hub.identity.decisions import (
    DECISION,
    Decision,
    contradiction,
    decided,
    deciding_operation,
    decision_of,
    with_decision,
    without_decision,
)
from hub.identity.doubts import doubt_task, owner_of, pair_task
from hub.identity.linking import link_patient
from hub.identity.pairs import OPERATION, OWNER, Pair, in_order, is_task, pair_id, pair_of, task_code
from hub.security.policy import is_golden
from hub.store.port import Key, Transaction

Resource = dict[str, Any]
Act = Literal["link", "unlink", "merge", "split", "apart", "later"]
ACTS: tuple[Act, ...] = ("link", "unlink", "merge", "split", "apart", "later")

ACT = "urn:hub:identity-operation"  # Task.code of an operation: which of ACTS
PATIENT = "urn:hub:identity-patient"  # Task.identifier of an operation: ids of Patients it named
DONE, UNDONE = "completed", "cancelled"  # Task.status of an operation
SHORTEST_REASON, LONGEST_REASON = 4, 500
Effects = dict[Pair, Decision]


class Contradicts(HubError):
    """It cannot be done beside what was decided before; the message says what to take back, `anonymous` without naming Patients."""

    kind = Kind.CONFLICT

    def __init__(self, message: str, about: Pair | None = None) -> None:
        super().__init__(f"Patient/{about[0]} and Patient/{about[1]} {message}" if about else message)
        self.anonymous = f"other Patients of these persons {message}" if about else message


@dataclass(frozen=True, slots=True)
class Who:
    name: str
    token: str  # names the token without being it
    may: Callable[[Collection[str]], None]  # facilities of the Patients concerned; raises NotAllowed


@dataclass(frozen=True, slots=True)
class Wish:
    """`patients`: two of link, apart and later; one of unlink; source and target of merge; those that leave of split."""

    act: Act
    patients: tuple[str, ...]
    reason: str
    stays: str = ""  # of split: a Patient of the person that the others leave; "": any
    seen: str | None = None  # of two: the operation whose decision they saw who wish it, "" for none; None: whatever holds


@dataclass(frozen=True, slots=True)
class Done:
    operation: Resource  # the Task as stored
    persons: tuple[str, ...]  # whose the Patients are now: ids of golden Patients, or of a Patient that is alone
    patients: tuple[str, ...]  # ids of all that were named or set apart


def carry_out(transaction: Transaction, wish: Wish, who: Who, now: int, id: str) -> Done:
    """`id` is a free one for the operation's Task. Raise Invalid, NotFound, NotAllowed, Contradicts."""
    reason = checked_reason(wish.reason)
    named = tuple(dict.fromkeys(wish.patients))
    every = _Patients(transaction, named)
    who.may(every.facilities(named if wish.act != "merge" else every.members))
    if wish.stays and not any(wish.stays in members for members in every.of.values()):
        raise Contradicts("those that leave are not of the person of the one that stays")
    if wish.seen is not None and len(named) == 2:
        _check_seen(transaction, in_order(named[0], named[1]), wish.seen)
    effects = _EFFECTS[wish.act](transaction, every, named)
    operation = _operation(transaction, wish.act, named, reason, who, now, id)
    for pair, decision in effects.items():
        operation["output"].append(_outcome(pair, decision))
        task = pair_task(transaction, pair) or doubt_task(transaction, pair, "")
        transaction.save(with_decision(task, decision, id), id=task["id"])
    transaction.save(operation, id=id)
    touched = {id for pair in effects for id in pair}
    survivor = transaction.person_of(named[1]) if wish.act == "merge" else ""
    _settle(transaction, every.members | touched, now, survivor)
    _check_reached(transaction, wish.act, named)
    return _done(transaction, operation, named, touched)


def undo(transaction: Transaction, id: str, reason: str, who: Who, now: int) -> Done:
    """Take back what operation `id` decided: for each pair holds again what held before."""
    reason = checked_reason(reason)
    version = transaction.current(Key("Task", id))
    operation = load(version.body) if version is not None and not version.deleted else {}
    if not is_task(operation, OPERATION):
        raise NotFound("no operation on identities has this id")
    named = tuple(str(i["value"]) for i in operation["identifier"] if i["system"] == PATIENT)
    who.may([_owner(operation)])
    if operation["status"] != DONE:
        raise Contradicts("this operation was taken back already")
    touched: set[str] = set()
    for pair, task in _decided_by(transaction, operation):
        before = without_decision(task, id)
        if before is None:
            raise Contradicts("were decided about once more since: take that back first", pair)
        transaction.save(before, id=task["id"])
        touched |= set(pair)
    operation["status"], operation["statusReason"] = UNDONE, {"text": reason}
    operation["note"] = [*operation.get("note", ()), _note(who, now, reason)]
    transaction.save(operation, id=id)
    _settle(transaction, touched, now, "")
    return _done(transaction, operation, named, touched)


def checked_reason(reason: str) -> str:
    text = " ".join(reason.split())
    if not SHORTEST_REASON <= len(text) <= LONGEST_REASON:
        raise Invalid(
            f"say why, in {SHORTEST_REASON} to {LONGEST_REASON} characters: it is kept with the decision", expression=("reason",)
        )
    return text


def act_of(operation: Resource) -> str:
    return next((str(c.get("code")) for c in operation["code"]["coding"] if c.get("system") == ACT), "")


# -- what each of them decides


class _Patients:
    """Those that were named, and all that are one person with one of them today."""

    def __init__(self, transaction: Transaction, named: Sequence[str]) -> None:
        self._transaction = transaction
        self.of: dict[str, frozenset[str]] = {}  # named id → facilities' Patients of its person
        for id in named:
            if _living(transaction, id) is None:
                raise NotFound("no Patient with this id")
            person = transaction.person_of(id)
            members = frozenset(m for m in (*transaction.patients_of(person), id) if _facilitys(transaction, m))
            if not members:
                raise NotFound("this Patient stands for nobody any more")
            self.of[id] = members
        self.members = frozenset().union(*self.of.values())

    def facilities(self, ids: Iterable[str]) -> set[str]:
        versions = self._transaction.current_of([Key("Patient", id) for id in ids])
        return {version.facility for version in versions.values()}

    def own(self, named: Sequence[str]) -> None:
        """Raise Invalid for one that stands for a person: it is no facility's."""
        for id in named:
            if id not in self.members:
                raise Invalid("name Patients of facilities; a golden Patient stands for a person: $merge joins two persons")

    def representative(self, id: str) -> str:
        return id if id in self.of[id] else min(self.of[id])


def _two(named: Sequence[str]) -> None:
    if len(named) != 2:
        raise Invalid("name two different Patients", expression=("patient",))


def _link(transaction: Transaction, every: _Patients, named: Sequence[str]) -> Effects:
    _two(named)
    every.own(named)
    one, other = named
    pair = in_order(one, other)
    in_the_way = sorted(_apart_between(transaction, every.of[one], every.of[other]) - {pair})
    if in_the_way:
        raise Contradicts("were set apart by a person: take that back first, or $merge the two persons", in_the_way[0])
    return {pair: "together"}


def _unlink(transaction: Transaction, every: _Patients, named: Sequence[str]) -> Effects:
    every.own(named)
    if len(named) != 1:
        raise Invalid("name the one Patient that leaves its person; $split takes several", expression=("patient",))
    return _split(transaction, every, named)


def _split(_: Transaction, every: _Patients, named: Sequence[str]) -> Effects:
    every.own(named)
    persons = set(every.of.values())
    if len(persons) != 1:
        raise Invalid("the Patients that leave are not of one person", expression=("patient",))
    leaving, staying = sorted(named), sorted(every.members - set(named))
    if not staying:
        raise Contradicts("these Patients are linked to nobody else: there is nothing to take apart")
    effects: Effects = {in_order(one, other): "apart" for one, other in product(leaving, staying)}
    return effects | dict.fromkeys(pairwise(leaving), "together")


def _merge(transaction: Transaction, every: _Patients, named: Sequence[str]) -> Effects:
    _two(named)
    source, target = named
    if every.of[source] == every.of[target]:
        raise Contradicts("they are one person already")
    effects: Effects = dict.fromkeys(_apart_between(transaction, every.of[source], every.of[target]), "undecided")
    return effects | {in_order(every.representative(source), every.representative(target)): "together"}


def _apart(_: Transaction, every: _Patients, named: Sequence[str]) -> Effects:
    _two(named)
    every.own(named)
    return {in_order(*named): "apart"}


def _later(transaction: Transaction, every: _Patients, named: Sequence[str]) -> Effects:
    _two(named)
    every.own(named)
    pair = in_order(*named)
    task = pair_task(transaction, pair)
    if task is not None and decision_of(task) in ("together", "apart"):
        raise Contradicts("a person has decided about these two: take that back first")
    return {pair: "later"}


_EFFECTS: dict[Act, Callable[[Transaction, _Patients, Sequence[str]], Effects]] = {
    "link": _link,
    "unlink": _unlink,
    "merge": _merge,
    "split": _split,
    "apart": _apart,
    "later": _later,
}


def _apart_between(transaction: Transaction, some: Collection[str], others: Collection[str]) -> set[Pair]:
    pairs = {in_order(one, other) for one, other in product(some, others)}
    return pairs & decided(transaction, {*some, *others}).apart


def _check_seen(transaction: Transaction, pair: Pair, seen: str) -> None:
    """Of two people who look at one doubt, the second is told of the first one's decision, and does not overrule it unawares."""
    if deciding_operation(pair_task(transaction, pair) or {}) != seen:
        raise Contradicts("were decided about by somebody else since they were opened: look at that first", pair)


# -- what follows


def _settle(transaction: Transaction, ids: Collection[str], now: int, survivor: str) -> None:
    """Raise Contradicts if people's decisions about these cannot hold together, or too many Patients hang together."""
    torn = contradiction(decided(transaction, ids))
    if torn is not None:
        raise Contradicts("would be linked and set apart by people's decisions: take one of these back first", torn)
    patients = [patient for id in sorted(ids) if (patient := _facilitys(transaction, id)) is not None]
    if patients and not link_patient(transaction, patients[0], now, *patients[1:], survivor=survivor):
        raise Contradicts("more Patients hang together with these than can be one person: nothing was changed")


def _check_reached(transaction: Transaction, act: Act, named: Sequence[str]) -> None:
    if act in ("link", "merge") and len({transaction.person_of(id) for id in named}) > 1:
        raise Contradicts("other decisions keep these two apart: take those back first")


def _decided_by(transaction: Transaction, operation: Resource) -> Iterator[tuple[Pair, Resource]]:
    for outcome in operation.get("output", ()):
        version = transaction.current(Key("Task", str(outcome["valueReference"]["reference"]).removeprefix("Task/")))
        if version is not None and not version.deleted:
            task = load(version.body)
            yield pair_of(task), task


def _done(transaction: Transaction, operation: Resource, named: Sequence[str], touched: Collection[str]) -> Done:
    persons = dict.fromkeys(transaction.person_of(id) for id in named)
    return Done(operation, tuple(persons), tuple(sorted({*named, *touched})))


# -- its Task


def _operation(transaction: Transaction, act: Act, named: Sequence[str], reason: str, who: Who, now: int, id: str) -> Resource:
    owner = owner_of(transaction, named)
    return {
        "resourceType": "Task",
        "id": id,
        "identifier": [
            *({"system": PATIENT, "value": patient} for patient in named),
            *([{"system": OWNER, "value": owner}] if owner else []),
        ],
        "status": DONE,
        "intent": "order",
        "code": {"coding": [*task_code(OPERATION)["coding"], {"system": ACT, "code": act}]},
        "authoredOn": instant(now),
        "requester": {"identifier": {"system": "urn:hub:token", "value": who.token or who.name}, "display": who.name},
        "reasonCode": {"text": reason},
        "note": [_note(who, now, reason)],
        "input": [{"type": {"text": "patient"}, "valueReference": {"reference": f"Patient/{patient}"}} for patient in named],
        "output": [],
    }


def _outcome(pair: Pair, decision: Decision) -> Resource:
    coding = {"system": DECISION, "code": decision}
    return {"type": {"coding": [coding]}, "valueReference": {"reference": f"Task/{pair_id(pair)}"}}


def _note(who: Who, now: int, text: str) -> Resource:
    return {"authorString": who.name, "time": instant(now), "text": text}


def _owner(operation: Resource) -> str:
    return next((str(i["value"]) for i in operation["identifier"] if i["system"] == OWNER), "")


def _living(transaction: Transaction, id: str) -> Resource | None:
    version = transaction.current(Key("Patient", id))
    return None if version is None or version.deleted else load(version.body)


def _facilitys(transaction: Transaction, id: str) -> Resource | None:
    """A facility's own Patient; None of one that was deleted, or stands for a person."""
    patient = _living(transaction, id)
    return None if patient is None or is_golden(patient) else patient
