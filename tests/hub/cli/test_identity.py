"""`yitong identity …` as somebody at the hub's machine types it, whether the hub runs or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hub.app import open_hub
from hub.cli.main import app
from hub.errors import HubError
from hub.fhir_json import load
from hub.ingest.run import IntakeService
from hub.ingest.workbench import serve_workbench
from hub.keep import keep
from hub.search.query import SearchQuery
from hub.settings import Policy, load_county
from hub.store.port import EVERYTHING, Transaction
from tests.hub.identity.test_rules import HERS, patient

COUNTY = '[[facility]]\ncode = "CTY"\nname = "示范县人民医院"\n[[facility]]\ncode = "TWP"\nname = "青山镇中心卫生院"\n'
PEOPLE = (("CTY", patient("a")), ("TWP", patient("b", card=HERS)), ("TWP", patient("c", card=HERS)))


def yitong(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["identity", *map(str, arguments)], env={"YITONG_LANG": "en"})


def _keep(transaction: Transaction) -> None:
    for facility, person in PEOPLE:
        keep(transaction, person, id=person["id"], facility=facility, now=1, policy=Policy())


def test_doubts_are_found_looked_at_decided_and_taken_back(tmp_path: Path) -> None:
    (tmp_path / "county.toml").write_text(COUNTY, "utf-8")
    county = load_county(tmp_path / "county.toml")
    hub = open_hub(tmp_path, county)
    intake = IntakeService(tmp_path, county, hub.store, hub.blobs)
    hub.store.write(_keep).result()
    serve_workbench(hub, intake)
    intake.requests.start()
    data = ("--data", tmp_path)
    try:
        listed = yitong("doubts", *data, "--json")
        assert listed.exit_code == 1, listed.output
        pair = json.loads(listed.stdout)[0]["pair"]
        masked = yitong("show", *pair, *data)
        assert "王小芳" not in masked.output
        assert "same-name-birth-sex" in masked.output
        opened = yitong("show", *pair, *data, "--open", "asked by the laboratory")
        assert "王小芳" in opened.output
        done = yitong("link", *pair, *data, "--reason", "the laboratory compared the cards", "--yes")  # by the running hub
        assert done.exit_code == 0, done.output
        assert "Persons now" in done.output
        assert len({hub.store.person_of(id) for id in "abc"}) == 1
        wrong = yitong("merge", "a", "b", *data, "--reason", "once more, to be sure", "--yes")
        assert isinstance(wrong.exception, HubError)
        assert "one person already" in wrong.exception.message
        hub.trail.settle()
        events = [load(version.body) for version in hub.store.search(SearchQuery("AuditEvent", count=50), EVERYTHING).matches]
        reasons = {text["text"] for event in events for text in event.get("purposeOfEvent", ())}
        assert reasons == {"asked by the laboratory", "the laboratory compared the cards"}
    finally:
        intake.stop()
        hub.close()

    person = json.loads(yitong("show", "a", *data, "--json").stdout)
    assert {member["side"]["id"] for member in person["members"]} == {"a", "b", "c"}
    (operation,) = person["operations"]
    assert yitong("undo", operation["id"], *data, "--reason", "it was somebody else").exit_code == 1  # nobody says yes
    assert yitong("undo", operation["id"], *data, "--reason", "it was somebody else", "--yes").exit_code == 0  # opens the hub
    assert len(json.loads(yitong("show", "a", *data, "--json").stdout)["members"]) == 1
    assert isinstance(yitong("show", "nobody", *data).exception, HubError)
    assert isinstance(yitong("doubts", *data, "--state", "maybe").exception, HubError)


@pytest.mark.parametrize("command", ["doubts", "show x"])
def test_a_folder_that_holds_no_hub(tmp_path: Path, command: str) -> None:
    assert isinstance(yitong(*command.split(), "--data", tmp_path).exception, HubError)
