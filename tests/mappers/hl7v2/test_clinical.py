"""Results and orders: what the golden cases do not show."""

import base64
from decimal import Decimal
from pathlib import Path

import pytest

from mappers.base import CannotMap
from mappers.identity_keys import resource_id
from tests.mappers.hl7v2.clinical import check_valid, issues_of, message
from tests.mappers.hl7v2.conftest import mapped, of_type, only, stored

CALCULUS = base64.b64encode(b"%PDF-1.4 x").decode()


# ---------------------------------------------------------------- samples that may not be copied


def test_an_imaging_order_names_its_study(samples: Path) -> None:
    done = mapped((samples / "omi_o23__dcm_omi-o23-imagingorder.hl7").read_bytes())
    order = only(done, "ServiceRequest")
    assert order["identifier"][2] == {
        "system": "urn:hub:CTY:accession",
        "value": "AccessionNumber",
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]},
    }
    assert order["category"][0]["coding"][0]["code"] == "CT"
    assert order["supportingInfo"][2]["identifier"]["value"] == "urn:oid:1.2.392.200036.9125.0.198811291108.7"
    assert order["occurrenceDateTime"] == "2000-08-16T15:10:00+08:00"
    assert "priority" not in order  # "RequestedProcedurePriority" is none


def test_a_report_names_its_study_and_holds_its_document(samples: Path) -> None:
    done = mapped((samples / "oru_r01__dcm_oru-r01-pdf.hl7").read_bytes())
    report = only(done, "DiagnosticReport")
    study = resource_id("ImagingStudy", "CTY", "1.2.392.200036.9125.0.198811291108.7")
    assert report["imagingStudy"] == [{"reference": f"ImagingStudy/{study}"}]
    assert [form["contentType"] for form in report["presentedForm"]] == ["application/pdf"]
    assert done.attachments[0].content.startswith(b"%PDF")
    assert done.attachments[0].content.rstrip().endswith(b"%%EOF")  # its base64 is broken by a carriage return
    assert ("moved", "OBX[4]") in issues_of(done)
    cda = mapped((samples / "oru_r01__dcm_oru-r01-cda.hl7").read_bytes())
    assert cda.attachments[0].content_type == "application/xml"
    assert cda.attachments[0].content.startswith(b'<?xml version="1.0"')
    assert cda.attachments[0].content.rstrip().endswith(b"</ClinicalDocument>")


def test_the_findings_of_a_structured_report_are_results_of_their_own(samples: Path) -> None:
    done = mapped((samples / "oru_r01__dcm_oru-r01-sr.hl7").read_bytes())
    findings = [o for o in of_type(done, "Observation") if o["code"].get("text") == "Procedure Findings"]
    assert [o["interpretation"][0]["coding"][0]["code"] for o in findings] == ["N", "A"]
    assert len(of_type(done, "Observation")) == 15


def test_a_prescription_of_one_number_is_one_request_a_drug(samples: Path) -> None:
    done = mapped((samples / "rde_o11__jp_example-prescription.hl7").read_bytes())
    requests = of_type(done, "MedicationRequest")
    assert len({request["id"] for request in requests}) == len(requests) == 4
    assert requests[0]["dosageInstruction"][0]["timing"]["repeat"]["boundsDuration"]["value"] == Decimal(3)
    assert requests[2]["dosageInstruction"][0]["timing"]["repeat"]["count"] == 10
    assert requests[3]["dosageInstruction"][0]["site"]["text"] == "左手"
    assert "doseAndRate" not in requests[3]["dosageInstruction"][0]


def test_each_result_has_the_specimen_it_stands_below(samples: Path) -> None:
    done = mapped((samples / "oul_r22__jp_example-inspection-result.hl7").read_bytes())
    reports = of_type(done, "DiagnosticReport")
    assert [len(report["result"]) for report in reports] == [14, 7]
    assert [report["specimen"] for report in reports] == [
        [{"reference": f"Specimen/{resource_id('Specimen', 'CTY', number)}"}] for number in ("1001", "1002")
    ]
    counts = {o["code"]["text"]: o["valueQuantity"] for o in of_type(done, "Observation")}
    assert counts["ＷＢＣ"]["code"] == "10*3/uL"


