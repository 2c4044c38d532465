"""Small resources for the contract tests; all synthetic."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hub.search.query import Criterion, ReferenceValue, SearchQuery, TokenValue
from hub.store.port import EVERYTHING, Key, ResourceStore, Saved, SearchPage

LOINC = "http://loinc.org"


def patient(number: int = 1, **more: Any) -> dict[str, Any]:
    identifier = [{"system": "urn:hub:CTY:patient", "value": f"MRN{number}"}]
    return {"resourceType": "Patient", "identifier": identifier, "gender": "female", **more}


def observation(
    code: str = "718-7", *, subject: str = "p1", when: str = "2024-05-01T08:00:00+08:00", **more: Any
) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "subject": {"reference": f"Patient/{subject}"},
        "effectiveDateTime": when,
        "valueQuantity": {"value": Decimal("13.50"), "unit": "g/dL"},
        **more,
    }


def save(store: ResourceStore, resource: dict[str, Any], id: str, **options: Any) -> Saved:
    return store.write(lambda transaction: transaction.save(resource, id=id, **options)).result(30)


def delete(store: ResourceStore, type: str, id: str, **options: Any) -> Saved:
    return store.write(lambda transaction: transaction.delete(Key(type, id), **options)).result(30)


def token(code: str, value: str | None, system: str | None = None, modifier: str = "") -> Criterion:
    return Criterion(code, "token", (TokenValue(system, value),), modifier)


def reference(code: str, type: str, id: str) -> Criterion:
    return Criterion(code, "reference", (ReferenceValue(type, id),))


def ids(page: SearchPage) -> list[str]:
    return [version.id for version in page.matches]


def every_id(store: ResourceStore, query: SearchQuery, scope: Any = EVERYTHING) -> list[str]:
    """All matches, page by page."""
    from dataclasses import replace

    found: list[str] = []
    while True:
        page = store.search(query, scope)
        found += ids(page)
        if page.next is None:
            return found
        query = replace(query, after=page.next)
