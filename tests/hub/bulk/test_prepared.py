"""What is saved prepared is what is saved plainly: the same bytes, the same index entries, on both stores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.data import resources
from hub import fhir_json
from hub.bulk.ready import Preparer, Ready, Setting
from hub.store.port import Key, ResourceStore, Saved, Version
from hub.store.sqlite import SqliteStore
from hub.store.sqlite.rows import COLUMNS
from tests.hub.api.county import encounter, observation, patient
from tests.mongod import Server

NOW = 1_790_000_000_000
MIXED = [
    *resources(60),
    patient("x", meta={"profile": ["http://x/p"], "tag": [{"system": "s", "code": "t"}]}, birthDate="1990-01"),
    observation("y", "x", valueQuantity={"value": 7.25, "unit": "g", "system": "http://unitsofmeasure.org", "code": "g"}),
    encounter("z", "x", period={"start": "2026-01-01"}),
    {"resourceType": "ValueSet", "id": "v", "url": "http://x/v", "status": "draft", "version": "1"},
]


def clock() -> int:
    return NOW


@contextmanager
def sqlite(folder: Path) -> Iterator[ResourceStore]:
    with closing(SqliteStore(folder, clock=clock)) as store:
        yield store


def ready(store: ResourceStore, every: list[dict[str, Any]], facility: str = "F") -> list[Ready]:
    preparer = Preparer(Setting(facility, False, (), store.prepare))
    found = [preparer.of(number, fhir_json.dump(each)) for number, each in enumerate(every)]
    return [each for each in found if isinstance(each, Ready)]


def plainly(store: ResourceStore, every: list[dict[str, Any]]) -> list[Saved]:
    return store.write(
        lambda t: [t.save(fhir_json.parse(fhir_json.dump(each)), id=each["id"], facility="F") for each in every]
    ).result()


def prepared(store: ResourceStore, every: list[dict[str, Any]]) -> list[Saved]:
    resources = [each.resource for each in ready(store, every)]
    return store.write(lambda t: t.save_all(resources)).result()


def changed(every: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**each, "language": "zh"} if number % 2 else each for number, each in enumerate(every)]


def rows(store: SqliteStore) -> dict[str, list[Any]]:
    """Every index table, with texts for numbers."""
    found = {}
    with store._readers.borrow() as connection:
        words = dict(connection.execute("SELECT id, text FROM word").fetchall())
        parameters = dict(connection.execute("SELECT id, code FROM parameter").fetchall())
        ids = dict(connection.execute("SELECT rid, id FROM resource").fetchall())
        for table, columns in COLUMNS.items():
            listed = connection.execute(f"SELECT rid, {', '.join(columns)} FROM {table}").fetchall()
            texts = {"system", "type", "code"} if table != "token" else {"system"}
            named = [
                (ids[rid], parameters[row[0]], *(words[v] if c in texts else v for c, v in zip(columns[1:], row[1:], strict=True)))
                for rid, *row in listed
            ]
            found[table] = sorted(named, key=repr)
        facts = connection.execute("SELECT code, repeats, widest, type FROM parameter").fetchall()
        found["parameter"] = sorted((code, repeats, widest, words[kind]) for code, repeats, widest, kind in facts)
        present = connection.execute("SELECT id, present FROM resource").fetchall()
        found["present"] = sorted((id, sorted(parameters[int(n)] for n in text.split(",") if n)) for id, text in present)
    return found


def test_sqlite_holds_the_same_rows(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "a", clock=clock)) as one, closing(SqliteStore(tmp_path / "b", clock=clock)) as other:
        for every in (MIXED, MIXED, changed(MIXED)):
            assert prepared(other, every) == plainly(one, every)
            assert rows(other) == rows(one)


def test_mongo_holds_the_same_documents(mongodb: Server) -> None:
    with mongodb.store(clock=clock) as one, mongodb.store(clock=clock) as other:
        for every in (MIXED, MIXED, changed(MIXED)):
            assert prepared(other, every) == plainly(one, every)
            for kind in {each["resourceType"] for each in every}:
                documents = [list(store.database.of_type(kind).find({}, {"o": 0}, sort=[("_id", 1)])) for store in (one, other)]
                assert documents[0] == documents[1]


@pytest.mark.parametrize("kind", ["sqlite", "mongo"])
def test_a_deleted_one_comes_back_as_a_new_version(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with sqlite(tmp_path) if kind == "sqlite" else request.getfixturevalue("mongodb").store(clock=clock) as store:
        prepared(store, [patient("p")])
        store.write(lambda t: t.delete(Key("Patient", "p"))).result()
        (saved,) = prepared(store, [patient("p")])
        assert (saved.created, saved.version.version) == (True, 3)
        newest: Version = store.write(lambda t: t.current_of([Key("Patient", "p"), Key("Patient", "none")])).result()[
            Key("Patient", "p")
        ]
        assert newest == saved.version == store.read(Key("Patient", "p"))


def test_the_version_stands_where_a_plain_save_writes_it(tmp_path: Path) -> None:
    with sqlite(tmp_path) as store:
        (saved,) = prepared(store, [patient("p")])
        assert json.loads(saved.version.body)["meta"] == {
            "versionId": "1",
            "lastUpdated": "2026-09-21T14:13:20.000Z",
            "tag": [{"system": "urn:hub:facility", "code": "F"}],
        }
