"""What one journal record changes in the store: resources, audit and outcome in one transaction, so it happens once or not."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import Any

from hub.directory.names import FACILITY_CODE
from hub.fhir_json import load
from hub.ingest.journal import Entry
from hub.ingest.mapping import Attempt, invalid
from hub.ingest.merges import REASON, closes_a_circle
from hub.ingest.provenance import closed_by, patient_of_all, provenance_key, provenance_of, says_the_same
from hub.ingest.settle import Origin, deletion_stamp, settle, union_stamp
from hub.ingest.unions import key_of, unions
from hub.keep import keep, remove
from hub.security.access import PIPELINE
from hub.security.audit import FAILED, SUCCESS, audit_event
from hub.security.trail import save_event
from hub.settings import County
from hub.store.port import Addition, Key, Outcome, Resource, Saved, Transaction, Version
from hub.subscriptions.watch import watched_in
from mappers.base import Change, Issue, Mapped
from mappers.identity_keys import organization_id
from profiles.names import FACILITY_TAG


class Effect:
    """Applies attempts; one instance a pipeline."""

    def __init__(self, county: County, clock: Callable[[], int]) -> None:
        self._county = county
        self._clock = clock
        self._known: set[str] = set()  # facilities whose Organization was seen committed

    def apply(self, transaction: Transaction, entry: Entry, attempt: Attempt, *, again: bool = False) -> Outcome:
        """The record's outcome. A record that has one is left alone, unless it is done `again` on request."""
        former = transaction.outcome(entry.seq)
        if former and not again:
            return former
        now = self._clock()
        tries = attempt.tries + (former.attempts if former else 0)
        if attempt.held and not (former and former.state == "done"):
            return self.bury(transaction, entry, attempt.held, tries)
        if attempt.mapped is None:
            return self.bury(transaction, entry, attempt.reason, tries)
        if closes_a_circle(transaction, attempt.mapped.changes):
            return self.bury(transaction, entry, REASON, tries)
        self._organization(transaction, entry.record.facility, now)
        there = set() if again else _already_there(transaction, attempt)
        changed, found, issues, versions = self._changes(transaction, entry, attempt.mapped, now, there)
        outcome = self._outcome(
            entry,
            state="done",
            attempts=tries,
            resources=tuple(f"{key.type}/{key.id}" for key in (*changed, *found)),
            issues=tuple(_issue(issue) for issue in (*attempt.mapped.issues, *issues)),
            ledger=dict(attempt.mapped.ledger),
        )
        if versions:
            self._provenance(transaction, entry, attempt, versions, now, first=former is None)
        self._audit(transaction, entry, SUCCESS, changed or found)
        transaction.record_outcome(outcome)
        return outcome

    def bury(self, transaction: Transaction, entry: Entry, reason: str, tries: int) -> Outcome:
        """Dead, with its reason; the bytes stay in the journal and can be replayed."""
        outcome = self._outcome(entry, state="dead", reason=reason, attempts=tries)
        self._audit(transaction, entry, FAILED, ())
        transaction.record_outcome(outcome)
        return outcome

    def forget(self) -> None:
        """A transaction was rolled back: what it made known may not be there."""
        self._known.clear()

    def _outcome(self, entry: Entry, **facts: Any) -> Outcome:
        record = entry.record
        return Outcome(entry.seq, finished=self._clock(), source=record.source, facility=record.facility, kind=record.kind, **facts)

    def _organization(self, transaction: Transaction, facility: str, now: int) -> None:
        if not facility or facility in self._known:
            return
        key = Key("Organization", organization_id(facility))
        if transaction.current(key) is not None:
            self._known.add(facility)
            return
        keep(transaction, _organization(facility, key), id=key.id, facility=facility, now=now, policy=self._county.policy)

    def _changes(
        self, transaction: Transaction, entry: Entry, mapped: Mapped, now: int, there: Container[Key]
    ) -> tuple[list[Key], list[Key], list[Issue], dict[Key, Version]]:
        """What was changed, what was there already, what could not be; and all that the record itself states, as it now is."""
        origin = Origin.of(mapped.changed_at or entry.record.changed_at, entry.record.received_at, entry.sha256)
        changed: list[Key] = []
        found: list[Key] = []
        issues: list[Issue] = []
        versions: dict[Key, Version] = {}
        transaction.expect(map(key_of, mapped.changes))
        for change in mapped.changes:
            key = key_of(change)
            if change.mode == "union" and key in there:
                found.append(key)
                continue
            problem, saved, version = self._change(transaction, key, change, origin, entry.record.facility, now)
            if problem:
                issues.append(problem)
                continue
            (changed if saved and saved.changed else found).append(key)
            if version is not None and not version.deleted:
                versions[key] = version
        return list(dict.fromkeys(changed)), [key for key in dict.fromkeys(found) if key not in changed], issues, versions

    def _change(
        self, transaction: Transaction, key: Key, change: Change, origin: Origin, facility: str, now: int
    ) -> tuple[Issue | None, Saved | None, Version | None]:
        """The last is the resource as it is afterwards."""
        current = transaction.current(key)
        stamps = transaction.stamps(key) if current else {}
        if change.mode == "delete":
            return None, *_deleted(transaction, key, current, deletion_stamp(stamps, origin), now)
        settled, marks = _settled(key, change, current, stamps, origin)
        if current and marks == stamps and (settled is None or current.deleted):
            return None, None, current
        if settled is not None:
            problem = invalid(Change(settled)) if change.mode != "replace" else None
            if problem:
                return problem, None, current
        transaction.set_stamps(key, marks)
        if settled is None:
            return None, None, current
        saved = keep(transaction, settled, id=key.id, facility=facility, now=now, policy=self._county.policy)
        return None, saved, saved.version

    def _provenance(
        self, transaction: Transaction, entry: Entry, attempt: Attempt, versions: dict[Key, Version], now: int, *, first: bool
    ) -> None:
        """Of all that the record states, whether it changed anything or not: so the order of arrival makes no difference."""
        assert attempt.mapped is not None  # noqa: S101
        key = provenance_key(entry)
        patient = patient_of_all(versions.values(), attempt.mapped.resources)
        stated = provenance_of(entry, attempt.mapped, list(versions), patient, attempt.mapper, now)
        if closing := closed_by(versions.values()):
            stated["meta"] = {"security": closing}
        if first and key.type not in watched_in(transaction):
            transaction.add([Addition(stated, key.id, entry.record.facility)])  # written together with those of other records
        elif not says_the_same(transaction.current(key), stated):
            keep(transaction, stated, id=key.id, facility=entry.record.facility, now=now, policy=self._county.policy)

    def _audit(self, transaction: Transaction, entry: Entry, outcome: str, keys: Iterable[Key]) -> None:
        touched = list(keys)
        patients = [key.id for key in touched if key.type == "Patient"]
        now = self._clock()
        event = audit_event(
            PIPELINE,
            action="C",
            interaction="create",
            outcome=outcome,
            keys=[key for key in touched if key.type != "Patient"],
            type="" if touched else entry.record.kind.partition("/")[0],
            patients=patients,
            now=now,
        )
        save_event(transaction, event, entry.record.facility, now)


