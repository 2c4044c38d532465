"""From the journal into the store: one effect a record, whatever the record or its mapper does."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from itertools import count, permutations
from pathlib import Path
from typing import Any

import pytest

import tests.hub.ingest.poison
from connectors.base import SourceRecord
from hub.errors import Unavailable
from hub.fhir_json import load
from hub.ingest.journal import Journal, Selection
from hub.ingest.mapping import MapperHere
from hub.ingest.pipeline import Pipeline
from hub.ingest.pool import MapperPool
from hub.ingest.replay import Filter, Replays, ask
from hub.search.query import SearchQuery
from hub.settings import County
from hub.store.blobs import BlobStore
from hub.store.port import EVERYTHING, Key
from hub.store.sqlite import SqliteStore
from mappers.identity_keys import resource_id
from tests.hub.ingest.messages import RECORD, adt, oru, oru_record, wait_until

assert tests.hub.ingest.poison  # its kind is known here too


class House:
    """A data folder with all that intake needs, and a pipeline that runs when told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ticks = count(1_714_521_600_000)
        self.clock = lambda: next(ticks)
        self.blobs = BlobStore(folder / "blobs")
        self.journal = Journal(folder, self.blobs)
        self.store = SqliteStore(folder, clock=self.clock)
        self.replays = Replays(self.journal, self.store)
        self.pipelines: list[Pipeline] = []
        self.mapper: Any = MapperHere({}, self.blobs)

    def pipeline(self) -> Pipeline:
        made = Pipeline(self.journal, self.store, self.mapper, county=County(), clock=self.clock, replays=self.replays)
        self.pipelines.append(made)
        return made

    def drain(self) -> Pipeline:
        pipeline = self.pipeline()
        while pipeline.run_once():
            pass
        return pipeline

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [load(version.body) for version in self.store.search(SearchQuery(kind, count=500), EVERYTHING).matches]

    def close(self) -> None:
        for pipeline in self.pipelines:
            pipeline.stop()
        self.mapper.close()
        self.journal.close()
        self.store.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    opened = House(tmp_path)
    yield opened
    opened.close()


def poison(content: bytes) -> SourceRecord:
    return replace(RECORD, kind="poison", key=content.decode(), content=content)


def test_a_report_becomes_resources_with_audit_and_outcome(house):
    house.journal(oru_record(1))
    pipeline = house.drain()
    (report,) = house.all("DiagnosticReport")
    assert len(house.all("Observation")) == len(report["result"]) == 3
    assert house.store.read(Key("Organization", "CTY"))
    outcome = house.store.outcome(1)
    assert outcome.state == "done"
    assert f"DiagnosticReport/{report['id']}" in outcome.resources
    assert outcome.source == "cty-lis"
    (event,) = house.all("AuditEvent")
    assert f"DiagnosticReport/{report['id']}" in {entity["what"]["reference"] for entity in event["entity"]}
    assert pipeline.tallies["cty-lis"].done == 1


def test_a_correction_wins_by_its_time_and_not_by_its_arrival(house):
    newer = oru(1, value="5.00", time="20240501090000", status="C")
    house.journal(replace(RECORD, key="late", content=newer), oru_record(1))
    house.drain()
    assert {o["valueQuantity"]["value"] for o in house.all("Observation")} == {load(b'{"v":5.00}')["v"]}
    assert {o["meta"]["versionId"] for o in house.all("Observation")} == {"1"}


def test_after_a_restart_it_goes_on_where_it_was(house):
    house.journal(oru_record(1), oru_record(2))
    house.drain()
    house.journal(oru_record(3))
    pipeline = house.pipeline()
    assert pipeline.position == 2
    pipeline.run_once()
    assert {o["meta"]["versionId"] for o in house.all("Observation")} == {"1"}
    assert len(house.all("AuditEvent")) == 3


def test_a_running_pipeline_drains_what_comes(house):
    pipeline = house.pipeline()
    pipeline.start()
    for number in range(1, 31):
        house.journal(oru_record(number))
    assert pipeline.wait_until_idle(30)
    assert (pipeline.lag, len(house.all("DiagnosticReport"))) == (0, 30)
    pipeline.stop()


