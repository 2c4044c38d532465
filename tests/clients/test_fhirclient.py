"""SMART on FHIR's Python client (fhirclient, R4 models): https://docs.smarthealthit.org/client-py/"""

from __future__ import annotations

from typing import Any

import pytest
from fhirclient import server as smart
from fhirclient.client import FHIRClient
from fhirclient.models.capabilitystatement import CapabilityStatement
from fhirclient.models.humanname import HumanName
from fhirclient.models.patient import Patient
from requests import HTTPError

from tests.clients.conftest import Server


@pytest.fixture(scope="module")
def client(server: Server) -> Any:
    client = FHIRClient(settings={"app_id": "tests", "api_base": server.base})
    client.server.session.headers["Authorization"] = f"Bearer {server.token}"
    return client.server


def person(family: str) -> Patient:
    patient = Patient({"name": [{"family": family, "given": ["伟"]}], "gender": "male", "birthDate": "1970-03-25"})
    patient.active = True
    return patient


def test_it_reads_the_capabilities(client: Any) -> None:
    statement = client.capabilityStatement
    assert isinstance(statement, CapabilityStatement)
    assert {resource.type for resource in statement.rest[0].resource} >= {"Patient", "Observation"}


def test_create_read_update_delete(client: Any) -> None:
    made = person("王").create(client)
    patient = Patient.read(made["id"], client)
    assert patient.name[0].family == "王"
    assert patient.birthDate.isostring == "1970-03-25"
    patient.name.append(HumanName({"text": "王老师"}))
    assert patient.update(client)["meta"]["versionId"] == "2"
    patient.delete()
    with pytest.raises(HTTPError) as gone:
        Patient.read(made["id"], client)
    assert gone.value.response.status_code == 410


def test_search_walks_pages(client: Any) -> None:
    for number in range(5):
        person(f"分页{number}").create(client)
    search = Patient.where({"family": "分页", "_count": "2", "_sort": "family"})
    assert [entry.resource.name[0].family for entry in search.perform(client).entry] == ["分页0", "分页1"]
    assert [patient.name[0].family for patient in search.perform_resources_iter(client)] == [f"分页{n}" for n in range(5)]


def test_errors_reach_it(client: Any) -> None:
    with pytest.raises(smart.FHIRNotFoundException):
        Patient.read("none", client)