def test_an_appointment_in_one_component_and_one_without_sch(samples: Path) -> None:
    booked = only(mapped((samples / "siu_s12__mirth_01.hl7").read_bytes()), "Appointment")
    assert (booked["status"], booked["start"], booked["end"]) == (
        "booked",
        "2011-06-17T08:45:00+08:00",
        "2011-06-17T09:30:00+08:00",
    )
    done = mapped((samples / "siu_s12__dcm_siu-s12-newappointmentbooking.hl7").read_bytes())
    assert only(done, "Appointment")["end"] == "2020-10-23T09:30:00+08:00"  # 3600 s after AIS-4
    assert ("missing", "SCH") in issues_of(done)


# ---------------------------------------------------------------- order control


@pytest.mark.parametrize(("control", "stated", "service", "medication"), [
    ("NW", "", "active", "active"), ("CA", "", "revoked", "cancelled"), ("OC", "IP", "revoked", "cancelled"),
    ("DC", "", "revoked", "stopped"), ("HD", "", "on-hold", "on-hold"), ("RL", "", "active", "active"),
    ("XO", "", "active", "active"), ("SC", "CM", "completed", "completed"), ("RP", "", "revoked", "stopped"),
    ("RE", "", "completed", "completed"), ("SN", "", "unknown", "unknown"), ("??", "", "unknown", "unknown"),
])  # fmt: skip
def test_the_order_control_is_the_status(control: str, stated: str, service: str, medication: str) -> None:
    orc = f"ORC|{control}|P1|||{stated}"
    assert only(mapped(message("OMG^O19", orc, "OBR|1|P1||CT^CT")), "ServiceRequest")["status"] == service
    assert only(mapped(message("RDE^O11", orc, "RXE||D1^药")), "MedicationRequest")["status"] == medication


@pytest.mark.parametrize(("kind", "segments", "resource_type", "element"), [
    ("OMG^O19", ("ORC|XO|P1", "OBR|1|P1||CT^CT" + "|" * 27 + '""'), "ServiceRequest", "reasonCode"),
    ("RDE^O11", ("ORC|XO|P1", 'RXE||D1^药|1||g||||""'), "MedicationRequest", "substitution"),
    ("SIU^S14", ('SCH|A1|B1|||||""||||^^^20240506083000^20240506084500',), "Appointment", "reasonCode"),
    ("PPR^PC2", ('PRB|UP|20240501|I10^高血压|W1|||||""',), "Condition", "abatementDateTime"),
])  # fmt: skip
def test_two_quotes_delete_the_element(kind: str, segments: tuple[str, ...], resource_type: str, element: str) -> None:
    done = mapped(message(kind, *segments))
    patches = [c.resource for c in done.changes if c.resource["resourceType"] == resource_type and c.mode == "patch"]
    assert [patch[element] for patch in patches] == [None]
    stored(done)


def test_a_question_about_an_order_does_not_change_its_status() -> None:
    done = mapped(message("OMG^O19", "ORC|SS|P1", "OBR|1|P1||CT^CT"))
    assert [(c.mode, c.resource.get("status")) for c in done.changes if c.resource["resourceType"] == "ServiceRequest"] == [
        ("fill", "unknown"),
        ("patch", None),
    ]


def test_a_status_alone_is_of_the_order_it_names() -> None:
    ordered = only(mapped(message("ORM^O01", "ORC|NW|P1", "RXO|D1^药")), "MedicationRequest")
    drug = message("RDE^O11", "ORC|NW|P1", "RXE||D1^药", "ORC|CA|P2", "RXE||D2^药")
    assert [r["status"] for r in of_type(mapped(drug), "MedicationRequest")] == ["active", "cancelled"]
    assert of_type(mapped(drug), "MedicationRequest")[0]["id"] == ordered["id"]


