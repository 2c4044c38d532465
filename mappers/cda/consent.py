"""知情同意书 (C0026-C0029, C0031) → Consent, if it says that the patient agreed or refused; else the document stands alone."""

from __future__ import annotations

from typing import Any

from connectors.xml import Element
from mappers.base import Resource
from mappers.cda.codes import CONSENT_ROOT
from mappers.cda.composition import title_of
from mappers.cda.document import Document, coding
from mappers.cda.entries import Statement
from mappers.cda.patient import human_name
from mappers.cda.reader import attribute, child, children
from mappers.identity_keys import local_system
from profiles.names import LOINC

OPINION = "DE06.00.018"
REFUSES = ("不同意", "拒绝", "不接受", "放弃")
AGREES = ("同意", "接受", "要求")
SIGNERS = ("患者", "代理人", "家属", "监护人")


def state_consent(document: Document) -> None:
    opinion = _opinion(document)
    signer, signed = _signature(document)
    if opinion is None or not (status := _decision(opinion.text)):
        document.note(
            "missing", OPINION, "no decision of the patient that could be told; kept as a document", severity="information"
        )
        return
    consent: Resource = {
        "resourceType": "Consent",
        "id": document.id("Consent"),
        "status": status,
        "scope": coding("http://terminology.hl7.org/CodeSystem/consentscope", "treatment"),
        "category": [coding(LOINC, "59284-0", "Consent Document")],
        "patient": document.patient,
        "organization": [document.organization],
        "policyRule": {"text": title_of(document)},
        "sourceReference": {"reference": f"DocumentReference/{document.id('DocumentReference')}"},
        **({"dateTime": signed} if signed else {}),
        **({"performer": [signer]} if signer else {}),
    }
    if number := document.number(CONSENT_ROOT):
        consent["identifier"] = [{"system": local_system(document.facility, "consent"), "value": number}]
    document.use("Consent.status", opinion.element)
    document.add(consent, at=opinion.element)


def _opinion(document: Document) -> Statement | None:
    """患者意见: by label, for the hospital's own opinion has the same code."""
    found = [one for section in document.sections for one in section.every() if one.code == OPINION and one.value]
    return next((one for one in found if any(word in one.label for word in SIGNERS)), None)


def _decision(text: str) -> str:
    if any(word in text for word in REFUSES):
        return "rejected"
    return "active" if any(word in text for word in AGREES) else ""


def _signature(document: Document) -> tuple[dict[str, Any] | None, str | None]:
    """Who of the patient's side signed, and when."""
    for element in (*children(document.root, "authenticator"), *children(document.root, "legalAuthenticator")):
        role: Element | None = child(element, "assignedEntity")
        title = attribute(child(role, "code"), "displayName")
        if any(word in title for word in SIGNERS):
            name = human_name(child(role, "assignedPerson", "name"))
            own = title.startswith("患者") and "代理" not in title
            signer = document.patient if own else {"type": "RelatedPerson", "display": name["text"]} if name else None
            return signer, document.time(attribute(child(element, "time"), "value"))
    return None, None
