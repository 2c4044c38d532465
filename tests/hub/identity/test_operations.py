"""What a person decides about identities: through the door, on both stores; it stands until it is taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, permutations
from pathlib import Path
from typing import Any

import pytest

from hub.errors import HubError
from hub.fhir_json import load
from hub.identity.clusters import persons
from hub.identity.decisions import Decided
from hub.identity.operations import Done, Wish
from hub.identity.pairs import pair_id
from hub.identity.rules import facts_of
from hub.keep import keep
from hub.search.query import SearchQuery
from hub.security.access import Access
from hub.security.door import Door
from hub.security.trail import AuditTrail, Shipper
from hub.settings import County, Facility, Policy
from hub.store.port import EVERYTHING, Key, ResourceStore
from hub.store.sqlite import SqliteStore
from tests.hub.identity.test_linking import goldens, person
from tests.hub.identity.test_rules import HERS, OTHERS, patient

COUNTY = County(facility=(Facility(code="CTY", name="县医院"), Facility(code="TWP", name="卫生院")))
OFFICE = Access(name="Office", role="admin", token_id="t-office")
REGISTRAR = Access(name="Registrar", role="it", facility="CTY")
WHY = "checked with the household register"


@dataclass
class World:
    store: ResourceStore
    door: Door

    def put(self, *patients: dict[str, Any], facility: str = "CTY") -> None:
        for p in patients:
            self.store.write(lambda t, r=p: keep(t, r, id=r["id"], facility=facility, now=1, policy=Policy())).result()

    def decide(self, act: Any, *ids: str, access: Access = OFFICE, reason: str = WHY) -> Done:
        return self.write(lambda writes: writes.decide(Wish(act, ids, reason)), access)

    def undo(self, done: Done, access: Access = OFFICE) -> Done:
        return self.write(lambda writes: writes.take_back(done.operation["id"], "it was a mistake"), access)

    def write(self, work: Callable[[Any], Any], access: Access = OFFICE) -> Any:
        return asyncio.run(self.door.writing(access, work, "operation"))

    def status(self, one: str, other: str) -> str:
        found = self.store.read_many([Key("Task", pair_id((one, other)))])
        return str(load(found[0].body)["status"]) if found else ""

    def bodies(self) -> dict[str, tuple[int, bytes]]:
        """Of every facility's Patient: these never change."""
        query = SearchQuery("Patient", (), count=100)
        return {v.id: (v.version, v.body) for v in self.store.search(query, EVERYTHING).matches if v.facility}


