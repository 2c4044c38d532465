"""A hub with two facilities that do not know of each other's patients, and clients that enter by the front door."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from hub.app import Hub, create_app, open_hub
from hub.security.access import Role
from hub.settings import County

COUNTY = County.model_validate(
    {
        "name": "示范县医共体",
        "facility": [
            {"code": "CTY", "name": "示范县人民医院", "name_en": "County Hospital", "kind": "A100"},
            {"code": "TWN", "name": "青石镇卫生院", "parent": "CTY", "kind": "C220"},
        ],
    }
)

FHIR = {"content-type": "application/fhir+json"}


@dataclass
class Client:
    """One token's view of the hub."""

    http: httpx.AsyncClient

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    async def put(self, resource: dict[str, Any], **headers: str) -> httpx.Response:
        path = f"/fhir/{resource['resourceType']}/{resource['id']}"
        return await self.http.put(path, json=resource, headers=FHIR | {k.replace("_", "-"): v for k, v in headers.items()})

    async def post(self, resource: dict[str, Any], path: str = "", **headers: str) -> httpx.Response:
        path = path or f"/fhir/{resource['resourceType']}"
        return await self.http.post(path, json=resource, headers=FHIR | {k.replace("_", "-"): v for k, v in headers.items()})

    async def patch(self, path: str, operations: object, **headers: str) -> httpx.Response:
        """A list is a JSON Patch, Parameters are a FHIRPath Patch."""
        kind = "application/json-patch+json" if isinstance(operations, list) else "application/fhir+json"
        named = {"content-type": kind} | {k.replace("_", "-"): v for k, v in headers.items()}
        return await self.http.patch(path, json=operations, headers=named)

    async def delete(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.delete(path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    async def walk(self, path: str) -> list[dict[str, Any]]:
        """All entries of all pages."""
        entries: list[dict[str, Any]] = []
        following: str | None = path
        while following:
            answer = await self.get(following)
            assert answer.status_code == 200, answer.text
            entries += answer.json().get("entry", [])
            following = link(answer.json(), "next")
        return entries


def link(bundle: dict[str, Any], relation: str) -> str | None:
    return next((x["url"] for x in bundle["link"] if x["relation"] == relation), None)


@dataclass
class Served:
    hub: Hub
    transport: httpx.ASGITransport

    def client(self, role: Role, facility: str = "", name: str = "") -> Client:
        token = self.hub.tokens.create(name or f"{role} {facility}", role, facility)
        return self.bearer(token)

    def bearer(self, token: str) -> Client:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return Client(httpx.AsyncClient(transport=self.transport, base_url="http://hub", headers=headers))


@asynccontextmanager
async def served(folder: Path, county: County = COUNTY, store: str = "") -> AsyncIterator[Served]:
    hub = open_hub(folder, county, store=store)
    try:
        yield Served(hub, httpx.ASGITransport(create_app(hub)))
    finally:
        hub.close()


def patient(id: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id, "name": [{"text": "张三"}], "gender": "male", **more}


def observation(id: str, patient_id: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "2345-7"}]},
        "subject": {"reference": f"Patient/{patient_id}"},
        **more,
    }


def encounter(id: str, patient_id: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": id,
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": f"Patient/{patient_id}"},
        **more,
    }


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def entry(method: str, url: str, resource: dict[str, Any] | None = None, full_url: str = "", **request: str) -> dict[str, Any]:
    made: dict[str, Any] = {"fullUrl": full_url} if full_url else {}
    if resource is not None:
        made["resource"] = resource
    return {**made, "request": {"method": method, "url": url, **request}}
