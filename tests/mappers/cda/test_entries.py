"""What single entries mean, right and wrong: one small document a case."""

from __future__ import annotations

import pytest

from mappers.base import CannotMap
from tests.mappers.cda.reading import mapped, of_type, the, told, valid
from tests.mappers.cda.writing import CN, document, observation, organizer, section, value

ICD = f"{CN}.2.3.3.11.3"
BOTH = [("I10", "高血压"), ("E11", "糖尿病")]


def typed(code: str, *sections: str, **more: str) -> bytes:
    return document(*sections, code=code, template=str(20 + int(code[1:])), title="", **more)


def diagnosis(code: str, name: str = "", label: str = "诊断编码") -> str:
    return observation("DE05.01.024.00", label, value("CD", code=code, displayName=name, codeSystem=ICD))


def diagnosis_name(name: str, *inner: str, label: str = "诊断名称") -> str:
    return observation("DE05.01.025.00", label, value("ST", name), *inner)


def tcm(code: str, name: str) -> tuple[str, str]:
    return (
        observation("DE05.10.130.00", "中医病名代码", value("CD", code=code, codeSystem=f"{CN}.2.3.3.14")),
        observation("DE05.10.172.00", "中医病名名称", value("ST", name)),
    )


@pytest.mark.parametrize(
    ("entries", "stated"),
    [
        ([diagnosis("I10", "高血压"), diagnosis("E11", "糖尿病")], BOTH),
        ([diagnosis("I10"), diagnosis_name("高血压"), diagnosis("E11"), diagnosis_name("糖尿病")], BOTH),
        ([diagnosis_name("高血压"), diagnosis("I10"), diagnosis_name("糖尿病"), diagnosis("E11")], BOTH),
        ([diagnosis_name("高血压", diagnosis("I10")), diagnosis_name("糖尿病")], [("I10", "高血压"), ("", "糖尿病")]),
        ([organizer(diagnosis_name("高血压"), diagnosis("I10")), organizer(diagnosis("E11"), diagnosis_name("糖尿病"))], BOTH),
        ([diagnosis("R42", "头晕"), *tcm("A17", "眩晕")], [("R42", "头晕"), ("A17", "眩晕")]),
        ([diagnosis("", ""), diagnosis_name("")], []),
        ([diagnosis("I10", "高血压").replace("<observation ", '<observation negationInd="true" ')], []),
    ],
)  # fmt: skip
def test_a_diagnosis_in_each_of_its_shapes(entries: list[str], stated: list[tuple[str, str]]) -> None:
    result = mapped(typed("C0002", section("29548-5", "Diagnosis", *entries)))
    found = [condition["code"] for condition in of_type(result, "Condition")]
    assert [(code.get("coding", [{"code": ""}])[0]["code"], code["text"]) for code in found] == stated
    valid(result, model=False)


def test_only_records_of_the_visit_state_its_diagnoses() -> None:
    stated = section("29548-5", "Diagnosis", diagnosis("I10", "高血压"))
    assert "diagnosis" in the(mapped(typed("C0034", stated)), "Encounter")
    report = mapped(typed("C0017", stated))
    assert of_type(report, "Condition")
    assert "diagnosis" not in the(report, "Encounter")


@pytest.mark.parametrize(
    ("stated", "quantity"),
    [
        (value("PQ", value="36.80", unit="℃"), ("36.80", "Cel")),
        (value("PQ", value="36.8", unit=""), ("36.8", "Cel")),
        (value("PQ", value="36.8", unit="C"), ("36.8", "Cel")),
        (value("PQ", value="36.8℃"), ("36.8", "Cel")),
        (value("ST", "36.8"), ("36.8", "Cel")),
        (value("REAL", value="36.8", unit="次/min"), ("36.8", "/min")),
    ],
)
def test_a_measurement_keeps_its_digits_and_its_unit(stated: str, quantity: tuple[str, str]) -> None:
    result = mapped(
        typed("C0020", section("8716-3", "VITAL SIGNS", observation("DE04.10.186.00", "体温", stated, time="202405060800")))
    )
    found = the(result, "Observation")
    assert (str(found["valueQuantity"]["value"]), found["valueQuantity"]["code"]) == quantity
    assert found["effectiveDateTime"] == "2024-05-06T08:00:00+08:00"
    assert ("DE04.10.186" in told(result, "conflict")) == (quantity[1] == "/min")


