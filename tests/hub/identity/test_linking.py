"""Golden Patients over a real store: made, followed, joined, taken apart; the facilities' Patients stay as they are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from hub.fhir_json import load
from hub.identity.pairs import pair_id
from hub.keep import keep
from hub.search.query import Criterion, SearchQuery, TokenValue
from hub.settings import Policy
from hub.store.port import EVERYTHING, Key, ResourceStore
from hub.store.sqlite import SqliteStore
from profiles.names import GOLDEN, HUB_TAG
from tests.hub.identity.test_rules import HERS, OTHERS, patient

PHONE = "13812345678"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ResourceStore]:
    opened = SqliteStore(tmp_path, clock=lambda: 1_714_521_600_000)
    yield opened
    opened.close()


def put(store: ResourceStore, *patients: dict[str, Any]) -> None:
    for resource in patients:
        store.write(lambda t, r=resource: keep(t, r, id=r["id"], facility="CTY", now=1, policy=Policy())).result()


def person(store: ResourceStore, id: str) -> frozenset[str]:
    """Who is one person with `id`, by the store's tables."""
    members = store.patients_of(store.person_of(id))
    return frozenset(member for member in members if not is_golden(store, member))


def is_golden(store: ResourceStore, id: str) -> bool:
    tags = load(store.read(Key("Patient", id)).body)["meta"].get("tag", [])
    return any(tag.get("code") == GOLDEN for tag in tags)


def goldens(store: ResourceStore) -> list[dict[str, Any]]:
    query = SearchQuery("Patient", (Criterion("_tag", "token", (TokenValue(HUB_TAG, GOLDEN),)),))
    return [load(version.body) for version in store.search(query, EVERYTHING).matches]


def doubt(store: ResourceStore, one: str, other: str) -> str:
    found = store.read_many([Key("Task", pair_id((one, other)))])
    return str(load(found[0].body)["status"]) if found else ""


def test_the_same_number_makes_a_golden_patient_that_sees_also_both(store):
    put(store, patient("b", card=HERS, phone=PHONE), patient("a", card=HERS, name="王小芳", address="示范县青山镇柳树村3组12号"))
    (golden,) = goldens(store)
    assert [link["other"]["reference"] for link in golden["link"]] == ["Patient/a", "Patient/b"]
    assert golden["birthDate"] == "1970-03-01"
    assert golden["telecom"][0]["value"] == PHONE
    assert golden["address"][0]["text"].startswith("示范县")
    assert len(golden["identifier"]) == 1
    assert store.person_of("a") == store.person_of("b") == golden["id"]
    assert set(store.patients_of(golden["id"])) == {"a", "b"}
    assert store.read(Key("Patient", "a")).version == 1


def test_one_alone_has_no_golden_patient(store):
    put(store, patient("a", card=HERS))
    assert goldens(store) == []
    assert store.person_of("a") == "a"


def test_a_member_that_changes_changes_its_golden_patient(store):
    put(store, patient("a", card=HERS), patient("b", card=HERS))
    (before,) = goldens(store)
    put(store, patient("b", card=HERS, phone=PHONE))
    (after,) = goldens(store)
    assert (after["id"], after["telecom"][0]["value"]) == (before["id"], PHONE)


def test_a_corrected_number_takes_the_person_apart_and_can_bring_it_together_again(store):
    put(store, patient("a", card=HERS), patient("b", card=HERS))
    put(store, patient("b", card=OTHERS))
    assert goldens(store) == []
    assert (store.person_of("a"), store.person_of("b")) == ("a", "b")
    put(store, patient("b", card=HERS))
    assert person(store, "a") == {"a", "b"}
    assert len(goldens(store)) == 1


def test_two_persons_that_turn_out_to_be_one_leave_a_pointer(store):
    put(store, patient("a", card=HERS), patient("b", card=HERS))
    put(store, patient("c", phone=PHONE), patient("d", phone=PHONE, born="1970-03-01"))
    first, second = store.person_of("a"), store.person_of("c")
    assert first != second
    put(store, patient("b", card=HERS, phone=PHONE))
    assert person(store, "a") == {"a", "b", "c", "d"}
    kept = store.person_of("a")
    gone = load(store.read(Key("Patient", second if kept == first else first)).body)
    assert gone["active"] is False
    assert gone["link"] == [{"other": {"reference": f"Patient/{kept}"}, "type": "replaced-by"}]


def test_a_merged_patient_follows_its_survivor(store):
    merged = patient("m", name="王小方", born="", active=False, link=[{"other": {"reference": "Patient/a"}, "type": "replaced-by"}])
    survivor = patient("a", card=HERS, link=[{"other": {"reference": "Patient/m"}, "type": "replaces"}])
    put(store, merged, survivor)
    assert person(store, "m") == {"a", "m"}
    put(store, patient("b", card=HERS))
    assert person(store, "m") == {"a", "b", "m"}


def test_a_doubt_is_a_task_once_and_closes_when_it_is_none(store):
    put(store, patient("a"), patient("b"))
    put(store, patient("b", phone=PHONE))
    assert doubt(store, "a", "b") == "requested"
    assert goldens(store) == []
    put(store, patient("a", phone=PHONE))
    assert doubt(store, "a", "b") == "completed"
    put(store, patient("a", name="李军", sex="male"))
    assert goldens(store) == []
    put(store, patient("c"), patient("c", name="赵云"))
    assert doubt(store, "b", "c") == "cancelled"


def test_what_a_person_has_refused_is_not_asked_again(store):
    put(store, patient("a"), patient("b"))
    task = load(store.read(Key("Task", pair_id(("a", "b")))).body) | {"status": "rejected"}
    store.write(lambda t: t.save(task, id=task["id"])).result()
    put(store, patient("a", maritalStatus={"text": "已婚"}))
    assert doubt(store, "a", "b") == "rejected"


def test_no_order_of_arrival_changes_who_is_one_person(tmp_path):
    people = [
        patient("a", card=HERS, phone=PHONE),
        patient("b", card=HERS),
        patient("c", phone=PHONE),
        patient("d", card=OTHERS, name="王小方"),
        patient("e", name="王大芳", phone=PHONE),
    ]
    found = set()
    for number, order in enumerate(list(permutations(people))[::11]):
        store = SqliteStore(tmp_path / str(number))
        put(store, *order)
        found.add(frozenset(person(store, p["id"]) for p in people))
        store.close()
    assert found == {frozenset({frozenset("abc"), frozenset("d"), frozenset("e")})}
