"""Documents beside what the mapper makes of them; each expected file was read by a person."""

from __future__ import annotations

import json
import os
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from hub.fhir_json import dump
from mappers.base import Mapped
from tests.mappers.cda.reading import GOLDEN, mapped, parts, valid, words

DOCUMENTS = sorted(GOLDEN.rglob("*.xml"))
TRUE_FALSE = {"true", "false"}


def plain(result: Mapped) -> dict[str, Any]:
    return {
        "changes": [{"mode": change.mode, "resource": change.resource} for change in result.changes],
        "issues": [f"{issue.code} {issue.where} {issue.value}".strip() for issue in result.issues],
        "ledger": dict(result.ledger),
        "changed_at": result.changed_at.isoformat() if result.changed_at else None,
    }


@pytest.mark.parametrize("source", DOCUMENTS, ids=lambda path: path.stem)
def test_golden(source: Path) -> None:
    result, expected = mapped(source.read_bytes()), source.with_suffix(".expected.json")
    text = json.dumps(plain(result), ensure_ascii=False, indent=1, default=lambda d: f"decimal:{d}") + "\n"
    if os.environ.get("YITONG_REWRITE_GOLDEN"):
        expected.write_text(text, "utf-8")
    assert json.loads(text) == json.loads(expected.read_text("utf-8"))
    valid(result)


@pytest.mark.parametrize("source", DOCUMENTS, ids=lambda path: path.stem)
def test_the_ledger_closes(source: Path) -> None:
    """Every header element, section and statement is one line, and lines and counts agree."""
    content = source.read_bytes()
    result = mapped(content, explain=True)
    assert len(result.lines) == sum(result.ledger.values()) == parts(content)
    for state, count in result.ledger.items():
        assert sum(line.state == state for line in result.lines) == count
    assert result.attachments[0].content == content


@pytest.mark.parametrize("source", [path for path in DOCUMENTS if path.parent == GOLDEN], ids=lambda path: path.stem)
def test_no_word_of_an_entry_is_lost(source: Path) -> None:
    """What nothing discrete is made of stands in the narrative at least."""
    content = source.read_bytes()
    said = unescape(b"".join(dump(resource) for resource in mapped(content).resources).decode())
    times = {word for word in words(content) if word.isdecimal() and len(word) >= 8}
    missing = {word for word in words(content) - TRUE_FALSE - times if word not in said and word.strip("0").strip(".") not in said}
    assert not missing
