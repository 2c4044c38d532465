"""A small county made by dice: patients, visits, places and findings that refer to each other. All synthetic."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

Resource = dict[str, Any]

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
COUNTS = {"Organization": 5, "Location": 9, "Patient": 12, "Encounter": 18, "Observation": 45, "Condition": 15}

NAMES = ("王小明", "欧阳锋", "曾小乐", "Müller", "muller", "Smith-Jones", "仇英")
PLACES = ("急诊科", "内科 Ward 1", "Ward 2", "Étage")
WORDS = ("fever and cough", "发热三天", "no COUGH at all", "Fièvre")
CODES = ("718-7", "2160-0", "HB")
UNITS = (("mmol/L", UCUM), ("umol/L", UCUM), ("g/dL", UCUM), ("g/L", UCUM), ("tabl", ""), ("mmol/L", ""))
AMOUNTS = ("5", "5.4", "5.40", "5400", "100", "0.05", "13.5", "135")
DATES = ("2024", "2024-01", "2024-01-05", "2024-01-05T08:30:00+08:00", "2024-01-05T01:00:00Z", "2023-12-31T23:59:59.500+08:00")
PROFILES = ("http://a.cn/p", "http://a.cn/p/lab|1.0", "http://b.cn/p")


def ids(kind: str) -> list[str]:
    return [f"{kind[:2].lower()}{number}" for number in range(COUNTS[kind])]


class Maker:
    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    def resource(self, kind: str) -> Resource:
        make = getattr(self, f"_{kind.lower()}")
        return {"resourceType": kind, **self._meta(), **self._narrative(), **make()}

    def _maybe(self, chance: float, **members: Any) -> Resource:
        return members if self._dice.random() < chance else {}

    def _to(self, kind: str) -> Resource:
        identifier = self._maybe(0.3, identifier={"system": "urn:x", "value": self._dice.choice("AB")})
        return {"reference": f"{kind}/{self._dice.choice([*ids(kind), 'nobody'])}", **identifier}

    def _meta(self) -> Resource:
        tag = [{"system": "urn:tag", "code": self._dice.choice("xy")}]
        return self._maybe(0.6, meta={"profile": [self._dice.choice(PROFILES)], "tag": tag})

    def _narrative(self) -> Resource:
        div = f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{self._dice.choice(WORDS)}</p> &amp; more</div>'
        return self._maybe(0.4, text={"status": "generated", "div": div})

    def _when(self) -> Resource:
        first, second = sorted(self._dice.sample(["2024-01-05", "2024-01-06", "2024-02-01", "2025-01-01"], 2))
        return self._dice.choice([{"start": first, "end": second}, {"start": first}, {"end": second}])

    def _concept(self) -> Resource:
        dice = self._dice
        codings = [
            {"code": dice.choice(CODES), **self._maybe(0.7, system=LOINC), **self._maybe(0.5, display="Hemoglobin [血红蛋白]")}
            for _ in range(dice.choice((1, 1, 2)))
        ]
        return {"coding": codings, **self._maybe(0.5, text=dice.choice(("Haemoglobin", "血红蛋白")))}

    def _quantity(self) -> Resource:
        unit, system = self._dice.choice(UNITS)
        stated = {"system": system, "code": unit} if system else {"unit": unit}
        return {"value": Decimal(self._dice.choice(AMOUNTS)), **stated, **self._maybe(0.1, comparator="<")}

    def _organization(self) -> Resource:
        return {
            "name": self._dice.choice(PLACES),
            "active": self._dice.random() < 0.5,
            **self._maybe(0.5, partOf=self._to("Organization")),
        }

    def _location(self) -> Resource:
        position = {"latitude": Decimal(self._dice.choice(("31.2", "31.25", "32"))), "longitude": Decimal("121.5")}
        return {
            "name": self._dice.choice(PLACES),
            "status": self._dice.choice(("active", "suspended")),
            **self._maybe(0.7, partOf=self._to("Location")),
            **self._maybe(0.5, managingOrganization=self._to("Organization")),
            **self._maybe(0.8, position=position),
        }

    def _patient(self) -> Resource:
        kind = {"coding": [{"system": TYPES, "code": self._dice.choice(("MR", "SS"))}], "text": "card"}
        identifier = {"system": "urn:mrn", "value": self._dice.choice(("A1", "a1", "B2")), **self._maybe(0.7, type=kind)}
        return {
            "identifier": [identifier],
            "name": [{"text": self._dice.choice(NAMES)} for _ in range(self._dice.randrange(3))],
            "gender": self._dice.choice(("male", "female", "unknown")),
            **self._maybe(0.8, birthDate=self._dice.choice(("1970", "1970-03", "1970-03-05", "2001-12-31"))),
            **self._maybe(0.8, managingOrganization=self._to("Organization")),
        }

    def _encounter(self) -> Resource:
        return {
            "status": self._dice.choice(("finished", "in-progress")),
            "class": {"system": "urn:class", "code": self._dice.choice(("AMB", "IMP"))},
            **self._maybe(0.9, subject=self._to("Patient")),
            **self._maybe(0.7, period=self._when()),
            **self._maybe(0.5, partOf=self._to("Encounter")),
            **self._maybe(0.6, serviceProvider=self._to("Organization")),
            **self._maybe(0.4, diagnosis=[{"condition": self._to("Condition")}]),
            "location": [{"location": self._to("Location")} for _ in range(self._dice.randrange(3))],
        }

    def _observation(self) -> Resource:
        parts = [{"code": self._concept(), **self._maybe(0.8, valueQuantity=self._quantity())} for _ in range(2)]
        values: list[Resource] = [{}, {"valueQuantity": self._quantity()}, {"valueString": self._dice.choice(WORDS)}]
        effective: list[Resource] = [{}, {"effectiveDateTime": self._dice.choice(DATES)}, {"effectivePeriod": self._when()}]
        return {
            "status": self._dice.choice(("final", "amended")),
            "code": self._concept(),
            **self._maybe(0.8, subject=self._to(self._dice.choice(("Patient", "Patient", "Location")))),
            **self._maybe(0.7, encounter=self._to("Encounter")),
            **self._maybe(0.3, hasMember=[self._to("Observation")]),
            **self._maybe(0.3, component=parts),
            **self._dice.choice([*values, values[1]]),
            **self._dice.choice(effective),
        }

    def _condition(self) -> Resource:
        status = {"coding": [{"system": "urn:status", "code": self._dice.choice(("active", "resolved"))}]}
        return {
            "code": self._concept(),
            "clinicalStatus": status,
            "subject": self._to("Patient"),
            **self._maybe(0.6, encounter=self._to("Encounter")),
            **self._maybe(0.7, onsetDateTime=self._dice.choice(DATES)),
            **self._maybe(0.5, evidence=[{"detail": [self._to("Observation")]}]),
        }
