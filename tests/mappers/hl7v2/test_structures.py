"""Drugs, charges, appointments, documents, problems, referrals: what the golden cases do not show."""

import base64
import random
from decimal import Decimal

import pytest

from mappers.base import CannotMap, MappingContext
from mappers.identity_keys import resource_id
from tests.mappers.hl7v2.clinical import GOLDEN, check_valid, issues_of, message
from tests.mappers.hl7v2.conftest import mapped, of_type, only, stored

# ---------------------------------------------------------------- drugs


@pytest.mark.parametrize(("timing", "repeat"), [
    ("TQ1|1||BID", {"frequency": 2, "period": 1, "periodUnit": "d"}),
    ("TQ1|1||Q6H", {"frequency": 1, "period": 6, "periodUnit": "h"}),
    ("TQ1|1||每日三次", {"frequency": 3, "period": 1, "periodUnit": "d"}),
    ("TQ1|1||QN", {"when": ["HS"]}),
    ("TQ1|1||ST", {"count": 1}),
    ("TQ1|1||QOD|||5^d", {"boundsDuration": "5", "frequency": 1, "period": 2, "periodUnit": "d"}),
    ("TQ1|1||||||20240501|20240503", {"boundsPeriod": {"start": "2024-05-01", "end": "2024-05-03"}}),
    ("TQ1|1||随餐", None),
])  # fmt: skip
def test_when_a_drug_is_taken(timing: str, repeat: dict | None) -> None:
    found = only(mapped(message("RDE^O11", "ORC|NW|P1", "RXE||D1^药|1||g", timing)), "MedicationRequest")["dosageInstruction"][0][
        "timing"
    ]
    if found.get("repeat", {}).get("boundsDuration"):
        found["repeat"]["boundsDuration"] = str(found["repeat"]["boundsDuration"]["value"])
    assert found.get("repeat") == repeat
    assert repeat or found["code"]["text"] == "随餐"


def test_times_of_version_2_3_are_joined() -> None:
    done = mapped(message("RDE^O01", "ORC|NW|P1|||||1^BID^D4^^^S", "RXE|^^^20240501080000^^S|D1^药|1||g"))
    request = only(done, "MedicationRequest")
    repeat = request["dosageInstruction"][0]["timing"]["repeat"]
    assert (repeat["frequency"], repeat["boundsDuration"]["value"], request["priority"]) == (2, Decimal(4), "stat")


def test_a_code_that_a_concept_map_knows_is_translated_and_not_told() -> None:
    known = {("urn:hub:CTY:drug", "D1"): ({"system": "http://www.whocc.no/atc", "code": "J01CA04"},)}
    drug = message("RDE^O11", "ORC|NW|P1", "RXE||D1^阿莫西林")
    done = mapped(drug, context=MappingContext(concept_maps=known))
    assert only(done, "MedicationRequest")["medicationCodeableConcept"]["coding"][1]["code"] == "J01CA04"
    assert ("unmapped-code", "RXE[1]-2") not in issues_of(done)
    (told,) = [issue for issue in mapped(drug).issues if issue.code == "unmapped-code"]
    assert (told.system, told.value, told.display) == ("urn:hub:CTY:drug", "D1", "阿莫西林")


def test_what_is_given_is_told_from_what_is_to_be_given() -> None:
    rgv = mapped(message("RGV^O15", "ORC|NW|P1", "RXG|1||^^^20240501080000|D1^药|1||g", "RXR|IV^静滴"))
    instance = next(r for r in of_type(rgv, "MedicationRequest") if r["intent"] == "instance-order")
    assert instance["basedOn"][0]["reference"].endswith(resource_id("MedicationRequest", "CTY", "P1"))
    check_valid(rgv)
    taken_back = mapped(message("RAS^O17", "ORC|RE|P1", "RXA|0|1|20240501080000||D1^药|1|g|||||||||||||CP|D"))
    assert only(taken_back, "MedicationAdministration")["status"] == "entered-in-error"
    unsaid = mapped(message("RAS^O17", "ORC|RE|P1", "RXA|0|1|||D1^药|1|g"))
    assert only(unsaid, "MedicationAdministration")["status"] == "unknown"


