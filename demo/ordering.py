"""A township doctor orders blood tests by CDS Hooks, answers the cards, and the administrator reads what it brought."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import httpx

from profiles.names import LOINC

SERVICE = "/cds-services/mutual-recognition-order-sign"
ORDERED = {"2823-3": "potassium", "2951-2": "sodium", "2075-0": "chloride"}
REASON = "R02"  # the result changes fast in the course of the disease
FEN = 100
TRIES = 20


def ordered(doctor: httpx.Client, patient: str) -> list[dict[str, Any]]:
    """The cards for three tests about to be signed. A busy machine may let the order go on without any: it is asked again then."""
    orders = [
        {
            "resourceType": "ServiceRequest",
            "id": f"draft-{code}",
            "status": "draft",
            "intent": "order",
            "code": {"coding": [{"system": LOINC, "code": code}]},
            "subject": {"reference": f"Patient/{patient}"},
        }
        for code in ORDERED
    ]
    context = {
        "userId": "Practitioner/3001",
        "patientId": patient,
        "encounterId": "demo-visit",
        "draftOrders": {"resourceType": "Bundle", "entry": [{"resource": order} for order in orders]},
    }
    stated = {"hook": "order-sign", "hookInstance": str(uuid.uuid4()), "context": context}
    cards: list[dict[str, Any]] = []
    for _ in range(TRIES):
        answer = doctor.post(SERVICE, json=stated, headers={"accept-language": "en"})
        answer.raise_for_status()
        cards = answer.json()["cards"]
        if cards:
            break
    return cards


def answered(doctor: httpx.Client, cards: list[dict[str, Any]]) -> int:
    """The first result is recognised, the second refused, the others are left; the HTTP status."""
    feedback: list[dict[str, Any]] = [{"card": cards[0]["uuid"], "outcome": "accepted"}]
    if len(cards) > 1:
        why = {"reason": {"code": REASON, "system": "urn:hub:repeat-reason"}}
        feedback.append({"card": cards[1]["uuid"], "outcome": "overridden", "overrideReason": why})
    return doctor.post(f"{SERVICE}/feedback", json={"feedback": feedback}).status_code


def measured(office: httpx.Client, day: date) -> Iterator[tuple[str, dict[str, int]]]:
    """Measure → its populations, of the day and the one before, should it be midnight."""
    for measure in ("recognition-rate", "recognition-refusals", "recognition-saved"):
        period = {"periodStart": (day - timedelta(days=1)).isoformat(), "periodEnd": day.isoformat()}
        answer = office.get(f"/fhir/Measure/{measure}/$evaluate-measure", params=period)
        answer.raise_for_status()
        (group,) = answer.json()["group"]
        yield measure, {each["code"]["coding"][0]["code"]: each["count"] for each in group["population"]}
