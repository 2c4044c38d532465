"""`yitong recognition …` as somebody at the hub's machine types it, whether the hub runs or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from openpyxl import load_workbook
from typer.testing import CliRunner, Result

from hub.app import create_app, open_hub
from hub.cli.main import app
from hub.errors import HubError, Invalid
from hub.ingest.run import IntakeService
from hub.ingest.workbench import serve_workbench
from hub.recognition.facts import recognition_service
from hub.recognition.publishing.drafts import drafts_in
from hub.recognition.publishing.export import workbook_of
from hub.recognition.publishing.sheets import read_workbook
from hub.settings import load_county
from profiles.catalogue import load_catalogue, load_evidence

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "county.toml").write_text('[[facility]]\ncode = "CTY"\nname = "示范县人民医院"\n', "utf-8")
    hub = open_hub(tmp_path, load_county(tmp_path / "county.toml"))
    IntakeService(tmp_path, hub.county, hub.store, hub.blobs, beside=tmp_path).stop()
    hub.close()
    return tmp_path


def yitong(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["recognition", *map(str, arguments)], env={"YITONG_LANG": "en"})


@pytest.fixture
def running(folder: Path) -> Iterator[Path]:
    """The folder, while its hub runs."""
    hub = open_hub(folder, load_county(folder / "county.toml"))
    create_app(hub, beside=folder)
    intake = IntakeService(folder, hub.county, hub.store, hub.blobs, beside=folder)
    serve_workbench(hub, intake)
    intake.requests.start()
    yield folder
    intake.stop()
    hub.close()


def held(folder: Path) -> tuple[str, str, int]:
    """Versions of catalogue and evidence that hold, and how many drafts there are."""
    hub = open_hub(folder, load_county(folder / "county.toml"))
    facts = recognition_service(hub, folder).facts.look()
    number = len(list(drafts_in(hub.store)))
    hub.close()
    return facts.usual.catalogue.version, facts.evidence.evidence.version, number


def test_out_checked_tried_and_published_while_no_hub_runs(folder: Path) -> None:
    file, data = folder / "catalogue.xlsx", ("--data", folder)
    assert yitong("export", "catalogue", file, *data).exit_code == 0
    assert isinstance(yitong("export", "catalogue", file, *data).exception, Invalid)
    assert read_workbook(file.read_bytes()).facts == load_catalogue("county-demo")
    assert yitong("check", file).exit_code == 0
    assert yitong("publish", file, *data, "--version", "2").exit_code == 1  # nobody says yes
    done = yitong("publish", file, *data, "--version", "2", "--holds-from", "2021-01-01", "--yes")
    assert done.exit_code == 0, done.output
    older = yitong("publish", file, *data, "--version", "3", "--holds-from", "2020-01-01", "--yes")
    assert isinstance(older.exception, HubError)
    assert "version 2, which holds" in older.exception.message
    tried = yitong("what-if", file, *data, "--from", "2021-01-01", "--to", "2021-02-01")
    assert tried.exit_code == 0, tried.output
    assert "Σ" in tried.output
    assert held(folder) == ("2", "1", 1)


def test_a_wrong_cell_is_named_and_nothing_is_published(folder: Path) -> None:
    file = folder / "evidence.xlsx"
    book, content = load_workbook(BytesIO(workbook_of(load_evidence("county-demo"), "en"))), BytesIO()
    book.worksheets[1]["G3"] = "soon"
    book.save(content)
    file.write_bytes(content.getvalue())
    for command in (("check", file), ("publish", file, "--data", folder, "--yes")):
        told = yitong(*command)
        assert (told.exit_code, "Rows G3 Valid from: “soon” must be a day" in told.output) == (1, True), told.output
    assert isinstance(yitong("check", folder / "county.toml").exception, Invalid)
    assert held(folder) == ("1", "1", 0)


def test_beside_a_running_hub_it_is_the_hub_that_publishes(running: Path) -> None:
    file = running / "evidence.xlsx"
    file.write_bytes(workbook_of(load_evidence("county-demo"), "en"))
    data = ("--data", running)
    done = yitong("publish", file, *data, "--version", "9", "--holds-from", "2021-01-01", "--yes")
    assert done.exit_code == 0, done.output
    tried = yitong("what-if", file, *data)
    assert tried.exit_code == 0, tried.output
