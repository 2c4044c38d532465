"""What sources do to identities, on both stores: forged merges and numbers, merges in circles, deletions, new weights."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from hub.app import open_hub
from hub.identity.pairs import pair_id
from hub.identity.resettling import keep_matching
from hub.jobs import OPEN, OVER, jobs_in
from hub.keep import keep, remove
from hub.settings import County, IdentitySettings, Policy
from hub.store.mongo import MongoStore
from hub.store.port import Key, ResourceStore
from hub.store.sqlite.store import SqliteStore
from tests.hub.identity.test_linking import doubt, goldens, person
from tests.hub.identity.test_rules import HERS, HOME, number, patient
from tests.hub.ingest.messages import wait_until
from tests.mongod import Server

PHONE = "13812345678"


@pytest.fixture(params=["sqlite", "mongo"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ResourceStore]:
    if request.param == "sqlite":
        opened: ResourceStore = SqliteStore(tmp_path)
        yield opened
        opened.close()
        return
    server: Server = request.getfixturevalue("mongodb")
    with server.database() as name:
        opened = MongoStore(server.uri, name, allow_unsafe=True)
        yield opened
        opened.close()


def put(store: ResourceStore, resource: dict[str, Any], facility: str = "CTY") -> None:
    store.write(lambda t: keep(t, resource, id=resource["id"], facility=facility, now=1, policy=Policy())).result()


def delete(store: ResourceStore, id: str) -> None:
    store.write(lambda t: remove(t, Key("Patient", id), 1)).result()


def replaced_by(id: str, **more: Any) -> dict[str, Any]:
    return {"active": False, "link": [{"other": {"reference": f"Patient/{id}"}, "type": "replaced-by"}], **more}


def test_a_merge_with_another_facilitys_patient_is_a_question(store: ResourceStore) -> None:
    """Else a facility that says so would be shown the other's records."""
    put(store, patient("theirs", card=HERS))
    put(store, patient("mine", name="赵云", born="1990-09-09", sex="male", **replaced_by("theirs")), "TWP")
    assert person(store, "theirs") == {"theirs"}
    assert doubt(store, "mine", "theirs") == "requested"
    put(store, patient("old", name="王小方", born="", **replaced_by("theirs")))
    assert person(store, "theirs") == {"old", "theirs"}


def test_merges_in_a_circle_and_in_a_chain(store: ResourceStore) -> None:
    for id, survivor in (("a", "b"), ("b", "c"), ("c", "a")):
        put(store, patient(id, name=f"赵{id}", **replaced_by(survivor)))
    assert [person(store, id) for id in "abc"] == [{"a"}, {"b"}, {"c"}]
    put(store, patient("c", name="赵c", card=HERS))
    put(store, patient("d", name="赵c", card=HERS), "TWP")
    assert person(store, "a") == {"a", "b", "c", "d"}
    assert len(goldens(store)) == 1


def test_a_number_in_another_facilitys_name_joins_nobody(store: ResourceStore) -> None:
    put(store, patient("theirs", own="C001"))
    forged = patient("forged", name="王小芳", born="1991-02-03")
    put(store, forged | {"identifier": [{"system": "urn:hub:CTY:patient", "value": "C001"}]}, "TWP")
    assert person(store, "theirs") == {"theirs"}
    assert doubt(store, "forged", "theirs") == ""


def test_a_deleted_patient_leaves_its_person_and_its_questions(store: ResourceStore) -> None:
    put(store, patient("a", card=HERS))
    put(store, patient("b", card=HERS), "TWP")
    put(store, patient("c"), "TCM")
    assert doubt(store, "a", "c") == "requested"
    delete(store, "a")
    assert (store.person_of("b"), store.person_of("a")) == ("b", "a")
    assert [golden["active"] for golden in goldens(store)] == [False]
    assert (doubt(store, "a", "c"), doubt(store, "b", "c")) == ("cancelled", "requested")


def test_two_persons_are_one_question_in_any_order(tmp_path: Path) -> None:
    """A man whose card is missing at one place, and his namesake of the same day."""
    every = [
        patient("a1", card=HERS),
        patient("a2", card=HERS, phone=PHONE),
        patient("b1", address=HOME),
        patient("b2", address=HOME),
        patient("twin", name="王小兰", card=number(serial="128"), phone=PHONE),
    ]
    seen = set()
    for order, patients in enumerate(list(permutations(every))[::17]):
        store = SqliteStore(tmp_path / str(order))
        for each in patients:
            put(store, each)
        assert person(store, "a1") == {"a1", "a2"}
        assert person(store, "b1") == {"b1", "b2"}
        pairs = [pair for pair in (("a1", "b1"), ("a1", "b2"), ("a2", "b1"), ("a2", "b2")) if doubt(store, *pair) == "requested"]
        seen.add(tuple(pairs))
        store.close()
    assert seen == {(("a1", "b1"),)}
    assert pair_id(("a1", "b1")) == pair_id(("b1", "a1"))


def test_new_thresholds_settle_everybody_anew(tmp_path: Path) -> None:
    """As does a hub of this release on the store of an earlier one, which knew none."""
    store = SqliteStore(tmp_path)
    for id in ("a", "b"):
        put(store, patient(id, phone=PHONE))
    assert person(store, "a") == {"a", "b"}
    store.close()
    hub = open_hub(tmp_path, County(identity=IdentitySettings(link=60, doubt=24)))
    try:
        job = next(iter(_identity_jobs(hub.store)))
        assert wait_until(lambda: (found := hub.jobs.job(job)) is not None and found.over)
        assert person(hub.store, "a") == {"a"}
        assert doubt(hub.store, "a", "b") == "requested"
        keep_matching(hub.store, IdentitySettings(link=60, doubt=24), 1)
        assert len(_identity_jobs(hub.store)) == 1
    finally:
        hub.close()


def _identity_jobs(store: ResourceStore) -> list[str]:
    return [job.id for shelf in (OPEN, OVER) for job in jobs_in(store, shelf) if job.kind == "identity"]