@pytest.fixture(params=["sqlite", "mongo"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    ticks = count(1_714_521_600_000, 1000)
    clock = lambda: next(ticks)  # noqa: E731
    if request.param == "sqlite":
        yield from _world(SqliteStore(tmp_path, clock=clock), tmp_path, clock)
    else:
        with request.getfixturevalue("mongodb").store(clock=clock) as store:
            yield from _world(store, tmp_path, clock)


def _world(store: ResourceStore, folder: Path, clock: Callable[[], int]) -> Iterator[World]:
    trail = AuditTrail(folder, clock, Shipper(folder, store))
    yield World(store, Door(store, COUNTY, clock, trail))
    trail.close()
    store.close()


def refused(work: Callable[[], Any]) -> str:
    with pytest.raises(HubError) as caught:
        work()
    return f"{caught.value.reason.status} {caught.value.message}"


def test_a_persons_decision_stands_until_it_is_taken_back(world: World) -> None:
    world.put(patient("a", card=HERS), patient("b", card=HERS), patient("c", card=HERS, maritalStatus={"text": "已婚"}))
    world.put(patient("t", card=HERS), facility="TWP")
    before = world.bodies()
    assert person(world.store, "a") == {"a", "b", "c", "t"}

    unlinked = world.decide("unlink", "c")  # the family's card
    assert person(world.store, "a") == {"a", "b", "t"}
    assert person(world.store, "c") == {"c"}
    assert unlinked.persons == ("c",)
    world.put(patient("c", card=HERS, phone="13812345678"))  # its system states it again
    assert person(world.store, "c") == {"c"}
    assert world.status("a", "c") == "rejected"
    world.put(patient("n", card=HERS))  # of which of the two? nobody knows
    assert person(world.store, "n") == {"n"}
    assert world.status("a", "n") == world.status("c", "n") == "requested"
    apart = world.decide("apart", "c", "n")
    linked = world.decide("link", "a", "n")
    assert person(world.store, "n") == {"a", "b", "n", "t"}
    assert world.status("a", "n") == "completed"
    assert "were set apart" in refused(lambda: world.decide("link", "b", "c"))
    world.undo(linked)
    assert "taken back already" in refused(lambda: world.undo(linked))
    world.undo(apart)
    assert person(world.store, "n") == {"n"}
    again = world.undo(unlinked)
    assert person(world.store, "c") >= {"a", "b", "c", "t"}
    assert again.operation["status"] == "cancelled"
    assert {id: v for id, v in world.bodies().items() if id in before and id != "c"} == {
        k: v for k, v in before.items() if k != "c"
    }


def test_a_confirmed_link_survives_what_the_feeds_say_later(world: World) -> None:
    world.put(patient("a", card=HERS), patient("b", name="王小方"))
    assert person(world.store, "a") == {"a"}
    world.decide("link", "a", "b")
    world.put(patient("b", name="王小方", born="1981-01-01", card=OTHERS))  # another number, another birth date
    assert person(world.store, "a") == {"a", "b"}
    world.put(patient("m", name="王小方", active=False, link=[{"other": {"reference": "Patient/b"}, "type": "replaced-by"}]))
    assert person(world.store, "a") == {"a", "b", "m"}
    taken = world.decide("apart", "b", "m")  # the merge of a feed was wrong
    assert person(world.store, "m") == {"m"}
    world.undo(taken)
    assert person(world.store, "m") == {"a", "b", "m"}


def test_two_persons_are_merged_split_and_restored(world: World) -> None:
    world.put(patient("a", card=HERS), patient("b", card=HERS), patient("x", card=OTHERS), patient("y", card=OTHERS))
    source, target = world.store.person_of("a"), world.store.person_of("x")
    merged = world.decide("merge", source, target)
    assert merged.persons == (target,)
    assert person(world.store, "a") == {"a", "b", "x", "y"}
    gone = load(world.store.read(Key("Patient", source)).body)
    assert gone["link"] == [{"other": {"reference": f"Patient/{target}"}, "type": "replaced-by"}]
    assert "one person already" in refused(lambda: world.decide("merge", "a", "y"))

    split = world.decide("split", "b", "y")
    assert (person(world.store, "a"), person(world.store, "b")) == ({"a", "x"}, {"b", "y"})
    assert "set apart" in refused(lambda: world.decide("link", "a", "b"))
    over = world.decide("merge", "a", "b")  # the newest word of a person counts
    assert person(world.store, "a") == {"a", "b", "x", "y"}
    for done in (over, split, merged):
        world.undo(done)
    assert (person(world.store, "a"), person(world.store, "x")) == ({"a", "b"}, {"x", "y"})
    assert len([g for g in goldens(world.store) if g["active"]]) == 2


def test_merges_that_go_round_join_nobody_but_a_person_may(world: World) -> None:
    replaced = lambda by: [{"other": {"reference": f"Patient/{by}"}, "type": "replaced-by"}]  # noqa: E731
    world.put(
        patient("a", card=HERS, active=False, link=replaced("b")), patient("b", card=OTHERS, active=False, link=replaced("a"))
    )
    assert person(world.store, "a") == {"a"}
    done = world.decide("merge", "a", "b")
    assert person(world.store, "a") == {"a", "b"}
    assert "one person already" in refused(lambda: world.decide("merge", "b", "a"))
    world.undo(done)
    assert person(world.store, "a") == {"a"}


def test_who_may_decide_and_what_the_audit_keeps(world: World) -> None:
    world.put(patient("a", card=HERS), patient("b", name="李军", sex="male"))
    world.put(patient("t", card=HERS), facility="TWP")
    for role in ("clinician", "reader", "system"):
        assert refused(lambda r=role: world.decide("unlink", "a", access=Access(name="x", role=r))).startswith("403")
    assert refused(lambda: world.decide("link", "b", "t", access=REGISTRAR)) == refused(
        lambda: world.decide("link", "b", "t", access=Access(name="y", role="it", facility="TWP"))
    )
    assert refused(lambda: world.decide("merge", "b", "a", access=REGISTRAR)).startswith("404")  # would bring in the township's
    mine = world.decide("link", "a", "b", access=REGISTRAR)
    assert refused(lambda: world.undo(mine, access=Access(name="y", role="it", facility="TWP"))).startswith("404")
    world.undo(mine, access=REGISTRAR)
    assert "say why" in refused(lambda: world.decide("unlink", "a", reason=" x "))
    later = world.decide("unlink", "a", access=REGISTRAR)
    events = [load(v.body) for v in world.store.search(SearchQuery("AuditEvent", (), count=50), EVERYTHING).matches]
    (event,) = [e for e in events if f"Task/{later.operation['id']}" in str(e)]
    assert event["purposeOfEvent"] == [{"text": WHY}]
    assert event["agent"][0]["name"] == "Registrar"
    assert {"Patient/a", "Patient/t"} <= {e["what"]["reference"] for e in event["entity"] if "what" in e}
    task = load(world.store.read(Key("Task", pair_id(("a", "t")))).body)
    forged = {**task, "businessStatus": {"coding": [{"system": "urn:hub:identity-decision", "code": "together"}]}}
    assert refused(lambda: world.write(lambda writes: writes.save(forged, id=forged["id"]))).startswith("403")
    assert refused(lambda: world.write(lambda writes: writes.delete(Key("Task", forged["id"])))).startswith("403")


def test_what_is_put_off_waits_for_another_reason(world: World) -> None:
    world.put(patient("a"), patient("b"))
    put_off = world.decide("later", "a", "b")
    world.put(patient("b", maritalStatus={"text": "已婚"}))
    assert world.status("a", "b") == "on-hold"
    world.undo(put_off)
    assert world.status("a", "b") == "requested"
    world.decide("apart", "a", "b")
    assert "a person has decided" in refused(lambda: world.decide("later", "a", "b"))


def test_no_order_changes_who_is_kept_apart() -> None:
    people = {p["id"]: facts_of(p) for p in (patient(id, card=HERS) for id in "abcdef")}
    decisions = Decided(together=frozenset({("e", "f")}), apart=frozenset({("a", "b"), ("b", "c")}))
    orders = list(permutations(people))[::97]
    found = [persons({id: people[id] for id in order}, {}, decisions) for order in orders]
    assert {frozenset(each.clusters) for each in found} == {frozenset({frozenset("ac"), frozenset("b"), frozenset("def")})}
    assert found[0].doubts[("a", "d")] == found[0].doubts[("b", "f")] == "kept-apart"