# ---------------------------------------------------------------- charges, appointments, documents, problems, referrals


def test_what_is_no_charge_is_named_and_what_is_not_said_is_not_made_up() -> None:
    done = mapped(
        message(
            "DFT^P03",
            "FT1|1|T1||20240501||PY|W^微信",
            "FT1|2|T2||20240501||CG|A^挂号|||2|x|4.50",
            "FT1|3|T3||20240501|||A|||||4.50",
        )
    )
    charged, unsaid = of_type(done, "ChargeItem")
    assert charged["priceOverride"] == {"value": Decimal("9.00"), "currency": "CNY"}
    assert (unsaid["status"], unsaid.get("priceOverride")) == ("unknown", None)
    assert {("not-mapped", "FT1[1]-6"), ("invalid-value", "FT1[2]-11"), ("missing", "FT1[3]-6")} <= issues_of(done)


@pytest.mark.parametrize(("trigger", "stated", "status"), [
    ("S12", "", "booked"), ("S13", "", "booked"), ("S15", "", "cancelled"), ("S17", "", "entered-in-error"), ("S26", "", "noshow"),
    ("S14", "Pending", "pending"), ("S14", "Complete", "fulfilled"), ("S12", "??", "booked"), ("S15", "Booked", "cancelled"),
    ("S14", "Noshow", "noshow"), ("S14", "Waitlist", "waitlist"),
])  # fmt: skip
def test_the_status_of_an_appointment(trigger: str, stated: str, status: str) -> None:
    sch = f"SCH|A1|B1|||||R|N|15|min|^^^20240506083000||||||||||||||{stated}"
    done = mapped(message(f"SIU^{trigger}", sch, "AIP|1|A|103^孙主任", "AIP|2|D|104^李主任"))
    appointment = only(done, "Appointment")
    assert appointment["status"] == status
    assert appointment["id"] == resource_id("Appointment", "CTY", "B1")
    assert [p["actor"].get("display") for p in appointment["participant"]] == [None, "孙主任"]
    check_valid(done)


def test_a_document_that_replaces_and_one_that_is_cancelled() -> None:
    txa = "TXA|1|DS^出院记录|TX|||20240505160000||||||DOC2|DOC1||||AU"
    done = mapped(message("MDM^T10", txa, "OBX|1|TX|DS||甲", "OBX|2|TX|DS||乙"))
    replaced, document = of_type(done, "DocumentReference")
    assert replaced["status"] == "superseded"
    assert document["relatesTo"] == [{"code": "replaces", "target": {"reference": f"DocumentReference/{replaced['id']}"}}]
    assert base64.b64decode(document["content"][0]["attachment"]["data"]).decode() == "甲\n乙"
    cancelled = only(mapped(message("MDM^T11", "TXA|1|DS^出院记录||||||||||DOC2")), "DocumentReference")
    assert (cancelled["id"], cancelled["status"], cancelled["docStatus"]) == (
        document["id"],
        "entered-in-error",
        "entered-in-error",
    )
    restricted = only(mapped(message("MDM^T02", f"{txa}|R", "OBX|1|TX|DS||甲")), "DocumentReference")
    assert restricted["securityLabel"][0]["coding"][0]["code"] == "R"


def test_a_problem_that_is_deleted_or_resolved() -> None:
    resolved = only(mapped(message("PPR^PC2", "PRB|UP|20240501|J18^肺炎^I10|W1|||20240401||20240501")), "Condition")
    assert resolved["clinicalStatus"]["coding"][0]["code"] == "resolved"
    deleted = mapped(message("PPR^PC3", "PRB|DE|20240502|J18^肺炎^I10|W1"))
    assert [c.resource["clinicalStatus"] for c in deleted.changes if c.resource["resourceType"] == "Condition"] == [None]
    assert only(deleted, "Condition")["id"] == resolved["id"]
    check_valid(deleted)


