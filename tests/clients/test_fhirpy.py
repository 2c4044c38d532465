"""fhirpy, synchronous: https://github.com/beda-software/fhir-py"""

from __future__ import annotations

import pytest
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound

from tests.clients.conftest import Server


@pytest.fixture(scope="module")
def client(server: Server) -> SyncFHIRClient:
    return SyncFHIRClient(server.base, authorization=f"Bearer {server.token}")


def test_it_reads_the_capabilities(client: SyncFHIRClient) -> None:
    assert client.execute("metadata", "get")["fhirVersion"] == "4.0.1"


def test_create_read_update_patch_delete(client: SyncFHIRClient) -> None:
    patient = client.resource("Patient", name=[{"family": "李"}], gender="female")
    patient.save()
    read = client.reference("Patient", patient.id).to_resource()
    assert read["name"] == [{"family": "李"}]
    read["birthDate"] = "1980"
    read.save()
    assert read["meta"]["versionId"] == "2"
    observation = client.resource("Observation", status="final", code={"text": "体温"}, subject=patient.to_reference())
    observation.save()
    assert client.resources("Observation").search(subject=patient.to_reference()).get()["id"] == observation.id
    observation.delete()
    patient.delete()
    with pytest.raises(ResourceNotFound) as gone:
        client.reference("Patient", patient.id).to_resource()
    assert "deleted" in str(gone.value)


def test_search_walks_pages_and_counts(client: SyncFHIRClient) -> None:
    for number in range(5):
        client.resource("Patient", name=[{"family": f"页{number}"}]).save()
    found = client.resources("Patient").search(family="页").sort("family").limit(2)
    assert [patient["name"][0]["family"] for patient in found.fetch()] == ["页0", "页1"]
    assert len(found.fetch_all()) == 5
    assert client.resources("Patient").search(family="页").count() == 5
    with pytest.raises(MultipleResourcesFound):
        client.resources("Patient").search(family="页").get()


def test_conditional_update_and_includes(client: SyncFHIRClient) -> None:
    number = {"system": "urn:test", "value": "1"}
    only = client.resources("Patient").search(identifier="urn:test|1")
    made = [only.update(client.resource("Patient", identifier=[number], name=[{"family": "仅一"}]))[1] for _ in range(2)]
    assert made == [True, False]
    patient = client.resources("Patient").search(identifier="urn:test|1").get()
    client.resource("Observation", status="final", code={"text": "a"}, subject=patient.to_reference()).save()
    bundle = client.resources("Observation").search(patient=patient.id).include("Observation", "subject").fetch_raw()
    assert {entry["resource"]["resourceType"] for entry in bundle["entry"]} == {"Observation", "Patient"}


def test_errors_reach_it(client: SyncFHIRClient) -> None:
    with pytest.raises(ResourceNotFound):
        client.reference("Patient", "none").to_resource()
    with pytest.raises(OperationOutcome) as refused:
        client.resource("Patient", gender=[1]).save()
    assert "gender" in str(refused.value)
