"""What the OpenAPI document describes is asked in all manner of ways: no fault of ours, and no answer that is not described.

`make fuzz` asks more often (YITONG_FUZZ_EXAMPLES).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode

from hub.api.openapi import openapi
from hub.api.service import ADDRESSES
from hub.search.parameters import published
from tests.clients.conftest import Server
from tests.hub.api.county import encounter, observation, patient

EXAMPLES = int(os.environ.get("YITONG_FUZZ_EXAMPLES", "4"))
TYPES = ("Patient", "Observation", "ValueSet")  # of the searches by type; the others differ in their tables only
DOCUMENT = openapi(ADDRESSES, published(), "http://hub/fhir")
TRIED = {
    path: found for path, found in DOCUMENT["paths"].items() if "{" in path or "$" in path or path[1:] in ("", "metadata", *TYPES)
}
SCHEMA = schemathesis.openapi.from_dict({**DOCUMENT, "paths": TRIED})
FHIR = {"content-type": "application/fhir+json"}


OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations()]


@pytest.fixture(scope="module")
def session(server: Server) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.headers["authorization"] = f"Bearer {server.admin}"
        for resource in (patient("p1"), observation("o1", "p1", valueQuantity={"value": 1.5}), encounter("e1", "p1")):
            path = f"{server.base}/{resource['resourceType']}/{resource['id']}"
            assert session.put(path, json=resource, headers=FHIR).status_code == 201
        yield session


@pytest.mark.timeout(0 if EXAMPLES > 50 else 120)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method.upper()} {operation.path}")
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_answer_is_described(operation: Any, mode: GenerationMode, server: Server, session: requests.Session) -> None:
    described = DOCUMENT["paths"][operation.path][operation.method]["responses"]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any) -> None:
        answer = case.call(base_url=server.base, session=session)
        assert str(answer.status_code) in described, (case.as_curl_command(), answer.text[:500])
        if answer.status_code >= 400 and answer.content and answer.status_code != 405:
            assert "OperationOutcome" in answer.text, (case.as_curl_command(), answer.text[:500])

    ask()


def test_the_document_is_served_without_a_token_and_in_one_piece(server: Server) -> None:
    answer = requests.get(f"{server.base}/openapi.json", timeout=30)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    served = answer.json()
    assert set(served["paths"]) == set(DOCUMENT["paths"])
    assert served["servers"] == [{"url": server.base}]


def test_every_route_is_in_it() -> None:
    for method, address in ADDRESSES:
        path = address.removeprefix("/fhir").rstrip("/").replace(":compartment", "") or "/"
        assert method.lower() in DOCUMENT["paths"][path], (method, address)
