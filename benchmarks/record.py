"""One person with 5,000 resources at six facilities: how long the summary and the page of that record take a doctor.

A real hub over HTTP, asked by a clinician of one facility, so that every answer is narrowed by treatment relation and labels. Wall
time as the doctor waits, one question after the other, and the processor time that the hub's processes spent on each.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.figures import Figure
from benchmarks.hub import BenchHub
from benchmarks.scale import database

FACILITIES = ("F1", "F2", "F3", "F4", "F5", "F6")
PER_FACILITY = 834
ASKED = 20
BUNDLE = 400
TESTS = tuple(f"{4000 + n}-{n % 10}" for n in range(24))
CARD = {"system": "urn:oid:2.16.156.10011.1.3", "value": "110101199003078515"}
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
FACILITY_TAG = "urn:hub:facility"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"


def record(today: date) -> Iterator[dict[str, Any]]:
    """The same every time it is asked on one day; the newest first."""
    for facility in FACILITIES:
        yield _owned(
            facility,
            {"resourceType": "Patient", "id": f"{facility}-p", "identifier": [CARD], "birthDate": "1990-03-07", "gender": "female",
             "name": [{"text": "王小芳"}]},
        )  # fmt: skip
    for facility in FACILITIES:
        for number in range(PER_FACILITY - 1):
            day = (today - timedelta(days=number)).isoformat()
            yield _owned(facility, _one(facility, number, day))


def _owned(facility: str, resource: dict[str, Any]) -> dict[str, Any]:
    return {**resource, "meta": {"tag": [{"system": FACILITY_TAG, "code": facility}]}}


def _one(facility: str, number: int, day: str) -> dict[str, Any]:
    """Of ten records six are laboratory results, then a visit, a diagnosis, a prescription and a report."""
    subject = {"subject": {"reference": f"Patient/{facility}-p"}}
    encounter = {"encounter": {"reference": f"Encounter/{facility}-{number - number % 10 + 6}"}}
    made = {"id": f"{facility}-{number}", **subject}
    match number % 10:
        case 6:
            period = {"start": f"{day}T08:00:00+08:00", "end": f"{day}T10:00:00+08:00"}
            return {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}, "period": period, **made}
        case 7:
            code = {
                "coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": f"I{number % 90:02d}"}],
                "text": f"诊断{number % 40}",
            }
            status = {"coding": [{"system": CLINICAL, "code": "active"}]}
            return {"resourceType": "Condition", "clinicalStatus": status, "code": code, "recordedDate": day, **encounter, **made}
        case 8:
            medicine = {"text": f"药品{number % 60}片"}
            dose = [{"text": "20mg 口服 每日两次"}]
            return {"resourceType": "MedicationRequest", "status": "active", "intent": "order", "authoredOn": day,
                    "medicationCodeableConcept": medicine, "dosageInstruction": dose, **encounter, **made}  # fmt: skip
        case 9:
            results = [{"reference": f"Observation/{facility}-{number - 9 + n}"} for n in range(6)]
            return {"resourceType": "DiagnosticReport", "status": "final", "code": {"text": "生化"}, "effectiveDateTime": day,
                    "result": results, **encounter, **made}  # fmt: skip
    quantity = {"value": 4.1 + number % 7, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"}
    code = {"coding": [{"system": "http://loinc.org", "code": TESTS[number % len(TESTS)]}], "text": f"项目{number % len(TESTS)}"}
    category = [{"coding": [{"system": CATEGORY, "code": "laboratory"}]}]
    return {"resourceType": "Observation", "status": "final", "category": category, "code": code,
            "effectiveDateTime": f"{day}T08:00:00+08:00", "valueQuantity": quantity,
            "referenceRange": [{"low": {"value": 3.5}, "high": {"value": 5.3}}], **encounter, **made}  # fmt: skip


def figures(store: str, folder: Path) -> Iterator[Figure]:
    folder.mkdir(parents=True, exist_ok=True)
    with database(store, folder), BenchHub(folder / "hub") as hub:
        count = _fill(hub)
        asks = _asks(hub)
        for name, ask in asks.items():
            for _ in range(3):
                ask()
            yield _measured(f"{name}, {count} resources of one person", hub, ask)


def _fill(hub: BenchHub) -> int:
    headers = {"Authorization": f"Bearer {hub.token}", "Content-Type": "application/fhir+json"}
    resources = list(record(date.today()))  # noqa: DTZ011  the newest records are of today, as a doctor's are
    with httpx.Client(base_url=hub.url, headers=headers, timeout=600) as client:
        for start in range(0, len(resources), BUNDLE):
            entries = [
                {"resource": r, "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"}}
                for r in resources[start : start + BUNDLE]
            ]
            body = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})
            client.post("/fhir", content=body).raise_for_status()
    return len(resources)


def _asks(hub: BenchHub) -> dict[str, Callable[[], httpx.Response]]:
    token = _clinician(hub)
    api = httpx.Client(base_url=hub.url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
    pages = httpx.Client(base_url=hub.url, timeout=60, follow_redirects=True)
    csrf = re.search(r'name="csrf" value="([^"]+)"', pages.get("/login").text)
    assert csrf is not None
    pages.post("/login", data={"token": token, "csrf": csrf[1]}).raise_for_status()
    person = api.get("/fhir/Patient", params={"link": "Patient/F1-p"}).json()["entry"][0]["resource"]["id"]
    return {
        "$summary": lambda: api.get(f"/fhir/Patient/{person}/$summary").raise_for_status(),
        "record page": lambda: pages.get(f"/p/{person}").raise_for_status(),
        "record page, its medicines at one site": lambda: pages.get(f"/p/{person}?kind=medicine&site=F2").raise_for_status(),
        "record page, sixty visits": lambda: pages.get(f"/p/{person}?visits=60").raise_for_status(),
        "one test's course": lambda: pages.get(f"/p/{person}/labs?code=http://loinc.org|{TESTS[0]}").raise_for_status(),
        "$summary as PDF": lambda: pages.get(f"/p/{person}/summary.pdf").raise_for_status(),
    }


def _clinician(hub: BenchHub) -> str:
    command = [sys.executable, "-m", "hub", "token", "create", "--data", str(hub.folder), "--name", "doctor"]
    made = subprocess.run([*command, "--role", "clinician", "--facility", "F1"], check=True, capture_output=True, text=True)
    return made.stdout.split()[-1]


def _measured(name: str, hub: BenchHub, ask: Callable[[], httpx.Response]) -> Figure:
    walls, before, size = [], _processor(hub.pid), 0
    for _ in range(ASKED):
        begun = time.perf_counter()
        size = len(ask().content)
        walls.append(1000 * (time.perf_counter() - begun))
    spent = 1000 * (_processor(hub.pid) - before) / ASKED
    walls.sort()
    p50, p95 = walls[ASKED // 2], walls[int(0.95 * ASKED)]
    seen = f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, processor {spent:.0f} ms, {size // 1024} kB"
    sys.stderr.write(f"{name}: {seen}\n")
    return Figure(name, round(p95, 1), "ms (p95)", "1,000", tuple(round(wall, 1) for wall in walls), seen)


def _processor(pid: int) -> float:
    """Seconds of the hub and its fronts so far."""
    parent = psutil.Process(pid)
    return sum(sum(each.cpu_times()[:2]) for each in (parent, *parent.children(recursive=True)))
