"""Rows as the SQL connector yields them → FHIR, by the standard tables and by a hospital's own."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from connectors.base import SourceRecord
from hub.fhir_json import dump, load
from mappers.base import CannotMap, Mapped, MappingContext
from mappers.rows.engine import map_row
from mappers.rows.tables import BadTable, load_tables, read_tables, standard_tables
from profiles.validation import validate

GOLDEN = Path(__file__).parents[2] / "golden" / "rows"
CASES = sorted(path.stem for path in GOLDEN.glob("*.json") if not path.stem.endswith(".expected"))
MON = datetime(2024, 5, 6, 9, 30, tzinfo=UTC)


def row(view: str, deleted: bool = False, **columns: Any) -> SourceRecord:
    hints = {"deleted": "1"} if deleted else {}
    return SourceRecord("his", "CTY", f"row/{view}", "1", dump(columns), MON, changed_at=MON, hints=hints)


def plain(mapped: Mapped) -> dict[str, Any]:
    return {
        "changes": [{"mode": change.mode, "resource": change.resource} for change in mapped.changes],
        "issues": [f"{issue.code} {issue.where} {issue.value}".strip() for issue in mapped.issues],
        "ledger": dict(mapped.ledger),
    }


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    record = SourceRecord(
        "his", "CTY", f"row/{case.partition('.')[0]}", case, (GOLDEN / f"{case}.json").read_bytes(), MON, changed_at=MON
    )
    mapped = map_row(record, MappingContext())
    expected = GOLDEN / f"{case}.expected.json"
    if os.environ.get("YITONG_REWRITE_GOLDEN"):
        text = json.dumps(plain(mapped), ensure_ascii=False, indent=1, default=lambda d: f"decimal:{d}")
        expected.write_text(text + "\n", "utf-8")
    assert json.loads(json.dumps(plain(mapped), default=lambda d: f"decimal:{d}")) == json.loads(expected.read_text("utf-8"))
    for resource in mapped.resources:
        get_fhir_model_class(resource["resourceType"]).model_validate_json(dump(resource))
        assert validate(resource) == ()
    lines = map_row(record, MappingContext(explain=True)).lines
    assert {state: sum(line.state == state for line in lines) for state in mapped.ledger} == dict(mapped.ledger)


def test_every_standard_view_has_a_golden() -> None:
    assert {case.partition(".")[0] for case in CASES} == set(standard_tables()) - {"map"}


def test_every_declared_element_is_one_of_its_resource() -> None:
    for table in read_tables({}, over=standard_tables()).tables.values():
        for make in table.make:
            names = {field.alias or name for name, field in get_fhir_model_class(make.resource).model_fields.items()}
            for element in make.elements:
                assert element.to.split(".")[0].split("[")[0] in names, f"{make.resource}.{element.to}"


def test_a_number_that_fails_its_check_never_stands_under_the_id_card_system() -> None:
    (patient,) = map_row(row("v_patient", patient_id="1", id_no="330000199001011234"), MappingContext()).resources
    assert {i["system"] for i in patient["identifier"]} == {"urn:hub:CTY:patient", "urn:hub:CTY:unchecked-id"}


def test_a_column_nobody_reads_is_named_and_counted() -> None:
    mapped = map_row(row("v_patient", patient_id="1", hobby="围棋", empty=None), MappingContext())
    assert mapped.ledger == {"mapped": 1, "kept": 0, "unmapped": 1}
    assert [(issue.code, issue.where) for issue in mapped.issues] == [("not-mapped", "v_patient.hobby")]
    assert "围棋" not in str(mapped.issues)


def test_an_unknown_code_is_left_out_where_fhir_requires_one_and_kept_elsewhere() -> None:
    mapped = map_row(row("v_patient", patient_id="1", sex="7"), MappingContext())
    (patient,) = mapped.resources
    assert "gender" not in patient
    assert patient["extension"][0]["valueCoding"]["code"] == "7"
    assert [(i.code, i.value) for i in mapped.issues] == [("unmapped-code", "7")]


def test_a_local_code_is_translated_by_the_concept_map_and_kept() -> None:
    context = MappingContext(concept_maps={("urn:hub:CTY:item", "K"): ({"system": "http://loinc.org", "code": "2823-3"},)})
    mapped = map_row(row("v_lab_result", report_no="R1", item_code="K", item_name="钾", patient_id="1", value="4.10"), context)
    (observation,) = mapped.resources
    assert [coding["code"] for coding in observation["code"]["coding"]] == ["K", "2823-3"]
    assert observation["valueQuantity"]["value"] == Decimal("4.10")


def test_a_deleted_row_says_that_it_was_an_error() -> None:
    (order,) = map_row(row("v_order", deleted=True, order_id="1", patient_id="1", order_type="03"), MappingContext()).resources
    assert order["status"] == "entered-in-error"
    (condition,) = map_row(
        row("v_diagnosis", True, visit_id="1", seq="1", patient_id="1", icd="I10.x00"), MappingContext()
    ).resources
    assert "clinicalStatus" not in condition
    assert condition["verificationStatus"]["coding"][0]["code"] == "entered-in-error"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (row("v_patient", name="王小明"), "patient_id"),
        (row("v_diagnosis", visit_id="1", seq="1", icd="I10"), "subject"),
        (row("v_nothing", a="1"), "no table is declared"),
        (SourceRecord("his", "", "row/v_patient", "1", b'{"patient_id": 1}', MON), "facility"),
        (SourceRecord("his", "CTY", "row/v_patient", "1", b"nonsense", MON), "not JSON"),
    ],
)
def test_a_row_of_which_nothing_can_be_made_says_why(record: SourceRecord, reason: str) -> None:
    with pytest.raises(CannotMap, match=reason) as told:
        map_row(record, MappingContext())
    assert "王小明" not in str(told.value)


OWN = """
[ms_brda]
like = "v_patient"
rename = { BRID = "patient_id", BRXM = "name", BRXB = "sex", SFZH = "id_no" }
elements = [ { to = "identifier[+]", column = "EMPIID", as = "identifier", system = "local:empi" } ]

