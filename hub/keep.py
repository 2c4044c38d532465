"""The one way a resource gets into the store, whether a client sent it or the pipeline mapped it.

Saved, then what follows from it in the same transaction: who treats whom (Encounter, ServiceRequest), whose it is (Patient), what
can be searched (SearchParameter), who waits for it (Subscription).
"""

from __future__ import annotations

from typing import Any, Literal

from hub.identity import link_patient
from hub.reindexing import keep_parameter
from hub.security.policy import PROVING_TYPES, is_golden, relations
from hub.settings import Policy
from hub.store.port import Key, Saved, Transaction
from hub.subscriptions.watch import awaited
from hub.terminology.changes import note_change


def keep(
    transaction: Transaction,
    resource: dict[str, Any],
    *,
    id: str,
    facility: str,
    now: int,
    policy: Policy,
    method: Literal["POST", "PUT"] = "PUT",
    if_match: int | None = None,
) -> Saved:
    """Save `resource`, owned by `facility` (tagged in meta), at `now` (UTC ms)."""
    waiting = awaited(transaction, Key(resource["resourceType"], id))
    saved = transaction.save(resource, id=id, facility=facility, method=method, if_match=if_match)
    note_change(transaction, saved)
    if saved.changed:
        if resource["resourceType"] in PROVING_TYPES:
            transaction.relate(Key(resource["resourceType"], id), relations(resource, facility, now, policy))
        if resource["resourceType"] == "Patient" and not is_golden(resource):
            link_patient(transaction, {**resource, "id": id}, now, created=saved.created)
        if resource["resourceType"] == "SearchParameter":
            keep_parameter(transaction, resource, id, now)
        if waiting is not None:
            waiting.report(saved, now)
    return saved
