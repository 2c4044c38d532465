"""FHIR reports → ORU^R01: one case read field by field, and what our own mapper makes of every sample's report sent back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import hl7
import pytest

from connectors.base import SourceRecord
from mappers.base import CannotMap, MappingContext
from mappers.hl7v2_out.report import Envelope, Told, oru_from_report
from mappers.registry import map_record
from tests.samples import sample_files

GOLDEN = Path(__file__).parent / "golden"
SENT = datetime(2026, 5, 1, 9, 30, tzinfo=timezone(timedelta(hours=8)))
ENVELOPE = Envelope(
    control_id="K7Q2M4XWBN3RD5TZAE6C",
    sent_at=SENT,
    sending_facility="CTY",
    receiving_application="HIS",
    receiving_facility="TWN",
)


def told_of(resources, focus, **more):
    around = {f"{each['resourceType']}/{each['id']}": each for each in resources}
    return Told(focus, around, **more)


def case():
    resources = json.loads((GOLDEN / "chemistry.json").read_text("utf-8"), parse_float=Decimal)
    return resources, next(each for each in resources if each["resourceType"] == "DiagnosticReport")


def lines(outgoing, codec="utf-8"):
    return outgoing.content.decode(codec).split("\r")[:-1]


def test_a_report_with_every_type_of_value_is_the_message_beside_it():
    resources, report = case()
    documents = {"Binary/abc": b"%PDF-1.4"}
    outgoing = oru_from_report(told_of(resources, report, documents=documents), ENVELOPE)
    assert lines(outgoing) == (GOLDEN / "chemistry.hl7").read_text("utf-8").splitlines()
    assert [(each.code, each.where) for each in outgoing.issues] == [("not-mapped", "Observation.valueSampledData")]


def test_character_sets_versions_and_withdrawal():
    resources, report = case()
    gb = oru_from_report(told_of(resources, report), Envelope("1", SENT, charset="GB18030", version="2.3.1"))
    assert "GB 18030-2000" in lines(gb, "gb18030")[0]
    assert "|ORU^R01|" in lines(gb, "gb18030")[0]
    assert "|CE|" in "".join(lines(gb, "gb18030"))
    gone = oru_from_report(told_of(resources, report, withdrawn=True), ENVELOPE)
    message = hl7.parse("\r".join(lines(gone)))
    assert {str(each[11]) for each in message.segments("OBX")} | {str(message.segment("OBR")[25])} == {"X"}
    with pytest.raises(CannotMap, match="Encounter"):
        oru_from_report(told_of(resources, {"resourceType": "Encounter", "id": "e"}), ENVELOPE)
    with pytest.raises(CannotMap, match="without a patient"):
        oru_from_report(Told(report), ENVELOPE)


def mapped(content):
    record = SourceRecord("lis", "CTY", "hl7v2", "k", content, datetime(2026, 5, 1, tzinfo=UTC))
    return {f"{each['resourceType']}/{each['id']}": each for each in map_record(record, MappingContext()).resources}


VALUES = ("valueQuantity", "valueString", "valueCodeableConcept", "valueDateTime", "valueRange", "valueRatio")
SAME = (*VALUES, "status", "interpretation")


def essence(observation):
    """What must come back as it went: numbers, texts, codes, flags; a source's own spelling of them may be lost on the way."""
    found = {name: observation[name] for name in SAME if name in observation}
    if "valueCodeableConcept" in found:
        found["valueCodeableConcept"] = [each["code"] for each in found["valueCodeableConcept"].get("coding", ())][:1]
    if "valueQuantity" in found:
        found["valueQuantity"] = {name: found["valueQuantity"].get(name) for name in ("value", "comparator")}
    if "interpretation" in found:
        codes = [first["code"] for each in found["interpretation"] for first in each.get("coding", ())[:1]]
        found["interpretation"] = codes
    return {name: value for name, value in found.items() if value}


def test_every_report_of_the_samples_comes_back_as_it_went():
    reports = 0
    for file in sample_files("hl7v2", "oru*.hl7"):
        try:
            resources = mapped(file.read_bytes())
        except CannotMap:
            continue
        for report in resources.values():
            if report["resourceType"] != "DiagnosticReport":
                continue
            outgoing = oru_from_report(Told(report, resources), ENVELOPE)
            hl7.parse(outgoing.content.decode())
            back = mapped(outgoing.content)
            again = [each for each in back.values() if each["resourceType"] == "DiagnosticReport"]
            assert len(again) == 1, file.name
            sent = [essence(resources[each["reference"]]) for each in report.get("result", ())]
            came = [essence(back[each["reference"]]) for each in again[0].get("result", ())]
            assert len(came) == len(sent), file.name
            for there, here in zip(sent, came, strict=True):
                text = "Negative" in there.get("valueString", "")  # TX comes back as ST, whose words are read as codes
                left = set(there) - set(VALUES) if text else set(there)
                assert {name: here[name] for name in left} == {name: there[name] for name in left}, file.name
            reports += 1
    assert reports > 20
