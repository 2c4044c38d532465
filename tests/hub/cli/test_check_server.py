"""`yitong check` of a hub on MongoDB: sound while the hub works, and what is wrong by its name."""

from __future__ import annotations

from contextlib import closing

import pytest

from hub.app import open_hub
from hub.backup import back_up
from hub.cli.check import run_check
from hub.settings import County
from tests.contracts.resources import delete, observation, patient, save


@pytest.fixture
def hub(mongodb, tmp_path, monkeypatch):
    with mongodb.address() as address, closing(open_hub(tmp_path / "data", County(), store=address)) as running:
        monkeypatch.setenv("YITONG_STORE", address)
        for number in range(3):
            save(running.store, {**patient(), "name": [{"text": "王小明"}]}, f"p{number}")
        save(running.store, {**observation(), "status": "amended"}, "o1")
        save(running.store, observation(), "o1")
        delete(running.store, "Patient", "p2")
        yield running


def test_a_sound_one_and_what_is_wrong_by_its_name(hub, capsys):
    for sample in (1, 1000):
        assert run_check(hub.data, everything=sample > 1, sample=sample) == 0, capsys.readouterr().out
    said = capsys.readouterr().out
    assert "every index there" in said
    assert "4 resources extracted again" in said

    database = hub.store.database
    patients = database.of_type("Patient")
    patients.update_one({"_id": "p0"}, {"$set": {"s": []}, "$unset": {"k": ""}})
    patients.update_one({"_id": "p1"}, {"$set": {"p": "p9", "v": 7}})
    database.beside("history").delete_many({"T": "Observation"})
    patients.drop_index("string")
    assert run_check(hub.data, everything=True, sample=1) == 1
    said = capsys.readouterr().out
    for complaint in (
        "Patient/p0: its index of strings, parameters is not as its content says",
        "Patient/p1: its content is of another version",
        "Patient/p1: its patient is not as its content says",
        "Patient/p1: it lacks a former version",
        "Observation/o1: it lacks a former version",
        "r.Patient has no index string",
    ):
        assert complaint in said
    assert "王" not in said
    patients.create_index([("s", 1)], name="string")


def test_a_backup_holds_what_the_server_does_not(hub, tmp_path):
    (hub.data / "blobs").mkdir(exist_ok=True)
    (hub.data / "blobs" / "original").write_bytes(b"x")
    made = back_up(hub.data, tmp_path / "copies" / "one", lambda *_: None)
    assert ("store.sqlite" in made.databases, made.originals) == (False, 1)
    assert (tmp_path / "copies" / "one" / "node.id").read_text() == (hub.data / "node.id").read_text()
