"""What the pipeline writes says where it came from: found by its target, seen by who sees the target, the same after a replay."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.base import SourceRecord
from hub.ingest.journal import Journal
from hub.ingest.mapping import MapperHere
from hub.ingest.pipeline import Pipeline
from hub.ingest.replay import Filter, Replays
from hub.keep import keep
from mappers.base import MappingContext
from mappers.identity_keys import resource_id
from tests.hub.api.county import COUNTY, Client, Served, encounter, served
from tests.hub.ingest.messages import RECORD, adt, oru_record

pytestmark = pytest.mark.anyio
ROWS = Path(__file__).parents[2] / "golden" / "rows"
CTY_PATIENT = resource_id("Patient", "CTY", "P1")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class House:
    """A hub with its pipeline, which runs when told to."""

    def __init__(self, hub: Served) -> None:
        self.hub = hub
        self.journal = Journal(hub.hub.data, hub.hub.blobs)
        self.replays = Replays(self.journal, hub.hub.store)
        self.admin = hub.client("admin")

    def take(self, *records: SourceRecord, context: MappingContext | None = None) -> None:
        self.journal(*records)
        store, clock = self.hub.hub.store, self.hub.hub.clock
        mapper = MapperHere({"cty-lis": context or MappingContext()}, self.hub.hub.blobs)
        pipeline = Pipeline(self.journal, store, mapper, county=COUNTY, clock=clock, replays=self.replays)
        while pipeline.run_once():
            pass

    async def of(self, target: str, client: Client | None = None) -> list[dict[str, Any]]:
        return [each["resource"] for each in await (client or self.admin).walk(f"/fhir/Provenance?target={target}")]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with served(tmp_path / "data") as hub:
        opened = House(hub)
        yield opened
        opened.journal.close()


async def test_a_result_says_from_which_message_by_which_mapper_and_map(house):
    house.take(oru_record(1))
    (result, *others) = [each["resource"] for each in await house.admin.walk("/fhir/Observation")]
    (provenance,) = await house.of(f"Observation/{result['id']}")
    assert await house.of(f"Observation/{others[0]['id']}") == [provenance]
    assert {target["reference"].split("/")[0] for target in provenance["target"]} >= {"Patient", "Observation", "DiagnosticReport"}
    mapper, author = provenance["agent"]
    assert mapper["who"]["identifier"]["system"] == "urn:hub:mapper"
    assert mapper["who"]["identifier"]["value"].startswith("hl7v2/")
    assert author["who"] == {"reference": "Organization/CTY"}
    assert provenance["occurredDateTime"] == "2024-05-01T00:00:00Z"
    (source,) = provenance["entity"]
    assert source["what"]["identifier"] == {"system": "urn:hub:cty-lis:record", "value": "M1"}
    by_mapper = f"/fhir/Provenance?agent:identifier=urn:hub:mapper|{mapper['who']['identifier']['value'].replace('+', '%2B')}"
    assert [each["resource"]["id"] for each in await house.admin.walk(by_mapper)] == [provenance["id"]]
    checked = await house.admin.post(provenance, "/fhir/Provenance/$validate")
    assert {issue["severity"] for issue in checked.json()["issue"]} <= {"information", "warning"}, checked.text


async def test_a_replay_says_the_same_and_another_map_says_so_in_a_new_version(house):
    house.take(oru_record(1), adt(2, "A08", "P1"))
    before = await house.of(f"Patient/{CTY_PATIENT}")
    assert len(before) == 2
    house.replays.request(Filter())
    house.take()
    assert await house.of(f"Patient/{CTY_PATIENT}") == before
    house.replays.request(Filter(seqs=(1,)))
    maps = {("urn:hub:CTY:item", "K"): ({"system": "http://loinc.org", "code": "2823-3"},)}
    house.take(context=MappingContext(concept_maps=maps))
    after = {each["id"]: each for each in await house.of(f"Patient/{CTY_PATIENT}")}
    assert sorted(each["meta"]["versionId"] for each in after.values()) == ["1", "2"]
    (again,) = [each for each in after.values() if each["meta"]["versionId"] == "2"]
    former = next(each for each in before if each["id"] == again["id"])
    assert again["agent"][0]["who"] != former["agent"][0]["who"]
    assert {**again, "agent": 0, "meta": 0, "recorded": 0} == {**former, "agent": 0, "meta": 0, "recorded": 0}


async def test_who_sees_the_target_sees_its_provenance_and_nobody_else_does(house):
    row = replace(RECORD, kind="row/v_lab_result", key="LAB-1", content=(ROWS / "v_lab_result.json").read_bytes())
    house.take(oru_record(1), row)
    own, other = house.hub.client("clinician", "CTY"), house.hub.client("clinician", "TWN")
    every = [each["resource"] for each in await house.admin.walk("/fhir/Observation")]
    patients = {each["subject"]["reference"] for each in every}
    assert len(patients) == 2
    for result in every:
        target = f"Observation/{result['id']}"
        assert len(await house.of(target, own)) == 1
        assert await house.of(target, other) == []
    for patient in patients:  # a row states its result alone, not the patient: the Provenance is the patient's all the same
        _treat(house, encounter(f"TWN-{patient[-6:]}", patient.removeprefix("Patient/")))
    for result in every:
        target = f"Observation/{result['id']}"
        assert (await other.get(f"/fhir/{target}")).status_code == 200
        assert await house.of(target, other) == await house.of(target, own)


def _treat(house: House, visit: dict[str, Any]) -> None:
    """TWN treats the patient from now on."""
    hub = house.hub.hub
    hub.store.write(
        lambda transaction: keep(transaction, visit, id=visit["id"], facility="TWN", now=hub.clock(), policy=COUNTY.policy)
    ).result()


async def test_a_merge_has_one_provenance_for_both(house):
    house.take(adt(1, "A04", "P1"), adt(2, "A04", "P2"), adt(3, "A40", "P1", merged="P2"))
    both = {f"Patient/{CTY_PATIENT}", f"Patient/{resource_id('Patient', 'CTY', 'P2')}"}
    (provenance,) = [each for each in await house.of(f"Patient/{CTY_PATIENT}") if both <= {t["reference"] for t in each["target"]}]
    assert provenance["extension"][0]["valueReference"] == {"reference": f"Patient/{CTY_PATIENT}"}