@pytest.mark.parametrize(
    "nothing", [value("PQ", value=""), value("PQ", value="-"), value("ST", "N/A"), value("PQ", nullFlavor="NI")]
)
def test_what_was_not_measured_is_no_observation(nothing: str) -> None:
    result = mapped(typed("C0020", section("8716-3", "VITAL SIGNS", observation("DE04.10.186.00", "体温", nothing))))
    assert not of_type(result, "Observation")
    assert "section 8716-3 生命体征" in told(result, "missing"), "a section that says nothing is as good as none"


def pressures(*codes: str) -> str:
    stated = {"S": ("DE04.10.174.00", "收缩压", "120"), "D": ("DE04.10.176.00", "舒张压", "80")}
    entries = [observation(stated[one][0], stated[one][1], value("PQ", value=stated[one][2], unit="mmHg")) for one in codes]
    return section("8716-3", "VITAL SIGNS", *entries)


@pytest.mark.parametrize(("codes", "kinds"), [("SD", [2]), ("SDSD", [2, 2]), ("S", [0]), ("DS", [0, 0]), ("SSD", [2, 0])])
def test_a_systolic_and_the_diastolic_after_it_are_one_blood_pressure(codes: str, kinds: list[int]) -> None:
    found = of_type(mapped(typed("C0020", pressures(*codes))), "Observation")
    assert sorted((len(one.get("component", [])) for one in found), reverse=True) == kinds


@pytest.mark.parametrize(
    ("stated", "text"), [({"code": "1"}, None), ({"code": "1", "displayName": "A型"}, "A型"), ({"displayName": "AB型"}, "AB型")]
)
def test_a_blood_group_by_its_name_alone(stated: dict[str, str], text: str | None) -> None:
    entry = observation("DE04.50.001.00", "ABO血型代码", value("CD", codeSystem=f"{CN}.2.3.1.85", **stated))
    found = of_type(mapped(typed("C0013", section("30954-2", "STUDIES SUMMARY", entry))), "Observation")
    assert [one["valueCodeableConcept"]["text"] for one in found] == ([text] if text else [])


@pytest.mark.parametrize(
    ("element", "root", "code", "name", "coded"),
    [
        ("DE04.50.001.00", "2.3.1.85", "3", "O型", True),
        ("DE04.50.001.00", "2.3.1.85", "4", "O型", False),  # the facility's own order of the codes
        ("DE04.50.010.00", "2.3.1.250", "2", "阳性", True),
        ("DE04.50.010.00", "2.3.1.85", "2", "阳性", False),  # there 2 is group B
        ("DE04.50.010.00", "9.9.9", "2", "阳性", True),
    ],
)
def test_a_blood_groups_code_stands_only_beside_the_name_it_has(element: str, root: str, code: str, name: str, coded: bool) -> None:
    entry = observation(element, "血型", value("CD", code=code, displayName=name, codeSystem=f"{CN}.{root}"))
    done = mapped(typed("C0013", section("30954-2", "STUDIES SUMMARY", entry)))
    (found,) = of_type(done, "Observation")
    assert found["valueCodeableConcept"]["text"] == name
    assert ("coding" in found["valueCodeableConcept"]) is coded
    assert (element.removesuffix(".00") in told(done, "conflict")) is not coded


def drug(name: str) -> str:
    return (
        f'<substanceAdministration moodCode="EVN"><doseQuantity value="2" unit="g"/><consumable><manufacturedProduct>'
        f"<manufactredLabeledDrug><code/><name>{name}</name></manufactredLabeledDrug></manufacturedProduct></consumable></substanceAdministration>"
    )


def group(number: int) -> str:
    return observation("DE08.50.056.00", "处方药品组号", value("INT", value=str(number)))


