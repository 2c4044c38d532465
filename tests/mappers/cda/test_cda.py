"""Clinical documents by the front door: files of the WS/T 500 shape, vendor variants, C-CDA, and hostile XML."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import SourceRecord
from connectors.xml import without_declaration
from demo.emr_documents import Coded, Frame, Stay, Subject, discharge_summary, imaging_report, outpatient_record
from hub.fhir_json import dump
from mappers.base import CannotMap, MappingContext
from mappers.cda.catalogue import document_types
from mappers.cda.narrative import div_from_text
from mappers.cda.reader import parse
from mappers.datatypes import id_check
from mappers.identity_keys import resource_id
from mappers.rows import map_row
from tests.mappers.cda.reading import GOLDEN, NOON, mapped, of_type, valid
from tests.samples import FOLDER

SAMPLES = FOLDER / "cda"
BEIJING = timezone(timedelta(hours=8))

ID_NUMBER = "33990019850312002" + id_check("33990019850312002")
SUBJECT = Subject("P0001", "欧阳晓华", "2", "19850312", ID_NUMBER, "13800000001", "示范县城关镇一号")
FACILITY, DOCTOR = Coded("12345678-1", "示范县人民医院"), Coded("D017", "周医生")
VISIT = Stay(
    "V20240506001", "1", datetime(2024, 5, 6, 8, 21, tzinfo=BEIJING), datetime(2024, 5, 6, 8, 35, tzinfo=BEIJING), "心血管内科"
)
ADMITTED = datetime(2024, 5, 7, 10, 0, tzinfo=BEIJING)
ADMISSION = Stay("Z2024000123", "3", ADMITTED, ADMITTED + timedelta(days=5), "心血管内科", "一病区", "12床")


def frame(number: str, **more: Any) -> Frame:
    created = more.pop("created", datetime(2024, 5, 6, 9, 0, tzinfo=BEIJING))
    return Frame(number, created, FACILITY, DOCTOR, **more)


def outpatient(document: Frame | None = None, **changes: Any) -> bytes:
    facts: dict[str, Any] = {
        "complaint": "反复头晕3天",
        "present": "患者3天前无明显诱因出现头晕，无恶心呕吐 <血压 160/95 mmHg> & 无发热。",
        "past": "高血压病史5年。",
        "allergy": "青霉素过敏",
        "examination": "神志清，心肺听诊无异常。",
        "diagnoses": (Coded("I10.x00", "原发性高血压"), Coded("R42.x00", "头晕")),
        "orders": "苯磺酸氨氯地平片 5mg 口服 每日一次",
    }
    return outpatient_record(document or frame("MR001", set_number="SET001"), SUBJECT, VISIT, **{**facts, **changes})


def imaging(**changes: Any) -> bytes:
    facts: dict[str, Any] = {
        "report_number": "XR77",
        "request_number": "O3002",
        "kind": "CT",
        "item": "胸部CT平扫",
        "item_code": "CT-CHEST",
        "performed": datetime(2024, 5, 6, 9, 30, tzinfo=BEIJING),
        "findings": "右肺上叶见一直径约6mm结节，边界清。",
        "impression": "右肺上叶小结节，建议随访。",
        "body_part": "胸部",
    }
    return imaging_report(frame("MR002"), SUBJECT, VISIT, **{**facts, **changes})


def discharge() -> bytes:
    return discharge_summary(
        frame("MR003", created=ADMITTED + timedelta(days=5, hours=1)),
        SUBJECT,
        ADMISSION,
        admitted_with="因胸闷1周入院。",
        course="予抗血小板、调脂治疗，症状缓解。",
        condition="好转，生命体征平稳。",
        advice="低盐低脂饮食，两周后复诊。",
        admission_diagnoses=(Coded("R07.400", "胸痛"),),
        discharge_diagnoses=(Coded("I25.100", "冠状动脉粥样硬化性心脏病"), Coded("I10.x00", "原发性高血压")),
        way="3",
    )


DOCUMENTS = {"c0002-outpatient": outpatient, "c0006-imaging": imaging, "c0053-discharge": discharge}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_the_golden_documents_are_those_that_the_demo_writes(case: str) -> None:
    assert (GOLDEN / f"{case}.xml").read_bytes() == DOCUMENTS[case]()


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample documents of other projects are not here (YITONG_SAMPLES)")
@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("cn-*.xml")) if SAMPLES.is_dir() else [""])
def test_the_sample_documents_that_are_not_ours_to_copy_are_kept_whole_and_valid(name: str) -> None:
    content = (SAMPLES / name).read_bytes()
    result = mapped(content)
    valid(result)
    assert result.attachments[0].content == content
    assert {"Patient", "Composition", "DocumentReference", "Binary"} <= {resource["resourceType"] for resource in result.resources}


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample documents of other projects are not here (YITONG_SAMPLES)")
def test_documents_that_share_a_set_number_by_mistake_stay_apart() -> None:
    found = [of_type(mapped(path.read_bytes()), "DocumentReference")[0]["id"] for path in sorted(SAMPLES.glob("*.xml"))]
    assert len(set(found)) == len(found)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample documents of other projects are not here (YITONG_SAMPLES)")
def test_a_vendors_lab_record_pairs_its_single_item_and_takes_no_birth_date_from_the_age() -> None:
    result = mapped((SAMPLES / "cn-wst500-27-lab-record.xml").read_bytes())
    (observation,) = of_type(result, "Observation")
    assert str(observation["valueQuantity"]["value"]) == "1.1234"
    assert "interpretation" not in observation, "code 1 is normal and its name says abnormal"
    assert ("conflict", "DE04.30.017") in {(issue.code, issue.where) for issue in result.issues}
    assert "referenceRange" not in observation
    assert "birthDate" not in of_type(result, "Patient")[0]


# ---------------------------------------------------------------- what the document means


def test_the_original_is_kept_byte_for_byte_under_its_hash() -> None:
    content = outpatient()
    result = mapped(content)
    name = hashlib.sha256(content).hexdigest()
    assert [(a.sha256, a.content) for a in result.attachments] == [(name, content)]
    assert of_type(result, "Binary")[0]["id"] == name
    attachment = of_type(result, "DocumentReference")[0]["content"][0]["attachment"]
    assert attachment["url"] == f"Binary/{name}"
    assert b64decode(attachment["hash"]) == hashlib.sha1(content, usedforsecurity=False).digest(), "as FHIR defines it"


def test_patient_and_visit_are_those_of_the_his_rows() -> None:
    result = mapped(outpatient())
    row = {"visit_id": VISIT.number, "patient_id": SUBJECT.number}
    visit = map_row(SourceRecord("his", "CTY", "row/v_visit", "1", dump(row), NOON), MappingContext()).resources[0]
    assert of_type(result, "Encounter")[0]["id"] == visit["id"]
    assert of_type(result, "Composition")[0]["subject"] == visit["subject"]
    assert all(change.mode == "fill" for change in result.changes if change.resource["resourceType"] in ("Patient", "Encounter"))


def test_an_outpatient_record_states_diagnoses_complaint_and_a_named_allergy() -> None:
    result = mapped(outpatient())
    assert [c["code"]["coding"][0]["code"] for c in of_type(result, "Condition")] == ["I10.x00", "R42.x00"]
    assert [a["code"]["text"] for a in of_type(result, "AllergyIntolerance")] == ["青霉素"]
    assert of_type(result, "Encounter")[0]["reasonCode"] == [{"text": "反复头晕3天"}]


@pytest.mark.parametrize(
    ("allergy", "stated"),
    [
        ("", ["无过敏史"]),
        ("青霉素、头孢类药物过敏", ["青霉素", "头孢"]),
        ("既往曾因食用海鲜后全身出现皮疹。未就诊，自行缓解。", []),
        ("不详", []),
    ],
)
def test_an_allergy_is_stated_only_for_a_named_substance_or_a_plain_no(allergy: str, stated: list[str]) -> None:
    assert [a["code"]["text"] for a in of_type(mapped(outpatient(allergy=allergy)), "AllergyIntolerance")] == stated


def test_an_allergy_that_many_documents_state_is_one() -> None:
    first, second = (of_type(mapped(outpatient(frame(number))), "AllergyIntolerance")[0]["id"] for number in ("MR1", "MR2"))
    assert first == second


def test_an_imaging_report_is_a_report_with_findings_and_never_a_study() -> None:
    result = mapped(imaging())
    (report,) = of_type(result, "DiagnosticReport")
    assert report["conclusion"] == "右肺上叶小结节，建议随访。"
    assert of_type(result, "Observation")[0]["valueString"].startswith("右肺上叶见")
    assert report["id"] == resource_id("DiagnosticReport", "CTY", "XR77")
    assert report["basedOn"] == [{"reference": f"ServiceRequest/{resource_id('ServiceRequest', 'CTY', 'O3002')}"}]
    assert not of_type(result, "ImagingStudy")


def test_findings_and_impression_are_told_apart_by_name_where_a_vendor_writes_one_code_twice() -> None:
    (report,) = of_type(mapped(imaging().replace(b"DE04.50.132", b"DE04.50.131")), "DiagnosticReport")
    assert report["conclusion"] == "右肺上叶小结节，建议随访。"


def test_a_discharge_summary_closes_the_visit_and_says_where_to() -> None:
    (encounter,) = of_type(mapped(discharge()), "Encounter")
    assert encounter["status"] == "finished"
    assert encounter["hospitalization"]["dischargeDisposition"]["coding"][0]["code"] == "other-hcf"
    assert [entry["use"]["coding"][0]["code"] for entry in encounter["diagnosis"]] == ["AD", "DD", "DD"]


def test_a_correction_is_a_new_version_of_the_same_document() -> None:
    first = mapped(outpatient())
    corrected = frame("MR001-2", set_number="SET001", version=2, replaces="MR001", created=datetime(2024, 5, 7, tzinfo=BEIJING))
    second = mapped(outpatient(corrected, diagnoses=(Coded("I10.x02", "高血压2级"),)))
    for resource_type in ("Composition", "DocumentReference"):
        assert of_type(first, resource_type)[0]["id"] == of_type(second, resource_type)[0]["id"]
    assert of_type(first, "Condition")[0]["id"] == of_type(second, "Condition")[0]["id"]
    (reference,) = of_type(second, "DocumentReference")
    assert reference["relatesTo"][0]["code"] == "replaces"
    assert reference["relatesTo"][0]["target"]["identifier"]["value"] == "MR001"
    assert of_type(second, "Composition")[0]["status"] == "amended"
    assert first.changed_at
    assert second.changed_at
    assert first.changed_at < second.changed_at


def test_a_correction_without_a_set_points_to_the_document_it_replaces() -> None:
    first = mapped(outpatient(frame("MR001")))
    second = mapped(outpatient(frame("MR009", replaces="MR001")))
    target = of_type(second, "DocumentReference")[0]["relatesTo"][0]["target"]
    assert target["reference"] == f"DocumentReference/{of_type(first, 'DocumentReference')[0]['id']}"


def test_version_minus_one_withdraws_a_document() -> None:
    result = mapped(outpatient(frame("MR001", version=-1)))
    valid(result)
    assert of_type(result, "DocumentReference")[0]["status"] == "entered-in-error"
    assert of_type(result, "Composition")[0]["status"] == "entered-in-error"


def test_a_document_without_makers_of_its_own_keeps_its_sections_and_is_read_by_shape() -> None:
    result = mapped(outpatient().replace(b'"C0002"', b'"C0038"').replace(b"2.1.1.22", b"2.1.1.58"))
    valid(result)
    assert of_type(result, "Composition")[0]["section"][1]["title"] == "主诉"
    assert of_type(result, "Condition"), "a diagnosis is one in every document"


def test_the_document_types_are_the_53_of_the_standard() -> None:
    names = {code: kind.name for code, kind in document_types().items()}
    assert sum(code.startswith("C") for code in names) == 53
    assert sum(code.startswith("W") for code in names) == 20
    assert [names[code] for code in ("C0001", "C0007", "C0032", "C0053")] == [
        "病历概要",
        "检验报告",
        "住院病案首页",
        "出院小结",
    ]


def test_an_inpatient_number_is_the_visits_where_the_patient_has_a_number() -> None:
    systems = [identifier["system"] for identifier in of_type(mapped(discharge()), "Patient")[0]["identifier"]]
    assert systems == ["urn:hub:CTY:patient", "urn:oid:2.16.156.10011.1.3"]


def test_without_a_document_type_the_template_and_title_say_what_it_is() -> None:
    result = mapped(outpatient().replace(b'<code code="C0002"', b"<code "))
    assert of_type(result, "Condition")
    assert "ClinicalDocument/code" in {issue.where for issue in result.issues}


def test_a_section_label_that_contradicts_its_code_is_believed_and_noted() -> None:
    result = mapped(outpatient().replace(b'code="10154-3"', b'code="11450-4"'))
    assert of_type(result, "Composition")[0]["section"][1]["title"] == "主诉"
    assert any(issue.code == "conflict" for issue in result.issues)


def test_a_patient_without_a_number_is_known_by_the_id_card_or_not_at_all() -> None:
    bare = outpatient().replace(b"2.5.1.4", b"1.34").replace(b'root="2.16.156.10011.1.11"', b'root="2.16.156.10011.1.34"')
    assert of_type(mapped(bare), "Patient")[0]["identifier"][0]["value"] == ID_NUMBER
    with pytest.raises(CannotMap, match="no id that identifies the patient") as told:
        mapped(bare.replace(ID_NUMBER.encode(), b""))
    assert "欧阳" not in str(told.value)


def test_lab_items_whose_counts_disagree_are_not_paired() -> None:
    organizer = (
        """<component><section><code code="30954-2"/><text/><entry><organizer>{}</organizer></entry></section></component>"""
    )
    part = '<component><observation><code code="DE04.30.{}.00"/><value {}/></observation></component>'
    item, value = (part.format("019", f'code="{code}"') for code in ("K", "NA")), part.format("015", 'value="4.10"')
    body = organizer.format("".join(item) + value)
    content = outpatient().replace(b'"C0002"', b'"C0007"').replace(b"<structuredBody>", b"<structuredBody>" + body.encode())
    result = mapped(content)
    assert not of_type(result, "Observation")
    assert any("cannot be paired" in issue.detail for issue in result.issues)
    whole = mapped(content.replace(value.encode(), value.encode() * 2))
    valid(whole)
    assert [str(o["valueQuantity"]["value"]) for o in of_type(whole, "Observation")] == ["4.10", "4.10"]


def test_a_result_that_is_normal_says_so() -> None:
    flags = {"1": "正常", "2": "异常", "3": "不确定", "9": "别的"}
    part = '<component><observation><code code="DE04.30.{}.00"/><value {}/></observation></component>'
    items = "".join(
        part.format("019", f'code="T{code}"') + part.format("017", f'code="{code}" displayName="{name}"')
        for code, name in flags.items()
    )
    body = f'<component><section><code code="30954-2"/><text/><entry><organizer>{items}</organizer></entry></section></component>'
    result = mapped(outpatient().replace(b'"C0002"', b'"C0007"').replace(b"<structuredBody>", b"<structuredBody>" + body.encode()))
    said = [[one["coding"][0]["code"] for one in o.get("interpretation", ())] for o in of_type(result, "Observation")]
    assert said == [["N"], ["A"], ["IND"], []]


# ---------------------------------------------------------------- bytes as vendors write them


@pytest.mark.parametrize(
    ("declaration", "repaired"),
    [
        ('<?xml version="1.0" encoding="GB18030"?>', False),
        ('<?xml version="1.0" encoding="UTF-8"?>', True),
        ('<?xml version="1.0" encoding="GB2312"?>', True),
        ("", True),
    ],
)
def test_chinese_bytes_are_read_whatever_the_declaration_says(declaration: str, repaired: bool) -> None:
    text = without_declaration(outpatient().decode()).replace(SUBJECT.name, "珅𠅤竱")  # 𠅤 is in GB18030 alone
    result = mapped((declaration + text).encode("gb18030"))
    assert of_type(result, "Patient")[0]["name"][0]["text"] == "珅𠅤竱"
    assert any(issue.code == "charset-repaired" for issue in result.issues) == repaired


def test_a_document_that_an_envelope_carries_as_text_is_read() -> None:
    inner = without_declaration(outpatient().decode())
    envelope = '<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="urn:e"><e:Body><![CDATA[{}]]></e:Body></e:Envelope>'
    assert mapped(envelope.format(inner).encode()).ledger == mapped(outpatient()).ledger
    with pytest.raises(CannotMap, match="DOCTYPE"):
        mapped(envelope.format("<!DOCTYPE a []>" + inner).encode())


# ---------------------------------------------------------------- hostile and broken input


@pytest.mark.parametrize(
    "content",
    [
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><ClinicalDocument xmlns="urn:hl7-org:v3">&x;</ClinicalDocument>',
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a []><ClinicalDocument/>'.encode("utf-16"),
        b"<ClinicalDocument>" + b"<a>" * 200 + b"</a>" * 200 + b"</ClinicalDocument>",
        b"<a/>",
        b"<ClinicalDocument",
        b"",
        b"MSH|^~\\&|",
        b"<ClinicalDocument xmlns='urn:hl7-org:v3'/>",
    ],
)
def test_what_is_no_safe_document_is_refused_with_a_reason(content: bytes) -> None:
    with pytest.raises(CannotMap):
        mapped(content)


@pytest.mark.parametrize(
    "narrative",
    [
        "<script>alert(1)</script>",
        '<content onclick="x()" style="background:url(http://evil)">文字</content>',
        '<linkHtml href="javascript:alert(1)">点击</linkHtml>',
        '<renderMultiMedia referencedObject="m"/><img src="http://evil/x.png"/>',
        '<table><tr><td colspan="2" onmouseover="x">a</td></tr></table>',
        '<html:script xmlns:html="http://www.w3.org/1999/xhtml">alert(1)</html:script>',
        "&lt;script&gt;alert(1)&lt;/script&gt;",
    ],
)
def test_a_narrative_carries_no_script_no_link_and_no_picture(narrative: str) -> None:
    (text,) = parse(f"<ClinicalDocument><text>前{narrative}后<br/></text></ClinicalDocument>".encode()).root
    div = div_from_text(text)
    assert div is not None
    assert parse(f"<ClinicalDocument>{div}</ClinicalDocument>".encode()) is not None, "it is well-formed XHTML"
    assert not any(word in div for word in ("<script", "onclick", "onmouseover", "href", "src=", "style="))


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(0, 9_000), length=st.integers(0, 400), junk=st.binary(max_size=12))
def test_a_damaged_document_is_mapped_or_refused_but_never_a_crash(cut: int, length: int, junk: bytes) -> None:
    content = outpatient()
    try:
        result = mapped(content[:cut] + junk + content[cut + length :])
    except CannotMap:
        return
    valid(result)
