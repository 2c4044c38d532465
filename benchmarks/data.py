"""Synthetic resources and messages for the measurements: small, varied, valid; the same seed makes the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from demo.lis import LaboratorySystem
from demo.people import FACILITIES, make_people
from demo.story import ITEMS, make_visits
from profiles.names import LOINC, OBSERVATION_CATEGORY, UCUM

CHINA = timezone(timedelta(hours=8))
START = datetime(2026, 1, 1, 8, tzinfo=CHINA)
CODES = tuple(ITEMS.values())


def patient(number: int) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": f"p{number}",
        "identifier": [{"system": "urn:hub:BEN:patient", "value": f"B{number:07d}"}],
        "name": [{"use": "official", "text": f"测试{chr(0x4E00 + number % 20000)}"}],
        "gender": "female" if number % 2 else "male",
        "birthDate": f"{1940 + number % 80}-{1 + number % 12:02d}-{1 + number % 28:02d}",
        "telecom": [{"system": "phone", "value": f"138{number:08d}"[:11]}],
    }


def observation(number: int, patients: int, rng: random.Random) -> dict[str, Any]:
    item = CODES[number % len(CODES)]
    at = START + timedelta(minutes=rng.randrange(400_000))
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "category": [{"coding": [{"system": OBSERVATION_CATEGORY, "code": "laboratory"}]}],
        "code": {
            "coding": [
                {"system": "urn:hub:BEN:item", "code": f"I{number % len(CODES)}", "display": item.name},
                {"system": LOINC, "code": item.loinc},
            ],
            "text": item.name,
        },
        "subject": {"reference": f"Patient/p{rng.randrange(patients)}"},
        "effectiveDateTime": at.isoformat(),
        "issued": (at + timedelta(hours=2)).isoformat(),
        "performer": [{"reference": "Organization/BEN"}],
        "valueQuantity": {
            "value": Decimal(f"{rng.uniform(1, 200):.2f}"),
            "unit": item.unit,
            "system": UCUM,
            "code": "mmol/L",
        },
        "referenceRange": [
            {"low": {"value": Decimal(item.low)}, "high": {"value": Decimal(item.high)}, "text": f"{item.low}-{item.high}"}
        ],
    }


def bundle(resources: list[dict[str, Any]]) -> dict[str, Any]:
    """A transaction that creates or updates each under its own id."""
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": r, "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"}} for r in resources],
    }


def resources(count: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """One patient in a hundred, then observations of them."""
    rng = random.Random(seed)
    patients = max(1, count // 100)
    for number in range(patients):
        yield patient(number)
    for number in range(count - patients):
        yield observation(number, patients, rng)


def messages(count: int, seed: int = 1) -> list[bytes]:
    """HL7 v2 as a county's LIS sends it: registrations, orders and results in GB18030 and UTF-8, mixed."""
    now = START + timedelta(days=200)
    people = make_people(max(20, count // 8), seed, now.date())
    visits = make_visits(people, seed, now)
    every: list[bytes] = []
    for facility in FACILITIES:
        system = LaboratorySystem(facility)
        every += (m.content for m in system.registrations(people, now - timedelta(days=90)))
        every += (m.content for m in system.orders_and_results(visits))
    random.Random(seed).shuffle(every)
    return every[:count]
