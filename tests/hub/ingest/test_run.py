"""A county's channels by the front door: county.toml in, messages over the wire, records in the store."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.hl7v2_mllp.client import MllpClient
from hub.errors import Invalid
from hub.fhir_json import load
from hub.ingest.run import IntakeService
from hub.search.query import SearchQuery
from hub.settings import load_county
from hub.store.blobs import BlobStore
from hub.store.port import EVERYTHING
from hub.store.sqlite import SqliteStore
from tests.hub.ingest.messages import oru, wait_until

HEAD = '[[facility]]\ncode = "CTY"\nname = "示范县人民医院"\n[[channel]]\nname = "cty-lis"\nfacility = "CTY"\n'
LISTENER = HEAD + 'connector = "hl7v2_mllp"\nport = {port}\n'


class Intake:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = SqliteStore(folder / "data")
        self.services: list[IntakeService] = []

    def open(self, toml: str) -> IntakeService:
        path = self.folder / "county.toml"
        path.write_text(toml, "utf-8")
        data = self.folder / "data"
        service = IntakeService(data, load_county(path), self.store, BlobStore(data / "blobs"), beside=self.folder)
        self.services.append(service)
        return service

    def close(self) -> None:
        for service in self.services:
            service.stop()
        self.store.close()


@pytest.fixture
def intake(tmp_path: Path) -> Iterator[Intake]:
    opened = Intake(tmp_path)
    yield opened
    opened.close()


def test_a_message_over_the_wire_is_acknowledged_and_becomes_searchable(intake, tmp_path):
    concept_map = {
        "resourceType": "ConceptMap",
        "status": "active",
        "group": [
            {
                "source": "urn:hub:CTY:item",
                "target": "http://loinc.org",
                "element": [{"code": "K", "target": [{"code": "2823-3", "equivalence": "equivalent"}]}],
            }
        ],
    }
    (tmp_path / "concept_maps").mkdir()
    (tmp_path / "concept_maps" / "ours.json").write_text(json.dumps(concept_map))
    service = intake.open(LISTENER.format(port=0) + 'maps = ["ours"]\n')
    service.start()
    with MllpClient("127.0.0.1", service.connector("cty-lis").port) as laboratory:
        assert b"MSA|AA|M1" in laboratory.send(oru(1))
        assert b"MSA|AA|M1" in laboratory.send(oru(1))
    assert service.pipeline.wait_until_idle(30)
    found = [load(v.body) for v in intake.store.search(SearchQuery("Observation"), EVERYTHING).matches]
    assert len(found) == 3
    codes = {coding["code"] for observation in found for coding in observation["code"]["coding"]}
    assert "2823-3" in codes
    (state,) = service.states()
    assert (state.up, state.records, state.problem) == (True, 2, "")
    assert service.journal.counts()["cty-lis"][:2] == (1, 1)


def test_a_taken_port_is_told_once_and_taken_over_when_it_is_free(intake, caplog):
    caplog.set_level(logging.WARNING, logger="hub.ingest.channels")
    with socket.create_server(("127.0.0.1", 0)) as other:
        service = intake.open(LISTENER.format(port=other.getsockname()[1]))
        service.start()
        (state,) = service.states()
        assert not state.up
        assert "cannot be bound" in state.problem
    assert wait_until(lambda: service.states()[0].up)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["channel cty-lis", "channel cty-lis"]
    assert "back after" in caplog.records[-1].getMessage()


def test_a_folder_is_read_and_its_files_put_away(intake, tmp_path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "1.hl7").write_bytes(oru(1))
    service = intake.open(HEAD + f'connector = "files"\nfolder = "{inbox}"\nevery = 0.05\nsettle_seconds = 0\n')
    service.start()
    assert wait_until(lambda: service.journal.newest() == 1)
    assert service.pipeline.wait_until_idle(30)
    assert intake.store.outcome(1).state == "done"
    assert wait_until(lambda: not list(inbox.glob("*.hl7")))


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        (HEAD + 'connector = "mllp"\n', "channel cty-lis: no connector 'mllp'; there are "),
        (HEAD + 'connector = "hl7v2_mllp"\nprot = 1\n', "channel cty-lis: prot: no such option; there are host, port"),
        (HEAD + 'connector = "hl7v2_mllp"\nport = "x"\n', "channel cty-lis: port: "),
        (
            HEAD + 'connector = "hl7v2_mllp"\nmaps = ["nowhere"]\n',
            "channel cty-lis: maps: nowhere: not found; looked for ",
        ),
    ],
)
def test_what_is_wrong_with_a_channel_is_named(intake, toml, says):
    with pytest.raises(Invalid) as error:
        intake.open(toml)
    assert says in error.value.message


def test_what_is_journaled_and_not_mapped_waits_for_the_next_start(intake):
    first = intake.open(LISTENER.format(port=0))
    first.start()
    first.stop()
    again = intake.open(LISTENER.format(port=0))
    assert again.pipeline.position == 0
    again.start()
    with MllpClient("127.0.0.1", again.connector("cty-lis").port) as laboratory:
        laboratory.send(oru(1))
    assert again.pipeline.wait_until_idle(30)
