"""The answer at order time: CDS Hooks `order-sign` of three tests for a person with about a hundred results.

Two of them have a result of yesterday that counts, from another facility, so that each call also writes its prompts. One doctor
asks after the other: what is measured is how long each waits, and how much computing it costs.
"""

from __future__ import annotations

import http.client
import json
import random
import statistics
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil

from benchmarks.data import bundle, observation
from benchmarks.hub import BenchHub
from hub import fhir_json
from profiles.names import FACILITY_TAG, LOINC, UCUM

PATIENTS, CALLS, WARM = 200, 400, 20
COUNTED = ("2823-3", "2951-2")  # potassium, sodium
OLD = "14682-9"  # creatinine: only older results
SERVICE = "/cds-services/mutual-recognition-order-sign"


def order_time(hub: BenchHub, count: int) -> tuple[float, str]:
    """Milliseconds at the 95th percentile."""
    patients = [f"p{number}" for number in random.Random(count).sample(range(max(1, count // 100)), min(PATIENTS, count // 100))]
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=120)
    _fresh_results(connection, hub.token, patients)
    bodies = [_hook(patients[number % len(patients)]) for number in range(WARM + CALLS)]
    for body in bodies[:WARM]:
        _call(connection, hub.token, SERVICE, body)
    waited: list[float] = []
    cards, computed = 0, _computed(hub)
    for body in bodies[WARM:]:
        started = time.perf_counter()
        answer = _call(connection, hub.token, SERVICE, body)
        waited.append(1000 * (time.perf_counter() - started))
        cards += len(json.loads(answer)["cards"])
    each = 1000 * (_computed(hub) - computed) / CALLS
    p95 = statistics.quantiles(waited, n=20)[-1]
    return p95, f"p50 {statistics.median(waited):.1f} ms, {each:.1f} ms of computing each, {cards / CALLS:.1f} cards"


def _computed(hub: BenchHub) -> float:
    """Seconds of computing by the hub and its children."""
    process = psutil.Process(hub.pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def _fresh_results(connection: http.client.HTTPConnection, token: str, patients: list[str]) -> None:
    """Yesterday's, of a laboratory whose evaluation stands in the demonstration's evidence."""
    at = (datetime.now(UTC) - timedelta(days=1)).isoformat(timespec="seconds")
    every = []
    for place, patient in enumerate(patients):
        for number, code in enumerate(COUNTED):
            result = observation(0, 1, random.Random(place))
            result |= {"id": f"fresh-{place}-{number}", "subject": {"reference": f"Patient/{patient}"}, "effectiveDateTime": at}
            result["code"] = {"coding": [{"system": LOINC, "code": code}]}
            result["valueQuantity"] |= {"system": UCUM, "code": "mmol/L"}
            result["meta"] = {"tag": [{"system": FACILITY_TAG, "code": "CTY"}]}
            every.append(result)
    for start in range(0, len(every), 200):
        _call(connection, token, "/fhir", fhir_json.dump(bundle(every[start : start + 200])), "application/fhir+json")


def _hook(patient: str) -> bytes:
    orders: list[dict[str, Any]] = [
        {
            "resourceType": "ServiceRequest",
            "id": f"order-{code}",
            "status": "draft",
            "intent": "order",
            "code": {"coding": [{"system": LOINC, "code": code}]},
            "subject": {"reference": f"Patient/{patient}"},
        }
        for code in (*COUNTED, OLD)
    ]
    visit = uuid.uuid4().hex
    provider = {"resourceType": "Encounter", "class": {"code": "AMB"}, "serviceProvider": {"reference": "Organization/BEN"}}
    context = {
        "userId": "Practitioner/1",
        "patientId": patient,
        "encounterId": visit,
        "draftOrders": {"resourceType": "Bundle", "entry": [{"resource": order} for order in orders]},
    }
    stated = {"hook": "order-sign", "hookInstance": str(uuid.uuid4()), "context": context, "prefetch": {"encounter": provider}}
    return json.dumps(stated).encode()


def _call(
    connection: http.client.HTTPConnection, token: str, path: str, body: bytes, content_type: str = "application/json"
) -> bytes:
    connection.request("POST", path, body, {"authorization": f"Bearer {token}", "content-type": content_type})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != http.client.OK:
        raise RuntimeError(f"{path} answered {answer.status}")
    return content
