"""One record → one line of a timeline: what it is, what it says, whether it is out of its range."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hub.recognition.candidates import modalities, study_title, value_text
from hub.records.dates import date_of, instant
from hub.records.reader import Found, code_text, reference_id

Kind = Literal["result", "report", "image", "ecg", "document", "order", "medicine", "diagnosis", "immunization", "procedure"]

KIND_ORDER: tuple[Kind, ...] = (
    "diagnosis", "procedure", "medicine", "immunization", "order", "report", "image", "ecg", "result", "document",
)  # fmt: skip
ARROW = {"H": "↑", "HH": "↑↑", "L": "↓", "LL": "↓↓", "A": "!", "AA": "!!", "POS": "+"}
AS_EXPECTED = frozenset({"", "N", "NEG", "ND", "NR"})
"""Interpretations that ask for no attention. https://hl7.org/fhir/R4/valueset-observation-interpretation.html"""


@dataclass(frozen=True, slots=True)
class Event:
    kind: Kind
    type: str
    id: str
    facility: str
    at: str  # FHIR dateTime as stated; "" for none
    title: str
    detail: str = ""
    status: str = ""
    abnormal: int = 0  # results outside their range, of a report
    ordered: str = ""  # when the order that a report answers was written


@dataclass(frozen=True, slots=True)
class Beside:
    """What a report's line needs beside the report, by id."""

    observations: Mapping[str, Found]
    orders: Mapping[str, Found]


def kind_of(found: Found) -> Kind:
    if found.type == "DiagnosticReport":
        return "ecg" if is_ecg(found.resource) else "image" if found.resource.get("imagingStudy") else "report"
    if found.type == "ImagingStudy":
        return "ecg" if "ECG" in modalities(found.resource) else "image"
    return KINDS[found.type]


def event_of(found: Found, beside: Beside) -> Event:
    return _report(found, beside) if found.type == "DiagnosticReport" else BUILDERS[found.type](found)


def orders_of(found: Found) -> list[str]:
    return [id for id in (reference_id(r, "ServiceRequest") for r in found.resource.get("basedOn", ())) if id]


def document_keys(found: Found) -> set[tuple[str, ...]]:
    """By what a Composition and the DocumentReference to its file are one document: its identifier, else title and time."""
    resource = found.resource
    stated = resource.get("masterIdentifier") or resource.get("identifier")
    identifiers = stated if isinstance(stated, list) else [stated] if stated else []
    keys: set[tuple[str, ...]] = {(str(i.get("system", "")), str(i["value"])) for i in identifiers if i.get("value")}
    title = str(resource.get("title") or resource.get("description") or "")
    if title and found.type in ("Composition", "DocumentReference"):
        keys.add((found.facility, title, str(instant(date_of(found)))))
    return keys


def is_ecg(report: Mapping[str, Any]) -> bool:
    codes = {str(c.get("code", "")) for category in report.get("category", ()) for c in category.get("coding", ())}
    return "EC" in codes


def _report(found: Found, beside: Beside) -> Event:
    resource, kind = found.resource, kind_of(found)
    ids = (reference_id(each, "Observation") for each in resource.get("result", ()))
    results = [beside.observations[id] for id in ids if id in beside.observations]
    abnormal = [r for r in results if out_of_range(flag_of(r.resource))]
    in_brief = [_brief(r.resource) for r in (abnormal or results)[:6] if kind == "report"]
    detail = str(resource.get("conclusion", "")) or "，".join(in_brief)
    ordered = next((date_of(beside.orders[id]) for id in orders_of(found) if id in beside.orders), "")
    return Event(
        kind, found.type, found.id, found.facility, date_of(found), code_text(resource.get("code")), detail,
        str(resource.get("status", "")), len(abnormal), ordered,
    )  # fmt: skip


def _brief(observation: Mapping[str, Any]) -> str:
    return f"{code_text(observation.get('code'))} {value_text(observation)} {ARROW.get(flag_of(observation), '')}".strip()


def flag_of(observation: Mapping[str, Any]) -> str:
    """The source's own interpretation code; never ours."""
    codings = [c for i in observation.get("interpretation", ()) for c in i.get("coding", ())]
    return next((str(c["code"]) for c in codings if c.get("code")), "")


def out_of_range(flag: str) -> bool:
    return flag not in AS_EXPECTED


def _observation(found: Found) -> Event:
    resource = found.resource
    flag = flag_of(resource)
    return Event(
        "result", found.type, found.id, found.facility, date_of(found), code_text(resource.get("code")),
        f"{value_text(resource)} {ARROW.get(flag, '')}".strip(), str(resource.get("status", "")), int(out_of_range(flag)),
    )  # fmt: skip


def _study(found: Found) -> Event:
    return _event(kind_of(found), found, study_title(found.resource))


def _document(found: Found) -> Event:
    resource = found.resource
    return _event("document", found, str(resource.get("description") or "") or code_text(resource.get("type")))


def _composition(found: Found) -> Event:
    resource = found.resource
    return _event("document", found, str(resource.get("title") or "") or code_text(resource.get("type")))


def _order(found: Found) -> Event:
    return _event("order", found, code_text(found.resource.get("code")))


def medicine_of(found: Found) -> Event:
    resource = found.resource
    name = code_text(resource.get("medicationCodeableConcept")) or str(resource.get("medicationReference", {}).get("display", ""))
    return _event("medicine", found, name, dosage_text(resource))


def dosage_text(request: Mapping[str, Any]) -> str:
    texts = []
    for dosage in request.get("dosageInstruction", ()):
        quantity: Mapping[str, Any] = next((d["doseQuantity"] for d in dosage.get("doseAndRate", ()) if "doseQuantity" in d), {})
        amount = f"{quantity.get('value', '')}{quantity.get('unit', '')}"
        parts = (amount, code_text(dosage.get("route")), code_text(dosage.get("timing", {}).get("code")))
        texts.append(str(dosage.get("text") or " ".join(part for part in parts if part)))
    return "；".join(text for text in texts if text)


def _condition(found: Found) -> Event:
    return _event("diagnosis", found, code_text(found.resource.get("code")))


def _immunization(found: Found) -> Event:
    return _event("immunization", found, code_text(found.resource.get("vaccineCode")))


def _procedure(found: Found) -> Event:
    return _event("procedure", found, code_text(found.resource.get("code")))


def _event(kind: Kind, found: Found, title: str, detail: str = "") -> Event:
    status = str(found.resource.get("status", ""))
    return Event(kind, found.type, found.id, found.facility, date_of(found), title, detail, status)


KINDS: Mapping[str, Kind] = {
    "Observation": "result",
    "DocumentReference": "document",
    "Composition": "document",
    "ServiceRequest": "order",
    "MedicationRequest": "medicine",
    "Condition": "diagnosis",
    "Immunization": "immunization",
    "Procedure": "procedure",
}
BUILDERS: Mapping[str, Callable[[Found], Event]] = {
    "Observation": _observation,
    "ImagingStudy": _study,
    "DocumentReference": _document,
    "Composition": _composition,
    "ServiceRequest": _order,
    "MedicationRequest": medicine_of,
    "Condition": _condition,
    "Immunization": _immunization,
    "Procedure": _procedure,
}
