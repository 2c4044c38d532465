"""The status of a Subscription as the hub sets it: a new version of the resource, by the hub, in the commit of what caused it."""

from __future__ import annotations

import msgspec

from hub import fhir_json
from hub.security.access import Access
from hub.security.audit import audit_event
from hub.security.trail import save_event
from hub.store.port import Key, Transaction
from hub.subscriptions.outbox import State, put_registration, registration_in

HUB = Access(name="yitong-subscriptions", role="system", purpose="HOPERAT")


def conclude(transaction: Transaction, id: str, state: State, now: int, *, problem: str = "") -> None:
    """`problem` becomes Subscription.error: it names no address and nobody's data."""
    registration = registration_in(transaction, id)
    if registration is None or registration.state == state:
        return
    put_registration(transaction, msgspec.structs.replace(registration, state=state))
    key = Key("Subscription", id)
    current = transaction.current(key)
    if current is None or current.deleted:
        return
    resource = fhir_json.load(current.body)
    resource["status"] = state
    resource.pop("error", None)
    if problem:
        resource["error"] = problem
    transaction.save(resource, id=id, facility=current.facility)
    save_event(transaction, audit_event(HUB, action="U", interaction="update", key=key, now=now), current.facility, now)