@pytest.mark.parametrize("kind", ["ORR^O02", "ORL^O22", "RRE^O12", "BAR^P01", "MFN^M02", "QBP^Q11", "QRY^R02", "ACK", "SIU^S23"])
def test_a_structure_without_a_map_is_kept_and_named(kind: str) -> None:
    with pytest.raises(CannotMap, match="no map for this structure"):
        mapped(message(kind, "MSA|AA|1"))


# ---------------------------------------------------------------- grouping


def test_each_patient_has_the_results_below_their_pid() -> None:
    done = mapped(
        message(
            "ORU^R01", "OBR|1||L1|GLU", "OBX|1|NM|GLU||6.1||||||F", "PID|2||8||李四", "OBR|1||L2|GLU", "OBX|1|NM|GLU||13||||||F"
        )
    )
    subjects = {o["valueQuantity"]["value"]: o["subject"]["reference"] for o in of_type(done, "Observation")}
    assert subjects == {
        Decimal("6.1"): f"Patient/{resource_id('Patient', 'CTY', '7')}",
        Decimal(13): f"Patient/{resource_id('Patient', 'CTY', '8')}",
    }


def test_results_from_before_stand_below_the_same_patient() -> None:
    order = ("ORC|NW|P1", "OBR|1|P1||K^钾")
    before = ("PID|2||7||张三", "OBR|1||OLD1|K^钾|||20240401||||||||||||||||||F", "OBX|1|NM|K||4.1||||||F")
    done = mapped(message("OML^O21", *order, *before))
    assert only(done, "DiagnosticReport")["effectiveDateTime"] == "2024-04-01"
    assert len(of_type(done, "ServiceRequest")) == 1
    with pytest.raises(CannotMap, match="several PID"):
        mapped(message("OML^O21", *order, "PID|2||8||李四", *before[1:]))


def test_several_specimens_of_one_order_are_all_kept() -> None:
    spms = ("SPM|1|S1||SER", "SPM|2|S2||SER", "SPM|3|S3||SER")
    ahead = mapped(message("OUL^R22", *spms, "OBR|1||L1|GTT", "OBX|1|NM|GLU||6.1||||||F"))
    behind = mapped(message("OUL^R22", "OBR|1||L1|GTT", "OBX|1|NM|GLU||6.1||||||F", *spms))
    assert len(only(ahead, "DiagnosticReport")["specimen"]) == len(only(behind, "DiagnosticReport")["specimen"]) == 3
    assert ("moved", "SPM[1]") in issues_of(behind)


def test_what_stands_elsewhere_is_grouped_and_told() -> None:
    done = mapped(message("RDE^O11", "RXR|PO^口服", "RXE||D1^药|1||g", "ORC|NW|P1"))
    assert only(done, "MedicationRequest")["dosageInstruction"][0]["route"]["text"] == "口服"
    assert {("moved", "RXR[1]"), ("moved", "ORC[1]")} <= issues_of(done)
    shifted = mapped(message("ORU^R01", "OBR|1||L1|CBC|||20240501||||||||||||||||20240501100000||HM|F", "OBX|1|NM|K||4.1||||||F"))
    report = only(shifted, "DiagnosticReport")
    assert (report["status"], report["issued"]) == ("final", "2024-05-01T10:00:00+08:00")
    assert ("moved", "OBR[1]-26") in issues_of(shifted)


def test_a_narrative_is_one_text_with_its_blank_lines() -> None:
    lines = ["OBX|1|TX|X^所见||第一行||||||F", "OBX|2|TX|X^所见||||||||F", "OBX|3|TX|X^所见||第三行||||||F"]
    done = mapped(message("ORU^R01", "OBR|1||L1|CT", *lines, "OBX|4|TX|Y^诊断意见||炎症||||||F"))
    assert [o["valueString"] for o in of_type(done, "Observation")] == ["第一行\n\n第三行", "炎症"]
    assert only(done, "DiagnosticReport")["conclusion"] == "炎症"
    other = mapped(message("ORU^R01", "OBR|1||L1|CT", "OBX|1|ST|^A||1.2||||||F", "OBX|2|ST|^B||1.3||||||F"))
    assert len(of_type(other, "Observation")) == 2


