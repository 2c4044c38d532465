"""The body of a CDS Hooks call → what is asked. https://cds-hooks.hl7.org/2.0/#http-request_1

What is wrong is named by its place. What is not a test (a MedicationRequest in the same session) is passed over.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hub.errors import Invalid
from hub.recognition.ordering import MOST_ORDERS, Draft

Json = Mapping[str, Any]

URGENT = frozenset({"stat"})  # ServiceRequest.priority that nothing may stop
CONTEXT_EXTENSION = "urn:hub:ext:recognition-context"  # ServiceRequest; valueCode: a setting of the catalogue
CLASS_CONTEXT = {
    "AMB": "outpatient",
    "VR": "outpatient",
    "HH": "outpatient",
    "EMER": "emergency",
    "IMP": "inpatient",
    "ACUTE": "inpatient",
    "NONAC": "inpatient",
    "OBSENC": "inpatient",
    "SS": "inpatient",
    "PRENC": "inpatient",
}
"""Encounter.class (v3-ActCode) → a setting of the catalogue."""
ID = re.compile(r"[A-Za-z0-9\-.]{1,64}").fullmatch


@dataclass(frozen=True, slots=True)
class HookRequest:
    """`identifiers`: (system, value) of the prefetched Patient. `context`: of its Encounter; "" where that has to be looked up."""

    hook_instance: str
    patient_id: str
    encounter_id: str
    user: str
    drafts: tuple[Draft, ...]
    identifiers: tuple[tuple[str, str], ...] = ()
    context: str = ""
    provider: str = ""  # Organization id of the prefetched Encounter's serviceProvider


def hook_request(body: bytes, hook: str) -> HookRequest:
    """Raise Invalid naming the field that is missing or wrong."""
    stated = _object(_parsed(body), "the body")
    if stated.get("hook") != hook:
        raise Invalid(f"hook must be {hook}, as this service's discovery says")
    context = _object(stated.get("context"), "context")
    bundle = _object(context.get("draftOrders"), "context.draftOrders")
    orders = list(_orders(bundle))
    if hook == "order-select":
        selected = {"/".join(str(each).split("/")[-2:]) for each in _list(context.get("selections"), "context.selections")}
        orders = [order for order in orders if selected & {f"ServiceRequest/{order.get('id', '')}", str(order.get("id", ""))}]
    prefetch = _perhaps(stated.get("prefetch"))
    encounter = _perhaps(prefetch.get("encounter"))
    return HookRequest(
        hook_instance=_uuid(stated.get("hookInstance")),
        patient_id=_id(context.get("patientId"), "context.patientId"),
        encounter_id=_optional_id(context.get("encounterId"), "context.encounterId"),
        user=_text(context.get("userId"), "context.userId"),
        drafts=tuple(draft for order in orders if (draft := draft_of(order)) is not None),
        identifiers=tuple(_identifiers(prefetch.get("patient"))),
        context=class_context(encounter),
        provider=_provider(encounter),
    )


def class_context(encounter: Json) -> str:
    """Encounter → a setting; "" for one that says none."""
    coding = encounter.get("class")
    return CLASS_CONTEXT.get(str(coding.get("code", "")), "") if isinstance(coding, Mapping) else ""


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Invalid("the body is not JSON") from None


def _object(value: object, name: str) -> Json:
    if not isinstance(value, Mapping):
        raise Invalid(f"{name} must be a JSON object")
    return value


def _perhaps(value: object) -> Json:
    """Prefetch is best effort: a client sends null, an OperationOutcome or nothing for what it could not fetch."""
    return value if isinstance(value, Mapping) else {}


def _list(value: object, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise Invalid(f"{name} must be a list")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Invalid(f"{name} is missing")
    return value.strip()[:200]


def _id(value: object, name: str) -> str:
    text = _text(value, name).removeprefix("Patient/")
    if not ID(text):
        raise Invalid(f"{name} must be a FHIR id")
    return text


def _optional_id(value: object, name: str) -> str:
    return _id(str(value).removeprefix("Encounter/"), name) if value else ""


def _uuid(value: object) -> str:
    try:
        return str(uuid.UUID(str(value)))
    except ValueError:
        raise Invalid("hookInstance must be a UUID") from None


def _orders(bundle: Json) -> Iterator[Json]:
    """The ServiceRequests. Raise Invalid for a Bundle that is none, or too long."""
    if bundle.get("resourceType") != "Bundle":
        raise Invalid("context.draftOrders must be a Bundle")
    entries = _list(bundle.get("entry", []), "context.draftOrders.entry")
    if len(entries) > MOST_ORDERS:
        raise Invalid(f"context.draftOrders: at most {MOST_ORDERS} entries")
    for number, entry in enumerate(entries):
        resource = _object(_object(entry, f"context.draftOrders.entry[{number}]").get("resource"), f"entry[{number}].resource")
        if resource.get("resourceType") == "ServiceRequest":
            yield resource


def draft_of(order: Json) -> Draft | None:
    """None for an order that names no code, so that there is nothing to compare, or that is an order not to do it."""
    if order.get("doNotPerform") is True:
        return None
    code = order.get("code")
    codings = code.get("coding") if isinstance(code, Mapping) else None
    codes = tuple(
        f"{coding['system']}|{coding['code']}" if coding.get("system") else str(coding["code"])
        for coding in (codings if isinstance(codings, list) else ())
        if isinstance(coding, Mapping) and coding.get("code")
    )
    if not codes:
        return None
    return Draft(str(order.get("id", "")), codes, urgent=order.get("priority") in URGENT, context=_stated_context(order))


def _stated_context(order: Json) -> str:
    """What an order itself says of its setting, past what its Encounter's class can: preoperative, transfusion, forensic …"""
    extensions = order.get("extension")
    for each in extensions if isinstance(extensions, list) else ():
        if isinstance(each, Mapping) and each.get("url") == CONTEXT_EXTENSION:
            return str(each.get("valueCode", ""))
    return ""


def _identifiers(patient: object) -> Iterator[tuple[str, str]]:
    stated = patient.get("identifier") if isinstance(patient, Mapping) else None
    for each in (stated if isinstance(stated, list) else ())[:20]:
        if isinstance(each, Mapping) and each.get("system") and each.get("value"):
            yield str(each["system"]), str(each["value"])


def _provider(encounter: Json) -> str:
    stated = encounter.get("serviceProvider")
    return str(stated.get("reference", "")).rpartition("/")[2] if isinstance(stated, Mapping) else ""