@pytest.mark.parametrize(("groups", "stated"), [((1, 1), ["1", "1"]), ((1,), []), ((), [])])
def test_drugs_are_infused_together_only_where_the_groups_can_be_told(groups: tuple[int, ...], stated: list[str]) -> None:
    entries = [drug("头孢曲松"), drug("氯化钠"), *(group(number) for number in groups)]
    result = mapped(typed("C0004", section("10160-0", "HISTORY OF MEDICATION USE", *entries)))
    requests = of_type(result, "MedicationRequest")
    assert [request["medicationCodeableConcept"]["text"] for request in requests] == ["头孢曲松", "氯化钠"]
    urls = [
        extension
        for request in requests
        for extension in request.get("extension", [])
        if extension["url"].endswith("infusion-group")
    ]
    assert [extension["valueString"] for extension in urls] == stated
    assert ("DE08.50.056" in told(result, "conflict")) == (len(groups) == 1)


@pytest.mark.parametrize(
    ("text", "herbs"),
    [
        ("黄芪30g 当归10g", ["黄芪", "当归"]),
        ("黄芪 30 克、当归(后下)10g", []),
        ("黄芪30克，红枣3枚", ["黄芪", "红枣"]),
        ("四君子汤加减", []),
    ],
)
def test_herbs_are_ingredients_only_where_all_of_them_can_be_read(text: str, herbs: list[str]) -> None:
    stated = observation("DE08.50.049.00", "中药饮片处方", value("ST", text))
    result = mapped(typed("C0005", section("10160-0", "HISTORY OF MEDICATION USE", stated)))
    medication = the(result, "Medication")
    assert [one["itemCodeableConcept"]["text"] for one in medication.get("ingredient", [])] == herbs
    assert medication["code"]["text"] == text
    assert the(result, "MedicationRequest")["medicationReference"] == {"reference": f"Medication/{medication['id']}"}


@pytest.mark.parametrize(
    ("opinion", "status"),
    [("同意手术", "active"), ("不同意输血", "rejected"), ("拒绝", "rejected"), ("已告知", None)],
)
def test_a_consent_says_yes_or_no_or_is_a_document_alone(opinion: str, status: str | None) -> None:
    said = [
        observation("DE06.00.018.00", "医疗机构意见", value("ST", "建议手术，同意")),
        observation("DE06.00.018.00", "患者意见", value("ST", opinion)),
    ]
    result = mapped(typed("C0026", section("", "意见章节", *said)))
    assert [consent["status"] for consent in of_type(result, "Consent")] == ([status] if status else [])
    assert the(result, "Composition")


def test_a_time_of_death_that_is_none_is_not_taken() -> None:
    died = section("", "死亡原因章节", observation("DE02.01.036.00", "死亡日期时间", value("TS", value="凌晨三点")))
    result = mapped(typed("C0050", died))
    assert "deceasedDateTime" not in the(result, "Patient")
    assert "DE02.01.036" in told(result, "invalid-value")


def test_a_value_whose_name_is_anothers_is_told_and_kept_as_written() -> None:
    way = observation("DE06.00.223.00", "离院方式", value("CD", code="5", displayName="医嘱离院", codeSystem=f"{CN}.2.3.3.1.265"))
    result = mapped(typed("C0053", section("11535-2", "Discharge Diagnosis", way)))
    assert "DE06.00.223" in told(result, "conflict")


def test_vaccinations_of_a_report_by_their_labels() -> None:
    rows = [("疫苗名称", "乙型肝炎疫苗", "20240101"), ("疫苗名称", "卡介苗", "20240102")]
    entries = [
        one
        for label, name, day in rows
        for one in (
            observation("", label, value("ST", name)),
            observation("", "接种日期", value("TS", value=day)),
            observation("", "疫苗批号", value("ST", f"P{day}")),
            observation("", "剂次", value("INT", value="1")),
        )
    ]
    result = mapped(document(section("11369-6", "HISTORY OF IMMUNIZATIONS", *entries), code="", template="9", title="预防接种报告"))
    valid(result, model=False)
    found = [(one["vaccineCode"]["text"], one["occurrenceDateTime"], one["lotNumber"]) for one in of_type(result, "Immunization")]
    assert found == [("乙型肝炎疫苗", "2024-01-01", "P20240101"), ("卡介苗", "2024-01-02", "P20240102")]


