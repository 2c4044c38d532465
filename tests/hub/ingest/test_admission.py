"""ADT from the journal to the store: what a hospital's visit is after its messages, and merges that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mappers.identity_keys import resource_id
from tests.hub.ingest.messages import RECORD, adt
from tests.hub.ingest.test_pipeline import House

ADMISSION = [
    "PID|1||P1^^^^PI||王小芳||19700301|F|||人民路1号||13800000001|0579-1||20",
    "PV1|1|I|内一科^201^03||||D1^陈医生|D2^王医生||||||7|||D3^赵医生||V1|||||||||||||||||||||||||20240501082000",
    "AL1|1|DA|J01^青霉素|SV|皮疹",
    "DG1|1||I10^高血压^I10|||A",
]
DISCHARGE = ["PID|1||P1^^^^PI", "PV1|1|I|内一科^201^03||||||||||||||||V1|||||||||||||||||1^医嘱离院|||||||||20240508100000"]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.close()


def record(event: str, time: str, *segments: str):
    head = f"MSH|^~\\&|HIS|CTY|HUB|HUB|{time}||ADT^{event}|{event}{time}|P|2.5|||||CHN|UNICODE UTF-8"
    return replace(RECORD, key=f"{event}{time}", content="\r".join([head, f"EVN|{event}|{time}", *segments]).encode())


def test_a_visit_is_what_all_its_messages_say_together(house):
    house.journal(record("A03", "20240508101500", *DISCHARGE), record("A01", "20240501083000", *ADMISSION))
    house.drain()
    (visit,) = house.all("Encounter")
    assert visit["status"] == "finished"
    assert visit["period"] == {"start": "2024-05-01T08:20:00+08:00", "end": "2024-05-08T10:00:00+08:00"}
    assert {entry["type"][0]["coding"][0]["code"] for entry in visit["participant"]} == {"ATND", "REF", "ADM"}
    assert set(visit["hospitalization"]) == {"admitSource", "dischargeDisposition"}
    (patient,) = house.all("Patient")
    assert (patient["name"][0]["text"], len(patient["telecom"])) == ("王小芳", 2)
    assert {kind: len(house.all(kind)) for kind in ("AllergyIntolerance", "Condition")} == {"AllergyIntolerance": 1, "Condition": 1}
    outcomes = [house.store.outcome(number) for number in (1, 2)]
    assert [outcome.state for outcome in outcomes if outcome] == ["done", "done"]
    assert all(outcome and outcome.ledger["unmapped"] == 0 for outcome in outcomes)


def test_merges_that_would_go_round_are_set_aside_and_named(house):
    house.journal(
        adt(1, "A40", "P2", merged="P3"), adt(2, "A40", "P1", merged="P2"), adt(3, "A40", "P3", merged="P1"), adt(4, "A08", "P1")
    )
    house.drain()
    states = [house.store.outcome(number) for number in (1, 2, 3, 4)]
    assert [outcome.state for outcome in states if outcome] == ["done", "done", "dead", "done"]
    assert states[2]
    assert "circle" in states[2].reason
    people = {patient["id"]: patient for patient in house.all("Patient")}
    ids = [resource_id("Patient", "CTY", number) for number in ("P1", "P2", "P3")]
    assert [people[id].get("active") for id in ids] == [None, False, False]
    assert {house.store.person_of(id) for id in ids} == {house.store.person_of(ids[0])}


def test_two_records_linked_and_unlinked(house):
    pair = ["PID|1||P1^^^^PI||王小芳", "PID|2||P2^^^^PI||王小芳"]
    house.journal(record("A24", "20240501083000", *pair))
    house.drain()
    ids = [resource_id("Patient", "CTY", number) for number in ("P1", "P2")]
    people = {patient["id"]: patient for patient in house.all("Patient")}
    assert [people[id]["link"][0]["type"] for id in ids] == ["seealso", "seealso"]
    house.journal(record("A37", "20240502083000", *pair))
    house.drain()
    people = {patient["id"]: patient for patient in house.all("Patient")}
    assert not any("link" in people[id] for id in ids)