def test_one_that_cannot_be_mapped_is_set_aside_and_its_neighbours_go_on(house):
    house.journal(poison(b"one"), poison(b"raise"), poison(b"refuse"), replace(poison(b"x"), kind="unheard-of"), poison(b"two"))
    house.drain()
    assert {resource["id"] for resource in house.all("Basic")} == {"one", "two"}
    dead = house.store.outcomes(state="dead")
    assert [outcome.seq for outcome in dead] == [2, 3, 4]
    assert dead[0].reason.startswith("ValueError at tests/hub/ingest/poison.py:")
    assert "张三" not in dead[0].reason
    assert dead[1].reason == "nothing of it can be used"
    assert "unheard-of" in dead[2].reason


def test_a_resource_that_is_not_fhir_is_left_out_and_named(house):
    house.journal(poison(b"invalid"))
    house.drain()
    outcome = house.store.outcome(1)
    assert outcome.resources == ("Basic/good",)
    assert outcome.issues[0]["code"] == "invalid-value"
    assert outcome.issues[0]["severity"] == "error"


def test_a_mapper_that_loops_dies_or_eats_memory_costs_only_its_own_record(house, tmp_path):
    house.mapper = MapperPool({}, tmp_path / "blobs", seconds=2.0, memory=1 << 28, modules=("tests.hub.ingest.poison",))
    bad = (b"loop", b"die", b"eat", b"raise")
    house.journal(*(poison(content) for pair in zip((b"a", b"b", b"c", b"d"), bad, strict=True) for content in pair), poison(b"e"))
    house.drain()
    assert {resource["id"] for resource in house.all("Basic")} == {"a", "b", "c", "d", "e"}
    dead = {outcome.seq: outcome for outcome in house.store.outcomes(state="dead")}
    assert list(dead) == [2, 4, 6, 8]
    assert "did not end within 2 s" in dead[2].reason
    assert dead[4].reason.endswith("exit 7")
    assert dead[6].reason.startswith(("MemoryError", "the mapper's process died"))
    assert all(outcome.attempts <= 2 for outcome in dead.values())


def test_where_no_mapper_can_be_started_records_wait_and_none_is_blamed(house, tmp_path):
    house.mapper = MapperPool({}, tmp_path / "blobs", modules=("there.is.no.such.module",))
    pipeline = house.pipeline()
    pipeline.start()
    house.journal(oru_record(1), oru_record(2))
    assert wait_until(lambda: pipeline.problem == "MapperUnavailable")
    pipeline.stop()
    assert house.store.outcomes() == []
    house.mapper = MapperPool({}, tmp_path / "blobs")
    house.drain()
    assert len(house.all("DiagnosticReport")) == 2


def test_the_worker_maps_as_this_process_does(house, tmp_path):
    house.mapper = MapperPool({}, tmp_path / "blobs")
    house.journal(*(oru_record(number) for number in range(1, 81)))
    house.drain()
    assert len(house.all("DiagnosticReport")) == 80
    assert house.store.outcomes(state="dead") == []


def test_a_replay_of_an_unchanged_mapping_makes_no_new_version(house):
    house.journal(oru_record(1), oru_record(2))
    house.drain()
    wanted = Filter(selection=Selection(source="cty-lis"))
    assert house.replays.count(wanted) == 2
    number = house.replays.request(wanted)
    house.drain()
    status = house.replays.status(number)
    assert (status.replayed, bool(status.finished)) == (2, True)
    assert {o["meta"]["versionId"] for kind in ("Observation", "Patient", "DiagnosticReport") for o in house.all(kind)} == {"1"}
    assert house.store.outcome(1).attempts == 2


def test_many_parts_of_one_study_make_few_versions_and_in_any_order_one_study(house):
    numbers = [str(number) for number in range(1, 61)]
    house.journal(*(poison(f"part {number}".encode()) for number in numbers[::2]), oru_record(1))
    house.journal(*(poison(f"part {number}".encode()) for number in reversed(numbers[1::2])))
    house.drain()
    (study,) = house.all("ImagingStudy")
    assert study["numberOfInstances"] == 60
    assert int(study["meta"]["versionId"]) <= 3
    outcomes = house.store.outcomes(source="cty-lis")
    assert all(outcome.state == "done" for outcome in outcomes)
    assert sum("ImagingStudy/study" in outcome.resources for outcome in outcomes) == 60
    house.replays.request(Filter(selection=Selection(kind="poison")))
    house.drain()
    assert house.all("ImagingStudy") == [study]