[v_room]
[[v_room.make]]
resource = "Location"
key = ["room"]
elements = [ { to = "name", column = "房间名" } ]

[map.gender]
"5" = "other"
"""


def test_a_hospital_borrows_a_table_for_its_own_columns_and_adds_to_it(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN, "utf-8")
    context = MappingContext(tables=load_tables(tmp_path / "own.toml"))
    (patient,) = map_row(row("ms_brda", BRID=7, BRXM="李雷", BRXB="5", EMPIID="E9"), context).resources
    (same,) = map_row(row("v_patient", patient_id="7"), MappingContext()).resources
    assert (patient["id"], patient["name"][0]["text"], patient["gender"]) == (same["id"], "李雷", "other")
    assert {"system": "urn:hub:CTY:empi", "value": "E9"} in patient["identifier"]
    (room,) = map_row(row("v_room", room="1", 房间名="一号"), context).resources
    assert room["name"] == "一号"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[v_x]\nmake = 1", r"v_x\.make"),
        (
            "[v_x]\n[[v_x.make]]\nresource = 'Patient'\nkey = ['a']\nelements = [{ to = 'name', colum = 'b' }]",
            r"make\[0\]\.elements\[0\]\.colum",
        ),
        (
            "[v_x]\n[[v_x.make]]\nresource = 'Patient'\nkey = ['a']\nelements = [{ to = 'name', column = 'b', as = 'wish' }]",
            "none of",
        ),
        (
            "[v_x]\n[[v_x.make]]\nresource = 'Patient'\nkey = ['a']\nelements = [{ to = 'g', column = 'b', as = 'code' }]",
            "needs map",
        ),
        (
            "[v_x]\n[[v_x.make]]\nresource = 'Patient'\nkey = ['a']\nelements = [{ to='g', column='b', as='code', map='m' }]",
            "no map.m",
        ),
        (
            "[v_x]\n[[v_x.make]]\nresource = 'Patient'\nkey = ['a']\nelements = [{ to = 'a b', column = 'b' }]",
            "not an element path",
        ),
        ("[v_x]\nlike = 'v_none'", "no table v_none"),
        ("[v_x\n", "line 1"),
    ],
)
def test_a_mistake_in_a_table_is_named_by_file_table_and_key(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(BadTable, match=says) as told:
        load_tables(path)
    assert str(path) in str(told.value)


def test_the_golden_rows_are_what_a_connector_writes() -> None:
    assert all(load((GOLDEN / f"{case}.json").read_bytes()) for case in CASES)