def _already_there(transaction: Transaction, attempt: Attempt) -> set[Key]:
    """Wholes into which another record has brought what this one states, its outcome says so; otherwise this one does it itself."""
    there = set()
    for key, seq in attempt.stated_by.items():
        outcome = transaction.outcome(seq)
        if outcome and f"{key.type}/{key.id}" in outcome.resources:
            there.add(key)
    return there


def _organization(facility: str, key: Key) -> Resource:
    """A facility that county.toml does not name: its code is all that is known."""
    identifier = {"system": FACILITY_CODE, "value": facility}
    return {"resourceType": key.type, "id": key.id, "identifier": [identifier], "active": True, "name": facility}


def _settled(
    key: Key, change: Change, current: Version | None, stamps: dict[str, str], origin: Origin
) -> tuple[Resource | None, dict[str, str]]:
    """The new state, None when it is the old one; and the stamps."""
    before = _body(current)
    if change.mode == "union":
        marks = union_stamp(stamps, origin)
        united = unions()[key.type](before, change.resource)
        return (None if united == before else united), marks
    assert change.mode != "delete"  # noqa: S101 - see `_deleted`
    result = settle(before, stamps, change.resource, change.mode, origin)
    return (result.resource if result.changed else None), result.stamps


def _deleted(
    transaction: Transaction, key: Key, current: Version | None, marks: dict[str, str] | None, now: int
) -> tuple[Saved | None, Version | None]:
    """Unless it was stated anew since, is gone already or never came."""
    if current is None or marks is None:
        return None, current
    transaction.set_stamps(key, marks)
    if current.deleted:
        return None, current
    saved = remove(transaction, key, now)
    return saved, saved.version


def _body(version: Version | None) -> Resource | None:
    if version is None or version.deleted:
        return None
    body = load(version.body)
    meta = {name: value for name, value in body.pop("meta", {}).items() if name not in ("versionId", "lastUpdated")}
    tags = [tag for tag in meta.pop("tag", []) if tag.get("system") != FACILITY_TAG]
    meta |= {"tag": tags} if tags else {}
    return {**body, "meta": meta} if meta else body


def _issue(issue: Issue) -> dict[str, str]:
    members = ("code", "where", "detail", "severity", "system", "value", "display")
    return {name: value for name in members if (value := getattr(issue, name))}
