"""`input.xml` and its action → `expected.json`: what a message of a platform states, in full."""

from __future__ import annotations

import base64
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.base import SourceRecord
from mappers.base import CannotMap, MappingContext
from mappers.registry import map_record
from profiles.validation import validate
from tests.mappers.hl7v2.test_golden import as_json, pretty
from tests.samples import sample_files

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
CASES = sorted(each.name for each in (GOLDEN / "hl7v3").iterdir() if each.is_dir())
NOW = datetime(2026, 5, 1, 2, tzinfo=UTC)


def record_of(case, content=None):
    folder = GOLDEN / "hl7v3" / case
    action = (folder / "action.txt").read_text().strip()
    return SourceRecord("cty-esb", "CTY", f"hl7v3/{action}", case, content or (folder / "input.xml").read_bytes(), NOW)


@pytest.mark.parametrize("case", CASES)
def test_a_message_becomes_what_stands_beside_it(case):
    mapped = map_record(record_of(case), MappingContext(explain=True))
    for change in mapped.changes:
        assert change.mode != "replace" or not validate(change.resource)
    counted = {state: sum(line.state == state for line in mapped.lines) for state in ("mapped", "kept", "unmapped")}
    assert counted == dict(mapped.ledger)
    file = GOLDEN / "hl7v3" / case / "expected.json"
    text = pretty(as_json(mapped))
    if os.environ.get("REWRITE_GOLDEN"):
        file.write_text(text, "utf-8")
    assert text == file.read_text("utf-8")


def test_what_stands_for_no_map_is_named():
    whole = record_of("patient-register").content
    for old, new, says in (
        (b"PRPA_IN201311UV02", b"PRVS_IN000001UV01", "no map for the interaction PRVS_IN000001UV01"),
        (b"2.16.156.10011.2.5.1.4", b"2.16.156.10011.9.9", "no patient number"),
        (b"<?xml", b'<!DOCTYPE a [<!ENTITY b "c">]><?xml', "DOCTYPE"),
        (b"</controlActProcess>", b"", "not well-formed"),
    ):
        with pytest.raises(CannotMap, match=says):
            map_record(record_of("patient-register", whole.replace(old, new)), MappingContext())


def test_a_registered_document_is_the_document_within():
    (document,) = sample_files("cda", "cn-wst500-27-lab-record.xml")
    within = base64.b64encode(document.read_bytes()).decode()
    told = f'<storageCode><originalText value="{within}"/></storageCode>'
    message = (
        '<RCMR_IN000002UV02 xmlns="urn:hl7-org:v3"><interactionId extension="RCMR_IN000002UV02"/><controlActProcess>'
        f"<subject><clinicalDocument>{told}</clinicalDocument></subject></controlActProcess></RCMR_IN000002UV02>"
    )
    record = SourceRecord("cty-esb", "CTY", "hl7v3/DocumentRegister", "k", message.encode(), NOW)
    alone = replace(record, kind="cda", content=document.read_bytes())
    assert map_record(record, MappingContext()).resources == map_record(alone, MappingContext()).resources
