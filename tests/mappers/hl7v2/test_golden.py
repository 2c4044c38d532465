"""`input.hl7` → `expected.json`: what a message states, in full."""

import json
import os
from decimal import Decimal
from pathlib import Path

import pytest

from hub import fhir_json
from mappers.base import CannotMap, Mapped, MappingContext
from tests.mappers.hl7v2.conftest import check_r4, mapped

CASES = Path(__file__).resolve().parents[2] / "golden" / "hl7v2"
LOINC = "http://loinc.org"
CONTEXT = MappingContext(
    code_systems={"ICD10CN": "urn:oid:2.16.156.10011.2.3.3.11.5"},
    concept_maps={
        ("urn:hub:CTY:item", "K"): ({"system": LOINC, "code": "2823-3", "display": "Potassium [Moles/volume] in Serum or Plasma"},),
        ("urn:hub:CTY:item", "WBC"): ({"system": LOINC, "code": "6690-2"},),
    },
)


def as_json(result: Mapped) -> dict:
    return {
        "changed_at": result.changed_at.isoformat() if result.changed_at else None,
        "ledger": dict(result.ledger),
        "issues": [
            " | ".join(part for part in (i.severity, i.code, i.where, i.detail, i.system, i.value, i.display) if part)
            for i in result.issues
        ],
        "attachments": [{"sha256": a.sha256, "content_type": a.content_type, "bytes": len(a.content)} for a in result.attachments],
        "changes": [{"mode": change.mode, "resource": change.resource} for change in result.changes],
    }


def pretty(value: dict) -> str:
    """Indented, with every decimal as it was written."""
    loaded = json.loads(fhir_json.dump(value), parse_float=Decimal)
    numbers: list[str] = []

    def mark(number: Decimal) -> str:
        numbers.append(str(number))
        return f"\x00{len(numbers) - 1}\x00"

    text = json.dumps(loaded, ensure_ascii=False, indent=1, default=mark)
    for place, number in enumerate(numbers):
        text = text.replace(f'"\\u0000{place}\\u0000"', number)
    return text + "\n"


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir() if path.is_dir()))
def test_a_message_states_what_its_golden_case_says(case: str) -> None:
    content = (CASES / case / "input.hl7").read_bytes()
    facility = "XZ01" if b"|XZ01|" in content else "CTY"
    try:
        result = mapped(content, facility, CONTEXT)
        found = pretty(as_json(result))
    except CannotMap as reason:  # kept as a dead letter, with this reason
        result = Mapped()
        found = pretty({"dead": str(reason)})
    expected = CASES / case / "expected.json"
    if os.environ.get("YITONG_REWRITE_GOLDEN"):
        expected.write_text(found, "utf-8")
    assert found == expected.read_text("utf-8")
    check_r4(result)
