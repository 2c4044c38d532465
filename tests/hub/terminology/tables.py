"""Tables as a county's record office keeps them: diagnoses by ICD-10, items of the laboratory, and what is made of them."""

from __future__ import annotations

from typing import Any

from tests.hub.api.county import Client

DIAGNOSES = "urn:hub:test:icd-10"
ITEMS = "urn:hub:test:items"

DIAGNOSIS_TABLE: dict[str, Any] = {
    "resourceType": "CodeSystem",
    "id": "icd-10",
    "url": DIAGNOSES,
    "version": "2.0",
    "name": "DiagnosesCn",
    "title": "疾病分类与代码",
    "status": "active",
    "content": "complete",
    "caseSensitive": False,
    "hierarchyMeaning": "classified-with",
    "property": [
        {"code": "notSelectable", "type": "boolean"},
        {"code": "status", "type": "code"},
        {"code": "chronic", "type": "boolean"},
    ],
    "concept": [
        {
            "code": "K35",
            "display": "急性阑尾炎",
            "property": [{"code": "notSelectable", "valueBoolean": True}],
            "designation": [{"language": "en", "value": "Acute appendicitis"}],
            "concept": [
                {"code": "K35.2", "display": "急性阑尾炎伴弥漫性腹膜炎"},
                {
                    "code": "K35.3",
                    "display": "急性阑尾炎伴局限性腹膜炎",
                    "concept": [
                        {"code": "K35.301", "display": "急性坏疽性阑尾炎伴穿孔"},
                        {"code": "K35.303", "display": "阑尾周围脓肿"},
                    ],
                },
            ],
        },
        {
            "code": "E11",
            "display": "2型糖尿病",
            "designation": [
                {"language": "en", "value": "Type 2 diabetes mellitus"},
                {"language": "zh-TW", "value": "第二型糖尿病"},
            ],
            "property": [{"code": "chronic", "valueBoolean": True}],
            "concept": [
                {"code": "E11.2", "display": "2型糖尿病伴肾的并发症", "property": [{"code": "chronic", "valueBoolean": True}]},
                {"code": "E11.x", "display": "非胰岛素依赖型糖尿病", "property": [{"code": "status", "valueCode": "retired"}]},
            ],
        },
    ],
}


def value_set(id: str, *include: dict[str, Any], exclude: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    compose: dict[str, Any] = {"include": list(include), **more}
    if exclude:
        compose["exclude"] = exclude
    return {
        "resourceType": "ValueSet",
        "id": id,
        "url": f"urn:hub:test:vs:{id}",
        "version": "1",
        "status": "active",
        "compose": compose,
    }


def rule(property: str, op: str, value: str, system: str = DIAGNOSES) -> dict[str, Any]:
    return {"system": system, "filter": [{"property": property, "op": op, "value": value}]}


def codes(expanded: dict[str, Any]) -> list[str]:
    return [entry["code"] for entry in expanded["expansion"].get("contains", [])]


def parameters(**stated: Any) -> dict[str, Any]:
    """codingA={...} → a Parameters resource; the kind of value is told by its Python type."""
    kinds = {bool: "valueBoolean", int: "valueInteger", str: "valueString"}

    def parameter(name: str, value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            kind = "resource" if "resourceType" in value else "valueCodeableConcept" if "coding" in value else "valueCoding"
            return {"name": name, kind: value}
        return {"name": name, kinds[type(value)]: value}

    return {"resourceType": "Parameters", "parameter": [parameter(name, value) for name, value in stated.items()]}


def said(answer: dict[str, Any], name: str) -> Any:
    """The value of the first parameter of that name."""
    found = next((p for p in answer["parameter"] if p["name"] == name), {})
    return next((value for key, value in found.items() if key.startswith("value")), None)


async def expanded(client: Client, *include: dict[str, Any], query: str = "", **more: Any) -> dict[str, Any]:
    """Store the code system and a value set of these rules, and ask for what is in it."""
    await client.put(DIAGNOSIS_TABLE)
    assert (await client.put(value_set("asked", *include, **more))).status_code in (200, 201)
    answer = await client.get(f"/fhir/ValueSet/asked/$expand{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]