def test_a_referral_says_why_and_where_to() -> None:
    entries = [
        observation("", "转诊原因", value("ST", "胸痛待查")),
        observation("", "转入医疗机构名称", value("ST", "示范县人民医院")),
    ]
    result = mapped(document(section("42349-1", "REASON FOR REFERRAL", *entries), code="", template="20", title="转诊(院)记录"))
    request = the(result, "ServiceRequest")
    assert request["reasonCode"] == [{"text": "胸痛待查"}]
    assert request["performer"][0]["display"] == "示范县人民医院"


def test_one_staff_number_under_two_names_makes_nobody() -> None:
    signer = (
        f'<legalAuthenticator><time/><assignedEntity><id root="{CN}.1.4" extension="D1"/><code displayName="主任"/>'
        "<assignedPerson><name>乙医生</name></assignedPerson></assignedEntity></legalAuthenticator>"
    )
    result = mapped(typed("C0038", after=signer))
    assert not of_type(result, "Practitioner")
    assert the(result, "Composition")["author"] == [{"display": "甲医生"}]
    alone = mapped(typed("C0038", after=signer.replace('extension="D1"', 'extension="D2"')))
    assert {one["name"][0]["text"] for one in of_type(alone, "Practitioner")} == {"甲医生", "乙医生"}
    assert the(alone, "PractitionerRole")["code"] == [{"text": "主任"}]


def test_an_age_is_never_a_birth_date_and_marriage_by_one_digit_never_a_status() -> None:
    person = '<maritalStatusCode code="1" codeSystem="1.2.3"/><age unit="岁" value="24"/>'
    patient = the(mapped(typed("C0002", person=person)), "Patient")
    assert "birthDate" not in patient
    assert "maritalStatus" not in patient
    named = person.replace('code="1"', 'code="1" displayName="未婚"')
    assert the(mapped(typed("C0002", person=named)), "Patient")["maritalStatus"]["coding"][0]["code"] == "S"


def test_a_vendors_versions_add_change_and_delete_one_document() -> None:
    header = '<id root="2.16.156.10011.1.1" extension="D1"/><setId root="1.2.156.1.9" extension="S1"/><versionNumber value="{}"/>'
    results = [mapped(typed("C0002", header=header.format(version))) for version in (0, 1, -1)]
    assert len({the(result, "DocumentReference")["id"] for result in results}) == 1
    assert [the(result, "DocumentReference")["status"] for result in results] == ["current", "current", "entered-in-error"]


def test_a_text_of_its_own_does_not_hide_what_the_entries_say() -> None:
    entry = observation("DE06.00.300.00", "治则治法", value("ST", "疏风清热"))
    (stated,) = the(mapped(typed("C0045", section("18776-5", "TREATMENT PLAN", entry, text="详见附页"))), "Composition")["section"]
    assert "详见附页" in stated["text"]["div"]
    assert "疏风清热" in stated["text"]["div"]


def test_no_issue_repeats_what_a_document_says() -> None:
    secret = "张三丰"
    entries = [
        observation("DE04.10.186.00", "体温", value("PQ", value=secret)),
        observation("DE99.99.999.00", "未知", value("CD", code="1", displayName=secret)),
        observation("DE02.01.036.00", "死亡日期时间", value("TS", value=secret)),
    ]
    result = mapped(typed("C0050", section("8716-3", "VITAL SIGNS", *entries), person=f'<birthTime value="{secret}"/>'))
    assert result.issues
    assert not any(secret in f"{issue.where}{issue.detail}{issue.value}{issue.display}" for issue in result.issues)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<ClinicalDocument>" + b"<a>x</a>" * 500_001 + b"</ClinicalDocument>", "500000 elements"),
        (b"<ClinicalDocument><text>" + b"x" * 10_000_001 + b"</text></ClinicalDocument>", "longer than"),
        (b'<?xml version="1.0"?><!DOCTYPE a SYSTEM "http://127.0.0.1/x.dtd"><ClinicalDocument/>', "DOCTYPE"),
        (
            b'<a xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="file:///etc/passwd" parse="text"/></a>',
            "no ClinicalDocument",
        ),
    ],
    ids=["many elements", "one huge text", "a DTD from elsewhere", "an inclusion"],
)
def test_what_would_exhaust_or_reach_out_is_refused_with_its_reason(content: bytes, reason: str) -> None:
    with pytest.raises(CannotMap, match=reason):
        mapped(content)


