"""One person's record in two facilities: what a doctor's page asks for in one query."""

from __future__ import annotations

from typing import Any

import httpx

from tests.hub.api.county import Client, encounter, observation, patient

PERSON = patient(
    "zhang",
    name=[
        {"use": "official", "text": "张三", "family": "张", "given": ["三"]},
        {"use": "nickname", "text": "小三", "given": ["小三", "阿三"]},
    ],
    telecom=[{"system": "phone", "value": "13800000001", "rank": 1}, {"system": "email", "value": "z@example.com"}],
    birthDate="1960-05-01",
    _birthDate={"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime", "valueDateTime": "1960-05-01"}]},
    managingOrganization={"reference": "Organization/CTY"},
)


def result(id: str, value: float, **more: Any) -> dict[str, Any]:
    quantity = {"value": value, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"}
    return observation(id, "zhang", valueQuantity=quantity, effectiveDateTime=f"2024-01-0{id[-1]}", **more)


async def stored(client: Client) -> None:
    for resource in (PERSON, *(result(f"k{n}", n + 0.50) for n in (1, 2, 3)), encounter("visit", "zhang")):
        assert (await client.put(resource)).status_code in (200, 201)
    text = observation("text", "zhang", valueString="阴性", effectiveDateTime="2024-01-09")
    assert (await client.put(text)).status_code in (200, 201)


async def ask(client: Client, query: str, at: str = "", **variables: Any) -> httpx.Response:
    address = f"/fhir/{at}/$graphql" if at else "/fhir/$graphql"
    return await client.http.post(address, json={"query": query, "variables": variables})


async def data(client: Client, query: str, at: str = "", **variables: Any) -> Any:
    answer = await ask(client, query, at, **variables)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]