@pytest.mark.parametrize(("trigger", "answer", "request_status", "task"), [
    ("I12", "P", "active", "requested"), ("I13", "A", "active", "accepted"), ("I13", "R", "active", "rejected"),
    ("I14", "A", "revoked", "cancelled"), ("I12", "", "active", "requested"),
])  # fmt: skip
def test_a_referral_and_its_answer(trigger: str, answer: str, request_status: str, task: str) -> None:
    done = mapped(message(f"{'RRI' if answer == 'A' else 'REF'}^{trigger}", f"RF1|{answer}|U|UP^上转|||Z1", "PRD|RT|||县医院"))
    assert (only(done, "ServiceRequest")["status"], only(done, "Task")["status"]) == (request_status, task)
    assert only(done, "Task")["owner"]["display"] == "县医院"
    check_valid(done)


@pytest.mark.parametrize(
    ("kind", "segments", "reason"),
    [
        ("DFT^P03", (), "without FT1"),
        ("VXU^V04", (), "without RXA"),
        ("MDM^T02", (), "without TXA"),
        ("MDM^T02", ("TXA|1|DS",), "TXA-12 is empty"),
        ("PPR^PC1", (), "without PRB"),
        ("REF^I12", (), "without RF1"),
        ("REF^I12", ("RF1|P",), "RF1-6 nor RF1-11"),
        ("SIU^S12", ("SCH||",), "neither SCH-1 nor SCH-2"),
        ("RDS^O13", ("ORC|RE|P1",), "no drug"),
        ("RDE^O11", ("RXE||D1",), "no order has a placer"),
    ],
)
def test_what_cannot_be_told_from_others_is_refused(kind: str, segments: tuple[str, ...], reason: str) -> None:
    with pytest.raises(CannotMap, match=reason):
        mapped(message(kind, *segments))


DAY = (
    *("oru-blood-and-urine", "oru-microbiology", "rde-prescription", "rds-dispense", "ras-infusion", "siu-booking"),
    *("siu-cancelled", "dft-outpatient-charges", "mdm-discharge-replaced", "mdm-cancelled", "ppr-hypertension"),
    *("ppr-deleted", "ref-up", "vxu-child"),
)
SAME = "PID|1||P000123^^^CTY^MR||张^秀英"
LATER = (
    message("RDE^O11", "ORC|CA|CF20240501007-1", "RXE||86901234^阿莫西林克拉维酸钾片^L|1||片", pid=SAME),
    message("MDM^T02", "TXA|1|DS^出院记录|TX|||||||||BL20240505001", "OBX|1|TX|DS||初稿", pid=SAME),
    message("ORM^O01", "ORC|CA|SQ20240501001", "OBR|1|SQ20240501001||XCG^血常规五分类^L", pid=SAME),
)


def test_the_order_of_arrival_never_decides_and_a_replay_adds_nothing() -> None:
    day = [mapped((GOLDEN / case / "input.hl7").read_bytes()) for case in DAY] + [mapped(content) for content in LATER]
    numbers = list(range(len(day)))
    once = stored(*day, numbers=numbers)
    for order in (numbers[::-1], random.Random(4).sample(numbers, len(numbers)), [*numbers, *numbers[::2]]):
        assert stored(*(day[number] for number in order), numbers=order) == once
    statuses = {(kind, resource["status"]) for (kind, _), resource in once.items() if "status" in resource}
    assert statuses >= {
        *(("Appointment", "cancelled"), ("DocumentReference", "superseded"), ("DocumentReference", "entered-in-error")),
        *(("MedicationRequest", "cancelled"), ("MedicationRequest", "stopped"), ("ServiceRequest", "revoked")),
    }
    cancelled = next(resource for (kind, _), resource in once.items() if kind == "Appointment")
    assert cancelled["start"] == "2024-05-06T08:30:00+08:00"  # what the cancellation leaves empty stays
