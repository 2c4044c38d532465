"""A change of a resource → an event for each subscription that waits for it, in the transaction of the change.

Where nobody waits it costs one look at one small value. Otherwise the criteria that the resource alone decides come first; chains,
_has and what another facility's record takes are then asked of the store, within the transaction, as the subscription's owner.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from hub import fhir_json
from hub.errors import HubError
from hub.search.custom import generation_in as parameters_generation
from hub.search.custom import registry_in
from hub.search.extract import Extractor
from hub.search.match import Indexed, fulfils
from hub.search.parameters import Registry, in_force
from hub.search.query import Condition, Criterion, CriterionValue, ReferenceValue, SearchQuery, TokenValue, rewritten
from hub.security.policy import scope_of
from hub.settings import County
from hub.store.port import Key, Saved, Scope, Transaction, Version
from hub.subscriptions.criteria import Parts, Trigger, names_patient, triggers_of
from hub.subscriptions.meaning import Meaning
from hub.subscriptions.outbox import (
    Change,
    Event,
    Registration,
    enqueue,
    generation_in,
    meaning_in,
    progress_in,
    registrations_in,
)
from hub.subscriptions.signal import ring
from hub.subscriptions.state import conclude
from profiles.fhirpath import CannotEvaluate, Env, compiled

log = logging.getLogger(__name__)

MOST_WAITING = 100_000  # events of one subscription; with more than these it is switched off
LOOKED_AT_EVERY = 1000
KEPT_GENERATIONS = 8
_ANY_COUNTY = County()  # the policy of a county narrows once more, at delivery


class NoWorld:
    """Other resources: none, for what asks for them is decided by the store."""

    def get(self, type: str, id: str) -> Indexed | None: ...

    def referring(self, type: str, code: str, to: Indexed) -> Iterable[Indexed]:  # noqa: ARG002
        return ()


@dataclass(frozen=True, slots=True)
class Watcher:
    """A live subscription, of one trigger."""

    registration: Registration
    trigger: Trigger
    filters: Parts

    def scope(self, now: int) -> Scope:
        return scope_of(self.registration.owner, _ANY_COUNTY, now)


class Watching:
    """Who waits for what, by type, and by which search parameters that is decided: the custom ones among them."""

    def __init__(self, watchers: Mapping[str, tuple[Watcher, ...]], known: Registry) -> None:
        self.watchers = watchers
        self.known = known
        self._extractor = Extractor(known)

    def indexed(self, version: Version | None) -> Indexed | None:
        if version is None or version.deleted:
            return None
        resource = fhir_json.load(version.body)
        return Indexed(version.type, version.id, version.updated, resource, self._extractor.entries(resource))


_KNOWN: dict[tuple[bytes, bytes], Watching] = {}


def watching_in(transaction: Transaction) -> Watching | None:
    """Generations name what was registered, so what is known of them stays true; one rolled back is never seen again.

    None where nobody waits for anything.
    """
    generation = generation_in(transaction)
    if generation is None:
        return None
    both = generation, parameters_generation(transaction)
    known = _KNOWN.get(both)
    if known is None:
        if len(_KNOWN) >= KEPT_GENERATIONS:
            _KNOWN.clear()
        known = _KNOWN[both] = _compiled(transaction)
    return known


def _compiled(transaction: Transaction) -> Watching:
    found: dict[str, list[Watcher]] = defaultdict(list)
    known = registry_in(transaction, built=False)
    with in_force(known):
        for registration in registrations_in(transaction):
            try:
                for watcher in _watchers(transaction, registration) if registration.live else ():
                    found[watcher.trigger.type].append(watcher)
            except HubError:
                log.warning("the criteria of Subscription/%s are not understood now; it gets no events", registration.id)
    return Watching({kind: tuple(watchers) for kind, watchers in found.items()}, known)


def _watchers(transaction: Transaction, registration: Registration) -> list[Watcher]:
    meaning = Meaning(meaning_in(transaction, registration.id))
    triggers = triggers_of(registration, now=0)
    return [Watcher(registration, each, Parts.of(meaning.resolved(each.type, each.filters))) for each in triggers]


def watched_in(transaction: Transaction) -> Collection[str]:
    """Types that somebody waits for."""
    watching = watching_in(transaction)
    return watching.watchers.keys() if watching is not None else ()


def awaited(transaction: Transaction, key: Key, *, deleting: bool = False) -> Awaited | None:
    """To be called before the change; None where nobody waits for it."""
    watching = watching_in(transaction)
    if watching is None or key.type not in watching.watchers:
        return None
    return Awaited(transaction, key, watching, deleting=deleting)


def reported(transaction: Transaction, key: Key, now: int, change: Callable[[], Saved], *, deleting: bool = False) -> Saved:
    """`change`, and the events that follow from it."""
    waiting = awaited(transaction, key, deleting=deleting)
    saved = change()
    if waiting is not None:
        waiting.report(saved, now)
    return saved


class Awaited:
    """A change that somebody may wait for: what was before it, and for a deletion who saw it."""

    def __init__(self, transaction: Transaction, key: Key, watching: Watching, *, deleting: bool) -> None:
        self._transaction = transaction
        self._watching = watching
        self._watchers = watchers = watching.watchers[key.type]
        needed = deleting or any(each.trigger.previous is not None for each in watchers)
        former = transaction.current(key) if needed else None
        self._before = watching.indexed(former)
        if deleting:
            with in_force(watching.known):
                self._watchers = tuple(each for each in watchers if former is not None and self._waits(each, self._before, former))

    def report(self, saved: Saved, now: int) -> None:
        if not saved.changed:
            return
        version = saved.version
        change: Change = "delete" if version.deleted else "create" if saved.created else "update"
        after = self._watching.indexed(version)
        with in_force(self._watching.known):
            triggered = [each for each in self._watchers if self._triggers(each.trigger, change, after)]
            found = triggered if version.deleted else [each for each in triggered if self._waits(each, after, version)]
        event = Event(version.type, version.id, version.version, change, version.updated)
        for registration in {each.registration.id: each.registration for each in found}.values():
            self._enqueue(registration, event, now)

    def _enqueue(self, registration: Registration, event: Event, now: int) -> None:
        id = registration.id
        number = enqueue(self._transaction, id, event)
        bounded = registration.channel != "destination"  # a hospital's own system gets all, however long it was away
        if bounded and number % LOOKED_AT_EVERY == 0 and number - progress_in(self._transaction, id).done > MOST_WAITING:
            conclude(self._transaction, id, "off", now, problem=f"more than {MOST_WAITING} events waited for delivery")
        ring()

    def _triggers(self, trigger: Trigger, change: Change, after: Indexed | None) -> bool:
        """https://hl7.org/fhir/R5/subscriptiontopic-definitions.html#SubscriptionTopic.resourceTrigger.queryCriteria"""
        if change not in trigger.changes or (trigger.path and not _holds(after, trigger.path)):
            return False
        tests = []
        before = None if change == "create" else self._before
        for one, conditions, otherwise in (
            (before, trigger.previous, trigger.logic.result_for_create),
            (after, trigger.current, trigger.logic.result_for_delete),
        ):
            if conditions is not None:
                tests.append(_all(one, conditions) if one is not None else otherwise == "test-passes")
        return not tests or (all(tests) if trigger.logic.require_both else any(tests))

    def _waits(self, watcher: Watcher, one: Indexed | None, version: Version) -> bool:
        """The filters hold and the owner may see it."""
        scope, filters = watcher.scope(version.updated), watcher.filters
        if one is None or (scope.types is not None and version.type not in scope.types) or not _all(one, filters.local):
            return False
        if not _all(one, self._expanded(filters.personal, scope)):
            return False
        distant = self._expanded(filters.distant, scope)
        seen = scope.shows(version.type, version.facility, version.patient)
        if seen and not distant:
            return True
        this = Criterion("_id", "token", (TokenValue(None, version.id),))
        return bool(self._transaction.find(SearchQuery(version.type, (this, *distant)), limit=1, scope=scope))

    def _expanded(self, conditions: tuple[Condition, ...], scope: Scope) -> tuple[Condition, ...]:
        return tuple(rewritten(each, lambda criterion: self._of_person(criterion, scope)) for each in conditions)

    def _of_person(self, criterion: Criterion, scope: Scope) -> Criterion:
        """A Patient stands for the person, as in a search."""
        if not names_patient(criterion):
            return criterion
        values: dict[CriterionValue, None] = {}
        for value in criterion.values:
            values[value] = None
            if isinstance(value, ReferenceValue) and value.type in ("", "Patient"):
                values.update((ReferenceValue(value.type, id), None) for id in self._person(value.id, scope))
        return replace(criterion, values=tuple(values))

    def _person(self, patient: str, scope: Scope) -> Iterator[str]:
        """Whom a stranger's Patient is linked to is not told."""
        person = self._transaction.person_of(patient)
        ids = dict.fromkeys((person, *self._transaction.patients_of(person), patient))
        if len(ids) == 1 or scope.everything:
            return iter(ids)
        query = SearchQuery("Patient", (Criterion("_id", "token", tuple(TokenValue(None, id) for id in ids)),))
        shown = {key.id for key in self._transaction.find(query, limit=len(ids), scope=scope)}
        if person in shown:
            return iter(ids)
        return (id for id in ids if id in shown) if patient in shown else iter((patient,))


def _all(one: Indexed, conditions: Iterable[Condition]) -> bool:
    return all(fulfils(one, condition, NoWorld()) for condition in conditions)


def _holds(one: Indexed | None, path: str) -> bool:
    """https://hl7.org/fhir/R5/subscriptiontopic-definitions.html#SubscriptionTopic.resourceTrigger.fhirPathCriteria"""
    if one is None:
        return False
    try:
        return compiled(path, one.type).truth(one.resource, Env(one.resource, one.resource)) is True
    except CannotEvaluate:
        return False