def test_who_reported_who_did_it_and_with_what() -> None:
    prts = ("PRT|1|AD||RO|301^周医师", "PRT|2|AD||PB|302^吴技师|||检验科^^L01", "PRT|3|DE||PB|303^已删")
    done = mapped(
        message("ORU^R01", "OBR|1||L1|K", *prts, "OBX|1|NM|K||4.1||||||F|||||||||||B1", "PRT|4|AD||EQUIP||||||XN1^血球仪")
    )
    report, observation = only(done, "DiagnosticReport"), only(done, "Observation")
    assert [person["display"] for person in report["resultsInterpreter"]] == ["周医师"]
    assert [each.get("display") for each in report["performer"]] == [None, "检验科", "吴技师"]
    assert observation["device"]["display"] == "血球仪"
    check_valid(done)


def test_drugs_below_one_sub_identifier_belong_to_its_only_isolate() -> None:
    isolate = "OBX|1|CE|ORG^鉴定结果|1|KPN^肺炎克雷伯菌^L||||||F"
    drugs = ("OBX|2|SN|AMK|1|<=^2|ug/mL||敏感|||F", "OBX|3|ST|CRO|1|耐药|||R|||F", "OBX|4|ST|CNT|1|>10万CFU/mL||||||F")
    organism, amikacin, ceftriaxone, count = of_type(mapped(message("ORU^R01", "OBR|1||L1|CULT", isolate, *drugs)), "Observation")
    assert organism["hasMember"] == [{"reference": f"Observation/{drug['id']}"} for drug in (amikacin, ceftriaxone)]
    assert (amikacin["interpretation"][0]["coding"][0]["code"], "derivedFrom" in count) == ("S", False)
    two = mapped(message("ORU^R01", "OBR|1||L1|CULT", isolate, isolate.replace("KPN", "ECO"), *drugs))
    assert not [o for o in of_type(two, "Observation") if "derivedFrom" in o]  # whose they are is not certain


def test_a_result_taken_back_has_left_its_report() -> None:
    done = mapped(message("ORU^R01", "OBR|1||L1|K", "OBX|1|NM|K||4.1||||||D", "OBX|2|NM|NA||141||||||F"))
    wrong, right = of_type(done, "Observation")
    assert (wrong["status"], only(done, "DiagnosticReport")["result"]) == (
        "entered-in-error",
        [{"reference": f"Observation/{right['id']}"}],
    )


# ---------------------------------------------------------------- documents inside OBX


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"RIS^Application^PDF^Base64^{CALCULUS}", [("application/pdf", "Binary/")]),
        (CALCULUS, [("application/pdf", "Binary/")]),
        ("x^Text^text/plain^A^第一^第二", [("text/plain", "Binary/")]),
        ("x^Application^PDF^Base64^?", []),
    ],
)
def test_a_document_is_known_by_its_bytes_or_by_name(value: str, expected: list[tuple[str, str]]) -> None:
    done = mapped(message("ORU^R01", "OBR|1||L1|CT||||||||||||||||||||||F", f"OBX|1|ED|PDF^报告||{value}||||||F"))
    forms = only(done, "DiagnosticReport").get("presentedForm", [])
    assert [(form["contentType"], form["url"][:7]) for form in forms] == expected
    assert bool(forms) or ("invalid-value", "OBX[1]-5") in issues_of(done)


def test_a_document_taken_back_is_no_more_part_of_the_report() -> None:
    done = mapped(message("ORU^R01", "OBR|1||L1|CT", f"OBX|1|ED|PDF||x^Application^PDF^Base64^{CALCULUS}||||||D"))
    assert "presentedForm" not in only(done, "DiagnosticReport")


def test_a_document_below_an_order_is_a_document_of_its_own() -> None:
    done = mapped(message("OMG^O19", "ORC|NW|P1", "OBR|1|P1||CT^CT", f"OBX|1|ED|SQD^申请单||x^Application^PDF^Base64^{CALCULUS}"))
    document = only(done, "DocumentReference")
    assert only(done, "ServiceRequest")["supportingInfo"] == [{"reference": f"DocumentReference/{document['id']}"}]
    check_valid(done)
