"""A county with destinations, and a report as its systems bring it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hub.settings import County
from tests.hub.api.county import COUNTY, Served, bundle, entry, served

QUICK = {"first_retry_seconds": 0.05, "longest_retry_seconds": 0.2, "timeout_seconds": 10}
REPORTS = ["DiagnosticReport?status=final,amended,corrected"]
PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"


def destination(name: str, kind: str, **options: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, "facility": "CTY", "criteria": REPORTS, **QUICK, **options}


def county(*destinations: dict[str, Any]) -> County:
    return County.model_validate({**COUNTY.model_dump(by_alias=True), "destination": list(destinations)})


Running = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def running(tmp_path: Path) -> Running:
    """A hub with these destinations, on the test's folder: closed and opened again it goes on."""

    @asynccontextmanager
    async def run(*destinations: dict[str, Any], store: str = "", folder: str = "data") -> AsyncIterator[Served]:
        async with served(tmp_path / folder, county(*destinations), store=store) as hub:
            yield hub

    return run


def patient(id: str = "p", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": id,
        "identifier": [
            {"system": "urn:hub:CTY:patient", "value": "100231", "type": {"coding": [{"code": "MR"}]}},
            {"system": "urn:oid:2.16.156.10011.1.3", "value": "330327198801014330"},
        ],
        "name": [{"text": "张三"}],
        "gender": "male",
        "birthDate": "1988-01-01",
        **more,
    }


def sodium(id: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"coding": [{"system": "urn:hub:CTY:item", "code": "NA", "display": "钠"}], "text": "钠"},
        "subject": {"reference": "Patient/p"},
        "effectiveDateTime": "2026-05-01T08:00:00+08:00",
        "valueQuantity": {"value": 139.50, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
        "referenceRange": [{"low": {"value": 137}, "high": {"value": 147}, "text": "137-147"}],
        "interpretation": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "code": "N"}]}
        ],
        **more,
    }


def report(id: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "DiagnosticReport",
        "id": id,
        "identifier": [{"system": "urn:hub:CTY:report", "value": id, "type": {"coding": [{"code": "FILL"}]}}],
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "CH"}]}],
        "code": {"coding": [{"system": "urn:hub:CTY:item", "code": "SHQT", "display": "生化全套"}], "text": "生化全套"},
        "subject": {"reference": "Patient/p"},
        "effectiveDateTime": "2026-05-01T08:00:00+08:00",
        "issued": "2026-05-01T09:12:30+08:00",
        "result": [{"reference": f"Observation/o-{id}"}],
        **more,
    }


async def stored(client: Any, *resources: dict[str, Any]) -> None:
    """All in one transaction."""
    answer = await client.post(bundle("transaction", *(put(each) for each in resources)), "/fhir")
    assert answer.status_code == 200, answer.text


def put(resource: dict[str, Any]) -> dict[str, Any]:
    return entry("PUT", f"{resource['resourceType']}/{resource['id']}", resource)


async def reported(client: Any, *ids: str, **more: Any) -> None:
    """A patient's reports with a result each, one after the other."""
    for id in ids:
        await stored(client, patient(), sodium(f"o-{id}"), report(id, **more))
