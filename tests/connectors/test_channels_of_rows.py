"""Sheets, documents and database rows through a hub's channels, from county.toml to the store and the dead letters."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hub.fhir_json import load
from hub.search.query import SearchQuery
from hub.store.port import EVERYTHING
from tests.connectors.test_file_contents import PDF, workbook
from tests.hub.ingest.messages import wait_until
from tests.hub.ingest.test_run import Intake

COUNTY = """
[[facility]]
code = "QS"
name = "青山镇中心卫生院"

[[channel]]
name = "village"
connector = "files"
facility = "QS"
folder = "{folder}/drop"
every = 0.05
settle_seconds = 0
tables = ["own.toml"]
[channel.documents]
pattern = '(?P<patient>\\d+)_(?P<report>\\w+)'
[[channel.sheets]]
table = "checkup_sheet"
sheet = "体检"
header_rows = 2
columns = ["姓名"]

[[channel]]
name = "his"
connector = "sql"
facility = "QS"
url = "sqlite:///{folder}/his.db"
every = 0.05
[[channel.views]]
name = "v_drug"
key = ["drug_code"]
compare_every = 0.05
"""


@pytest.fixture
def intake(tmp_path: Path) -> Iterator[Intake]:
    opened = Intake(tmp_path)
    yield opened
    opened.close()


def found(intake: Intake, resource_type: str) -> list[dict[str, Any]]:
    return [load(version.body) for version in intake.store.search(SearchQuery(resource_type), EVERYTHING).matches]


def drug(path: Path, code: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS v_drug (drug_code TEXT PRIMARY KEY, drug_name TEXT)")
        database.execute("INSERT INTO v_drug VALUES (?, '氨氯地平片')", (code,))


def test_what_is_dropped_and_what_a_view_holds_reach_the_store_and_a_source_may_go_and_come_back(
    intake: Intake, tmp_path: Path
) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    examples = Path(__file__).parents[2] / "docs" / "guides" / "examples" / "bsoft.toml"
    (tmp_path / "own.toml").write_text(examples.read_text("utf-8"), "utf-8")
    (drop / "体检.xlsx").write_bytes(workbook())
    (drop / "1001_E7.pdf").write_bytes(PDF)
    service = intake.open(COUNTY.format(folder=tmp_path))
    service.start()
    states = {state.name: state for state in service.states()}
    assert "the database file is not there" in states["his"].problem
    drug(tmp_path / "his.db", "Y1")
    assert wait_until(lambda: len(found(intake, "Medication")) == 1)
    (tmp_path / "his.db").rename(tmp_path / "away.db")
    assert wait_until(lambda: not states["his"].up)
    drug(tmp_path / "away.db", "Y2")
    (tmp_path / "away.db").rename(tmp_path / "his.db")
    assert wait_until(lambda: len(found(intake, "Medication")) == 2)
    assert wait_until(lambda: not [path for path in drop.iterdir() if path.is_file()])
    assert service.pipeline.wait_until_idle(60)
    assert len(found(intake, "QuestionnaireResponse")) == 0
    assert {patient["name"][0]["text"] for patient in found(intake, "Patient")} >= {"赵桂花", "李四"}
    (document,) = found(intake, "DocumentReference")
    assert document["identifier"][0]["value"] == "E7"
    assert dead(intake) == ["row 5: cell F5 holds the error #DIV/0!"]
    assert service.journal.counts()["his"].received == 2


def dead(intake: Intake) -> list[str]:
    return [outcome.reason for outcome in intake.store.outcomes(state="dead", limit=10, newest=True)]