def test_what_was_dead_works_once_its_mapper_is_mended(house):
    house.journal(poison(b"raise"), poison(b"ok"))
    house.drain()
    house.mapper = Mended()
    assert house.replays.count(Filter(state="dead")) == 1
    house.replays.request(Filter(state="dead"))
    house.drain()
    assert house.store.outcomes(state="dead") == []
    assert house.store.outcome(1).attempts == 2
    assert {resource["id"] for resource in house.all("Basic")} == {"ok", "mended"}


class Mended:
    def map(self, entries):
        from hub.ingest.mapping import Attempt
        from mappers.base import Mapped

        yield from (Attempt(entry.seq, Mapped((tests.hub.ingest.poison.basic("mended"),))) for entry in entries)

    def prepare(self) -> None: ...

    def close(self) -> None: ...


class DownForAWhile:
    """The house's store behind a switch: while it is off, no write is done."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.down = True

    def write(self, work: Any) -> Future[Any]:
        if not self.down:
            return self._store.write(work)
        refusal: Future[Any] = Future()
        refusal.set_exception(Unavailable("the disk is full; nothing was written"))
        return refusal

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_while_the_store_cannot_be_written_nothing_is_lost_and_then_it_goes_on(house):
    real, house.store = house.store, DownForAWhile(house.store)
    pipeline = house.pipeline()
    pipeline.start()
    house.journal(*(oru_record(number) for number in range(1, 21)))
    assert wait_until(lambda: pipeline.problem == "Unavailable: the disk is full; nothing was written")
    assert not pipeline.idle()
    house.store.down = False
    assert pipeline.wait_until_idle(60)
    pipeline.stop()
    house.store = real
    assert len(house.all("DiagnosticReport")) == 20
    assert {o["meta"]["versionId"] for o in house.all("Observation")} == {"1"}
    assert house.store.outcomes(state="dead") == []
    assert pipeline.problem == ""


def test_stopping_blames_no_record(house, tmp_path):
    house.mapper = MapperPool({}, tmp_path / "blobs", seconds=30, modules=("tests.hub.ingest.poison",))
    pipeline = house.pipeline()
    pipeline.start()
    house.journal(poison(b"a"), poison(b"loop"), poison(b"b"))
    pipeline.wait_until_idle(1)
    pipeline.stop(timeout=0.2)
    assert house.store.outcomes(state="dead") == []


def test_a_replay_asked_for_by_another_process_is_done_by_the_running_pipeline(house, tmp_path):
    pipeline = house.pipeline()
    pipeline.start()
    house.journal(oru_record(1), oru_record(2))
    assert pipeline.wait_until_idle(60)
    beside = Journal(tmp_path, house.blobs)
    ask(beside, Filter(seqs=(2,)))
    beside.close()
    assert pipeline.wait_until_idle(60)
    assert house.store.outcome(2).attempts == 2
    assert house.store.outcome(1).attempts == 1
    pipeline.stop()


def test_a_resource_that_a_person_deleted_stays_deleted_in_a_replay(house):
    house.journal(poison(b"one"))
    house.drain()
    house.store.write(lambda t: t.delete(Key("Basic", "one"))).result()
    house.replays.request(Filter(seqs=(1,)))
    house.drain()
    assert house.all("Basic") == []


def test_two_merges_in_any_order_leave_one_survivor_that_all_follow(tmp_path):
    messages = [adt(1, "A04", "P1"), adt(2, "A04", "P2"), adt(3, "A40", "P1", merged="P2"), adt(4, "A40", "P1", merged="P3")]
    ids = {number: resource_id("Patient", "CTY", number) for number in ("P1", "P2", "P3")}
    states = []
    for number, order in enumerate(permutations(messages)):
        if number % 5:
            continue
        house = House(tmp_path / str(number))
        house.journal(*order)
        house.drain()
        found = {p["id"]: p for p in house.all("Patient") if p["id"] in ids.values()}
        states.append({id: {name: p[name] for name in p if name != "meta"} for id, p in found.items()})
        assert {house.store.person_of(id) for id in found} == {house.store.person_of(ids["P1"])}
        house.close()
    assert all(state == states[0] for state in states)
    assert {link["type"] for link in states[0][ids["P1"]]["link"]} == {"replaces"}
    assert len(states[0][ids["P1"]]["link"]) == 2
    assert all(states[0][ids[merged]]["active"] is False for merged in ("P2", "P3"))
