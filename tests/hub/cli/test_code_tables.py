"""`yitong codes import` with a table: looked at, brought in, again, a new edition beside it; beside a running hub as well."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hub.app import open_hub
from hub.cli.main import app
from hub.errors import Invalid
from hub.fhir_json import load
from hub.ingest.run import IntakeService
from hub.ingest.workbench import serve_workbench
from hub.search.query import SearchQuery
from hub.settings import County, load_county
from hub.store.port import EVERYTHING, Key

Run = Callable[..., Result]
SHEET = "主要编码,疾病名称\nI10.x00,特发性高血压\nI10.x00x002,高血压病\n"


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("tables")
    assert CliRunner().invoke(app, ["init", str(folder), "--name", "示范县", "--facility", "CTY=县医院", "--yes"]).exit_code == 0
    hub = open_hub(folder, County())
    IntakeService(folder, hub.county, hub.store, hub.blobs, clock=hub.clock, beside=folder).stop()
    hub.close()
    return folder


@pytest.fixture
def run(county: Path) -> Run:
    def codes(*arguments: object) -> Result:
        return CliRunner().invoke(app, ["codes", *map(str, arguments), "--data", str(county)], env={"YITONG_LANG": "en"})

    return codes


def file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode("gb18030"))
    return path


def test_a_table_is_looked_at_then_brought_in_then_known(run: Run, county: Path, tmp_path: Path) -> None:
    path = file(tmp_path, "ICD-10国临版2.0.csv", SHEET + "坏,代码\n")
    looked = run("import", path, "--preview", "--problems", tmp_path / "wrong.csv")
    assert looked.exit_code == 1
    for words in ("urn:hub:cn:icd10-gl|2.0", "3 read, 2 codes, 1 wrong", "line 4", "⊂ I10.x00", "nothing was changed"):
        assert words in looked.output
    assert "4," in (tmp_path / "wrong.csv").read_text("utf-8-sig")
    assert run("import", path).exit_code == 1  # nobody to ask
    assert "urn:hub:cn:icd10-gl" not in run("tables").output
    assert "2 codes are in CodeSystem/" in run("import", path, "--yes").output
    again = run("import", path, "--yes")
    assert (again.exit_code, "nothing to do" in again.output) == (0, True)
    mended = run(
        "import", file(tmp_path, "国临版2.0.csv", SHEET.replace("高血压病", "高血压病(改名)") + "I11.900,心脏病\n"), "--yes"
    )
    assert mended.exit_code == 0
    for words in ("same edition", "new 1 (I11.900)", "renamed 1", "gone 0", "_history/2"):
        assert words in mended.output
    beside = run("import", file(tmp_path, "国临版3.0.csv", SHEET), "--yes")
    assert "edition 2.0 (stays beside it): new 0; renamed 1" in beside.output
    assert "gone 1 (I11.900)" in beside.output
    listed = json.loads(run("tables", "--json").output)
    mine = [(each["version"], each["count"], each["origin"]) for each in listed if each["url"] == "urn:hub:cn:icd10-gl"]
    assert mine == [("3.0", 2, "imported"), ("2.0", 3, "imported")]
    assert "icd10-gl" in CliRunner().invoke(app, ["codes", "kinds"]).output


def test_what_the_file_does_not_say_the_importer_says(run: Run, county: Path, tmp_path: Path) -> None:
    path = file(tmp_path, "dept.csv", "代码,名称\nD-01,内科\n")
    table, system = ("--kind", "table"), ("--system", "urn:x:d")
    for options, says in (((), "its codes are of none"), (table, "--system"), ((*table, *system), "--edition")):
        refused = run("import", path, "--yes", *options)
        assert isinstance(refused.exception, Invalid)
        assert says in refused.exception.message
    done = run("import", path, "--yes", *table, *system, "--edition", "2026", "--title", "科室")
    assert done.exit_code == 0


def test_a_running_hub_brings_it_in(run: Run, county: Path, tmp_path: Path) -> None:
    hub = open_hub(county, load_county(county / "county.toml"))
    intake = IntakeService(county, hub.county, hub.store, hub.blobs, clock=hub.clock, beside=county)
    serve_workbench(hub, intake)
    intake.requests.start()
    try:
        done = run("import", file(tmp_path, "国临医保对照2.0.csv", "国临版编码,医保版编码\nI10.x00,I10.x00\n"), "--yes")
        assert done.exit_code == 0, done.output
        (kept,) = (load(v.body) for v in hub.store.search(SearchQuery("ConceptMap"), EVERYTHING).matches)
        assert kept["group"][0]["element"][0]["code"] == "I10.x00"
        assert hub.store.read(Key("ConceptMap", kept["id"])).version == 1
        (match,) = hub.terminology.concept_maps("urn:hub:cn:icd10-gl")
        assert match.canonical.endswith("|2.0")
    finally:
        intake.stop()
        hub.close()
