"""`hub.keep` for many prepared resources of one transaction: saved together, then what follows from each."""

from __future__ import annotations

from collections.abc import Sequence

from hub import fhir_json
from hub.identity import link_patient
from hub.security.policy import PROVING_TYPES, relations
from hub.settings import Policy
from hub.store.port import Key, Prepared, Saved, Transaction
from hub.subscriptions.watch import awaited, watchers_in
from hub.terminology.changes import note_change

FOLLOWED = PROVING_TYPES | {"Patient"}


def keep_all(transaction: Transaction, resources: Sequence[Prepared], now: int, policy: Policy) -> list[Saved]:
    """No SearchParameter, no golden Patient, and no two of the same key."""
    watched = watchers_in(transaction)
    waiting = [awaited(transaction, Key(each.type, each.id)) if each.type in watched else None for each in resources]
    saved = transaction.save_all(resources)
    for each, result, waits in zip(resources, saved, waiting, strict=True):
        note_change(transaction, result)
        if result.changed and each.type in FOLLOWED:
            resource = fhir_json.load(result.version.body)
            if each.type == "Patient":
                link_patient(transaction, resource, now, created=result.created)
            else:
                transaction.relate(Key(each.type, each.id), relations(resource, each.facility, now, policy))
        if result.changed and waits is not None:
            waits.report(result, now)
    return saved
