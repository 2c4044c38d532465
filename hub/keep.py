"""The one way a resource gets into the store, whether a client sent it or the pipeline mapped it.

Saved, then what follows from it in the same transaction: who treats whom (Encounter, ServiceRequest), whose it is (Patient), what
can be searched (SearchParameter), who waits for it (Subscription).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from hub import fhir_json
from hub.identity import link_patient, unlink_deleted
from hub.reindexing import keep_parameter
from hub.security.policy import is_golden
from hub.security.relations import PROVING_TYPES, Row, relations
from hub.settings import Policy
from hub.store.compartments import labels_of_compartment, patient_in, restricted_compartment
from hub.store.port import Key, Prepared, Saved, Transaction, Writing
from hub.subscriptions.watch import Awaited, awaited, reported, watched_in
from hub.terminology.changes import note_change


def keep(
    transaction: Transaction,
    resource: dict[str, Any],
    *,
    id: str,
    facility: str,
    now: int,
    policy: Policy,
    method: Writing = "PUT",
    if_match: int | None = None,
) -> Saved:
    """Save `resource`, owned by `facility` (tagged in meta), at `now` (UTC ms)."""
    key = Key(resource["resourceType"], id)
    waiting = awaited(transaction, key)
    saved = transaction.save(resource, id=id, facility=facility, method=method, if_match=if_match)
    _follow(transaction, key, facility, saved, lambda: {**resource, "id": id}, waiting, now, policy)
    return saved


def keep_all(transaction: Transaction, resources: Sequence[Prepared], now: int, policy: Policy) -> list[Saved]:
    """The same for many that were prepared elsewhere, no two of one key."""
    watched = watched_in(transaction)
    waiting = [awaited(transaction, Key(each.type, each.id)) if each.type in watched else None for each in resources]
    saved = transaction.save_all(resources)
    for each, result, waits in zip(resources, saved, waiting, strict=True):
        content = partial(fhir_json.load, result.version.body)
        _follow(transaction, Key(each.type, each.id), each.facility, result, content, waits, now, policy)
    return saved


def remove(transaction: Transaction, key: Key, now: int, *, if_match: int | None = None) -> Saved:
    """Delete it: whoever waits for it is told, and it proves nothing any more. Raise NotFound if it never was."""
    saved = reported(transaction, key, now, lambda: transaction.delete(key, if_match=if_match), deleting=True)
    note_change(transaction, saved)
    if key.type in PROVING_TYPES:
        transaction.relate(key, ())
    elif key.type == "Patient" and saved.changed:
        unlink_deleted(transaction, key.id, now)
    return saved


def _follow(
    transaction: Transaction,
    key: Key,
    facility: str,
    saved: Saved,
    content: Callable[[], dict[str, Any]],
    waiting: Awaited | None,
    now: int,
    policy: Policy,
) -> None:
    """What follows from a change; `content` is asked only where something does."""
    note_change(transaction, saved)
    if not saved.changed:
        return
    if key.type in PROVING_TYPES:
        transaction.relate(key, _of_person(transaction, relations(content(), facility, now, policy)))
    elif key.type == "Patient" and not is_golden(patient := content()):
        link_patient(transaction, patient, now, created=saved.created)
    elif key.type == "SearchParameter":
        keep_parameter(transaction, content(), key.id, now)
    if waiting is not None:
        waiting.report(saved, now)


def _of_person(transaction: Transaction, rows: list[Row]) -> list[Row]:
    """Who is named for what a label closes is named for it under every Patient of the person."""
    spread: dict[Row, None] = {}
    for party, compartment, until in rows:
        labels, patient = labels_of_compartment(compartment), patient_in(compartment)
        person = transaction.patients_of(transaction.person_of(patient)) if labels else ()
        places = [restricted_compartment(labels, each) for each in person] or [compartment]
        spread.update(((party, place, until), None) for place in places)
    return list(spread)