def test_bytes_inside_a_document_are_binaries_and_no_narrative() -> None:
    picture = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
    entries = [
        f'<observationMedia><value mediaType="image/gif" representation="B64">{picture}</value></observationMedia>',
        observation("DE04.50.131.00", "检查报告结果-客观所见", value("ED", picture, representation="B64", mediaType="image/gif")),
    ]
    result = mapped(typed("C0006", section("", "检查报告", *entries)), explain=True)
    assert [one.content_type for one in result.attachments] == ["application/xml", "image/gif"]
    assert len(the(result, "DocumentReference")["content"]) == 2
    assert picture not in str(the(result, "Composition"))
    assert [line.to for line in result.lines if line.where.startswith("section 检查报告,")] == ["Binary", "Binary"]
    words = typed("C0038").replace(b"<structuredBody></structuredBody>", "<nonXMLBody><text>今日查房</text></nonXMLBody>".encode())
    assert [one.content for one in mapped(words).attachments[1:]] == ["今日查房".encode()]


def test_sections_that_stand_in_the_document_itself_are_read() -> None:
    """Some writers leave structuredBody out."""
    content = typed("C0005", section("10160-0", "HISTORY OF MEDICATION USE", drug("连花清瘟胶囊")))
    bare = content.replace(b"<component><structuredBody>", b"").replace(b"</structuredBody></component>", b"")
    assert the(mapped(bare), "MedicationRequest")["medicationCodeableConcept"]["text"] == "连花清瘟胶囊"
    assert mapped(bare).ledger == mapped(content).ledger


@pytest.mark.parametrize(("code", "labelled"), [("N", False), ("R", True), ("V", True)])
def test_a_restricted_documents_label_goes_to_all_it_states(code: str, *, labelled: bool) -> None:
    header = f'<id root="2.16.156.10011.1.1" extension="D1"/><confidentialityCode code="{code}"/>'
    result = mapped(typed("C0002", section("29548-5", "Diagnosis", diagnosis("F20", "精神分裂症")), header=header))
    valid(result, model=False)
    found = {resource["resourceType"] for resource in result.resources if resource.get("meta", {}).get("security")}
    assert found == ({"Condition", "Composition", "DocumentReference", "Binary"} if labelled else set())


@pytest.mark.parametrize("code", ["DE04.10.186.00", "de04.10.186", "DE04_10.186.00", " DE04.10.186.00.001 "])
def test_a_data_element_is_read_however_its_parts_are_joined(code: str) -> None:
    result = mapped(typed("C0020", section("8716-3", "VITAL SIGNS", observation(code, "体温", value("PQ", value="36.8")))))
    assert the(result, "Observation")["code"]["coding"][0]["code"] == "8310-5"
    valid(result, model=False)


@pytest.mark.parametrize(
    ("low", "high", "stated"),
    [
        ("20240508100000", "20240508113000", {"start": "2024-05-08T10:00:00+08:00", "end": "2024-05-08T11:30:00+08:00"}),
        ("20240508100000", "20240508", {"start": "2024-05-08T10:00:00+08:00", "end": "2024-05-08"}),
        ("20240508100000", "20240507113000", {"start": "2024-05-08T10:00:00+08:00"}),
        ("20240508", "202404", {"start": "2024-05-08"}),
    ],
)
def test_nothing_ends_before_it_begins(low: str, high: str, stated: dict[str, str]) -> None:
    operation = (
        f'<procedure><code code="47.0100" codeSystem="{CN}.2.3.3.12"/><effectiveTime><low value="{low}"/><high value="{high}"/>'
    )
    result = mapped(typed("C0009", section("47519-4", "HISTORY OF PROCEDURES", f"{operation}</effectiveTime></procedure>")))
    valid(result, model=False)
    assert the(result, "Procedure")["performedPeriod"] == stated
    assert ("effectiveTime" in told(result, "conflict")) == ("end" not in stated)
