"""Declared tables as an engineer writes them: examples beside them, blocks repeated by `each`, mistakes told by line and key."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.base import SourceRecord
from hub.errors import Invalid
from hub.fhir_json import dump
from hub.ingest.contexts import context_of
from hub.settings import Channel
from mappers.base import Mapped, MappingContext
from mappers.rows import map_row, run_table_tests
from mappers.rows.tables import BadTable, load_tables

SHIPPED = Path(__file__).parents[3] / "docs" / "guides" / "examples"
MON = datetime(2024, 5, 6, 9, 30, tzinfo=UTC)

OWN = """
[weights]
[[weights.make]]
resource = "Observation"
key = ["id_no+day"]
suffix = "{column}"
when = [ { column = "{column}", filled = true }, { column = "void", not_in = ["1"] } ]
each = [
  { column = "morning", name = "晨起" },
  { column = "evening", name = "睡前", unit = "kg" },
]
elements = [
  { to = "status", fixed = "final" },
  { to = "code.text", fixed = "{name}体重" },
  { to = "valueQuantity", column = "{column}", as = "measure", unit_text = "{unit}" },
  { to = "valueQuantity", column = "{column}", as = "measure" },
  { to = "effectiveDateTime", columns = ["day", "hour"], as = "datetime", zone = "+09:00" },
  { to = "note[+].text", column = "remarks", split = "；;" },
  { to = "subject", column = "id_no", as = "reference", type = "Patient" },
  { to = "derivedFrom[0]", columns = ["id_no", "day"], as = "reference", type = "Observation" },
]
"""


def mapped(context: MappingContext, view: str, **columns: Any) -> Mapped:
    return map_row(SourceRecord("his", "CTY", f"row/{view}", "1", dump(columns), MON), context)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_the_examples_of_the_guides_hold(path: Path) -> None:
    results = run_table_tests(path)
    assert results
    assert [result for result in results if not result.passed] == []


def test_a_block_for_each_column_and_cells_that_are_joined_split_or_carry_their_unit(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN, "utf-8")
    context = MappingContext(tables=load_tables(tmp_path / "own.toml"), explain=True)
    cells = {"id_no": "7", "day": "2024-05-06", "hour": "21:30", "remarks": "空腹；已脱鞋;"}
    result = mapped(context, "weights", morning="71.50kg", evening="72", **cells)
    first, second = result.resources
    assert first["id"] != second["id"]
    assert (first["code"]["text"], str(first["valueQuantity"]["value"]), first["valueQuantity"]["code"]) == (
        "晨起体重",
        "71.50",
        "kg",
    )
    assert second["valueQuantity"]["code"] == "kg"
    assert first["effectiveDateTime"] == "2024-05-06T21:30:00+09:00"
    assert [note["text"] for note in first["note"]] == ["空腹", "已脱鞋"]
    assert first["derivedFrom"][0]["reference"].startswith("Observation/")
    assert {line.where: line.state for line in result.lines} == dict.fromkeys(
        (f"weights.{name}" for name in (*cells, "morning", "evening")), "mapped"
    )
    assert next(line.to for line in result.lines if line.where == "weights.evening") == "Observation.valueQuantity"
    (only,) = mapped(context, "weights", morning="七十", **cells, evening=" ").resources
    assert "valueQuantity" not in only


def test_the_ledger_says_of_each_column_what_became_of_it_and_agrees_with_its_counts() -> None:
    row = {"patient_id": "1", "name": "李雷", "birth": "昨天", "changed_at": "2024-05-06", "hobby": "围棋", "phone": None}
    told = mapped(MappingContext(explain=True), "v_patient", **row)
    assert {line.where: (line.state, line.to) for line in told.lines} == {
        "v_patient.patient_id": ("mapped", "Patient.identifier[+]"),
        "v_patient.name": ("mapped", "Patient.name[0].text"),
        "v_patient.birth": ("kept", ""),
        "v_patient.changed_at": ("kept", ""),
        "v_patient.hobby": ("unmapped", ""),
    }
    assert dict(told.ledger) == {"mapped": 2, "kept": 2, "unmapped": 1}
    assert mapped(MappingContext(), "v_patient", **row).lines == ()


NOT_AS_SAID = """
[p]
like = "v_patient"
rename = { "号" = "patient_id", "名" = "name" }
[[example]]
table = "p"
row = { "号" = 1, "名" = "李雷", "备注" = "x" }
expect = { "Patient.name[0].text" = "韩梅", "Patient.gender" = "male", "Patient.name" = "" }
count = { Patient = 2 }
issues = []
[[example]]
table = "p"
row = { "名" = "李雷" }
error = "needs patient_id"
[[example]]
table = "p"
row = { "号" = 1 }
error = "needs patient_id"
[[example]]
table = "nothing"
row = { a = 1 }
"""


def test_an_example_that_does_not_hold_says_what_came_out(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(NOT_AS_SAID, "utf-8")
    first, second, third, fourth = run_table_tests(path)
    assert first.problems == (
        "Patient.name[0].text: '李雷'; expected '韩梅'",
        "Patient.gender: nothing is there; expected 'male'",
        "Patient.name: [{'use': 'official', 'text': '李雷'}]; expected ''",
        "it makes {'Patient': 1}; expected {'Patient': 2}",
        "its issues are ['not-mapped p.备注']; expected []",
    )
    assert second.passed
    assert third.problems == ("it should fail with 'needs patient_id', and it was mapped",)
    assert "no table is declared" in fourth.problems[0]


def make(table: str, *lines: str, resource: str = "Patient", before: str = "") -> str:
    return "\n".join((f"[{table}]", before, f"[[{table}.make]]", f"resource = '{resource}'", "key = ['x']", *lines))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            make("a", "elements = [", "  { to = 'gender', column = 'x' },", "  { to = 'id', colum = 'x' },", "]"),
            r"own\.toml, line 8: a\.make\[0\]\.elements\[1\]\.colum: no such key; there are to, column",
        ),
        ("\n" + make("a", "elements = [{ to = 'id', column = 'x' }]", before="ignor = ['x']"), "line 2: .*no such key"),
        (make("a", "each = [{ c = 'y' }]", "elements = [{ to = 'id', column = '{c}' }]"), "tells its resources apart"),
        (make("a", "suffix = '{c}{d}'", "each = [{ c = 'y' }]", "elements = []"), "no entry states d"),
        (make("a", "elements = [{ to = 'birthDate', column = 'x', as = 'datetime', zone = 'Mars' }]"), "no time zone"),
        ("[a]\nlike = 'b'\n[b]\nlike = 'a'", "no table"),
        ("[a]\nlike = 'v_patient'\nrename = { 姓名 = 'name' }", "stands in quotes"),
        ("[[example]]\ntable = 'v_patient'\nrows = { a = 1 }", "example 1: row"),
        ("[example]\ntable = 'v_patient'", "two brackets"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_would_be_right(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(BadTable, match=says):
        run_table_tests(path)


def test_a_channel_of_county_toml_maps_by_its_own_files(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text(
        "[p]\nlike = 'v_patient'\nrename = { BRID = 'patient_id', XB = 'sex' }\n[map.gender]\n'5' = 'male'", "utf-8"
    )
    (tmp_path / "two.toml").write_text("[map.gender]\n'5' = 'other'", "utf-8")
    context = context_of(Channel(name="his", connector="sql", tables=("one.toml", "two.toml")), tmp_path)
    assert mapped(context, "p", BRID=1, XB="5").resources[0]["gender"] == "other"
    (tmp_path / "two.toml").write_text("[p\n", "utf-8")
    with pytest.raises(Invalid, match=r"channel his: tables: .*two\.toml.*line 1"):
        context_of(Channel(name="his", connector="sql", tables=("two.toml",)), tmp_path)
