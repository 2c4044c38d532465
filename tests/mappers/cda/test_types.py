"""Each of the 53 types of WS/T 500 and the 20 of WS/T 483: told from code, template or title alone, and mapped without a fault."""

from __future__ import annotations

import pytest

from mappers.cda.catalogue import document_types, measures, section_labels
from mappers.cda.reader import parse
from mappers.cda.recognise import recognise
from tests.mappers.cda.reading import mapped, of_type, parts, the, told, valid
from tests.mappers.cda.writing import CN, document, observation, organizer, section, value

HOSPITAL = [kind for kind in document_types().values() if kind.code.startswith("C")]
ICD = f"{CN}.2.3.3.11"
PRIMARY = [kind for kind in document_types().values() if kind.code.startswith("W")]


def template_of(code: str) -> str:
    return str(int(code[1:]) + (20 if code.startswith("C") else 0))


def code_of(content: bytes) -> str:
    return recognise(parse(content).root)[0]


@pytest.mark.parametrize("kind", HOSPITAL, ids=lambda kind: kind.code)
def test_one_of_code_template_and_title_is_enough(kind) -> None:
    template, wide = template_of(kind.code), kind.name.replace("(", "（").replace(")", "）")
    tolerated = [
        document(code=kind.code, template="", title=""),
        document(code=kind.code, template="52", title="住院病历文书"),  # one vendor's template for everything
        document(code=f" {kind.code.lower()} ", template="21", title=""),
        document(code=kind.code, template="", title="", code_system="1.2.156.112635.1.1.60"),
        document(code="", template=template, title=""),
        document(code="11506-3", template=template, title=""),
        document(code="", template="", title=wide),
        document(code="", template="", title=f"示范县人民医院 {wide}"),
        document(code="", template="21" if kind.code in ("C0001", "C0002", "C0003") else "52", title=kind.name),
        document(
            code="病历", template="", title=kind.name.removesuffix("记录") + "记录单" if kind.name.endswith("记录") else kind.name
        ),
    ]
    assert [code_of(content) for content in tolerated] == [kind.code] * len(tolerated)


@pytest.mark.parametrize("kind", PRIMARY, ids=lambda kind: kind.code)
def test_health_records_of_primary_care_are_told_too(kind) -> None:
    number = int(kind.code[1:])
    assert code_of(document(code="", template=template_of(kind.code), title="")) == kind.code
    assert code_of(document(code=f"EHR-SD-{number}-{kind.name}-T01", template="", title="")) == kind.code
    if kind.code != "W19":  # 会诊记录 is a title of both families; then the hospital's own document is meant
        assert code_of(document(code="", template="", title=kind.name)) == kind.code


def test_what_had_to_be_tolerated_is_told() -> None:
    result = mapped(document(code="C0009", template="21", title="出院小结", code_system="1.2.3"))
    assert told(result, "conflict") == {"ClinicalDocument/templateId", "ClinicalDocument/title"}
    assert "ClinicalDocument/code" in told(result, "invalid-value")
    assert "section 47519-4 手术操作" in told(result, "missing")


def everything() -> list[str]:
    """A section for every name, and an entry for every measure there is: fuller than any document."""
    amount = value("PQ", value="7.5")
    stated = [
        observation(f"{measure.code}.00" if measure.is_catalogued else "", measure.name, amount) for measure in measures().values()
    ]
    diagnosis = observation(
        "DE05.01.024.00", "诊断", value("CD", code="I10.x00", displayName="高血压", codeSystem=f"{CN}.2.3.3.11")
    )
    drug = (
        '<substanceAdministration moodCode="EVN"><effectiveTime value="20240506"/><doseQuantity value="5" unit="mg"/>'
        "<consumable><manufacturedProduct><manufacturedMaterial><code/><name>氨氯地平</name></manufacturedMaterial></manufacturedProduct>"
        "</consumable></substanceAdministration>"
    )
    operation = f'<procedure moodCode="EVN"><code code="47.0100" codeSystem="{CN}.2.3.3.12" displayName="阑尾切除"/></procedure>'
    order = organizer(
        observation("DE06.00.289.00", "医嘱项目类型", value("CD", code="03", displayName="检验", codeSystem=f"{CN}.2.3.1.268")),
        observation("DE06.00.288.00", "医嘱项目内容", value("ST", "血常规")),
    )
    death = observation("DE02.01.036.00", "死亡日期时间", value("TS", value="20240506030000"))
    opinion = observation("DE06.00.018.00", "患者意见", value("ST", "同意"))
    lab = organizer(
        observation("DE04.30.019.00", "检验项目代码", value("ST", "K")),
        observation("DE04.30.015.00", "结果", value("REAL", value="4.1")),
    )
    named = [section(code, labels[0]) for code, labels in section_labels().items()]
    return [
        *named,
        section("8716-3", "VITAL SIGNS", *stated),
        section("29548-5", "Diagnosis", diagnosis, drug, operation, order, death, opinion, lab),
    ]


@pytest.mark.parametrize("kind", document_types().values(), ids=lambda kind: kind.code)
def test_every_type_becomes_valid_resources_that_are_all_counted(kind) -> None:
    content = document(
        *everything(), code=kind.code if kind.code.startswith("C") else "", template=template_of(kind.code), title=kind.name
    )
    result = mapped(content, explain=True)
    valid(result, model=False)
    assert len(result.lines) == sum(result.ledger.values()) == parts(content)
    assert the(result, "Composition")["type"]["coding"][-1]["display"] == kind.name
    assert the(result, "DocumentReference")["content"][0]["attachment"]["url"].startswith("Binary/")
    assert of_type(result, "Condition")
    assert len(of_type(result, "Observation")) > len(measures()) - 10
    drugs = {"request": "MedicationRequest", "given": "MedicationAdministration", "taken": "MedicationStatement"}
    assert of_type(result, {**drugs, "device": "Device", "vaccine": "Immunization"}[kind.drugs])
    made = {"orders": "ServiceRequest", "consent": "Consent", "lab": "DiagnosticReport", "imaging": "DiagnosticReport"}
    for name in kind.make:
        assert name not in made or of_type(result, made[name])
    assert ("deceasedDateTime" in the(result, "Patient")) == ("death" in kind.make)
    withdrawn = mapped(content.replace(b"<recordTarget>", b'<versionNumber value="-1"/><recordTarget>'))
    valid(withdrawn, model=False)
    assert "deceasedDateTime" not in the(withdrawn, "Patient")
    assert {resource["status"] for resource in withdrawn.resources if resource["resourceType"] == "Observation"} == {
        "entered-in-error"
    }
