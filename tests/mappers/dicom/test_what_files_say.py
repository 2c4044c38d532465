"""Whose a file is, which order it answers, and what reports and documents in DICOM say beyond being instances."""

from __future__ import annotations

import base64
from decimal import Decimal
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from demo.pacs_objects import chest_film
from mappers.base import MappingContext
from mappers.identity_keys import resource_id
from profiles.names import ID_CARD
from tests.mappers.dicom.material import SAMPLES, changed, exam, mapped, of_type, read, validate, written

FILM = chest_film(exam(), size=32)[0]
CARD, WRONG_CARD = "11010519491231002X", "110105194912310021"


def item(**elements) -> Dataset:
    ds = Dataset()
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


def code(value: str, scheme: str, meaning: str) -> Dataset:
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def identifiers(content: bytes) -> dict[str, str]:
    (patient,) = of_type(mapped(content), "Patient")
    return {entry["system"]: entry["value"] for entry in patient["identifier"]}


def test_an_id_card_as_patient_id_is_one_by_its_check_digit():
    assert identifiers(changed(FILM, PatientID=CARD)) == {ID_CARD: CARD}
    (patient,) = of_type(mapped(changed(FILM, PatientID=CARD)), "Patient")
    assert patient["id"] == resource_id("Patient", "CTY", f"id:{CARD}")  # as HL7 v2 names whom it knows by the card alone
    assert identifiers(changed(FILM, PatientID=WRONG_CARD)) == {"urn:hub:CTY:patient": WRONG_CARD}


def test_other_numbers_stay_beside_the_facilitys_own_under_their_issuers():
    others = Sequence(
        [
            item(PatientID=CARD, TypeOfPatientID="TEXT"),
            item(PatientID="M77", IssuerOfPatientID="县妇幼"),
            item(
                PatientID="9988",
                IssuerOfPatientIDQualifiersSequence=Sequence([item(UniversalEntityID="1.2.3.4", UniversalEntityIDType="ISO")]),
            ),
        ]
    )
    content = changed(FILM, OtherPatientIDsSequence=others)
    found = identifiers(content)
    assert found.pop("urn:hub:CTY:patient") == "P0001"
    assert found.pop(ID_CARD) == CARD
    assert found.pop("urn:oid:1.2.3.4") == "9988"
    assert list(found.values()) == ["M77"]
    validate(mapped(content))


def test_without_a_patient_id_the_card_among_the_others_names_the_patient():
    content = changed(FILM, PatientID="", OtherPatientIDsSequence=Sequence([item(PatientID=CARD)]))
    (patient,) = of_type(mapped(content), "Patient")
    assert patient["id"] == resource_id("Patient", "CTY", f"id:{CARD}")


def test_orders_by_the_header_and_by_the_request_and_what_was_asked():
    content = changed(
        FILM,
        AccessionNumber="A0001",
        RequestAttributesSequence=Sequence([item(AccessionNumber="A0002"), item(AccessionNumber="A0001")]),
        ProcedureCodeSequence=Sequence([code("RPID16", "RADLEX", "CT CHEST"), code("CT01", "99CTY", "胸部平扫")]),
        RequestedProcedureDescription="胸部CT平扫",
        ReasonForTheRequestedProcedure="咳嗽",
    )
    result = mapped(content, context=MappingContext(explain=True))
    validate(result)
    (study,) = of_type(result, "ImagingStudy")
    assert [order["identifier"]["value"] for order in study["basedOn"]] == ["A0001", "A0002"]
    assert {procedure["text"] for procedure in study["procedureCode"]} == {"CT CHEST", "胸部平扫", "胸部CT平扫"}
    assert {c["system"] for p in study["procedureCode"] for c in p.get("coding", ())} == {"http://radlex.org", "urn:hub:CTY:99CTY"}
    assert study["reasonCode"] == [{"text": "咳嗽"}]
    states = {line.where.split()[0]: line.state for line in result.lines}
    assert (states["(0040,0275)"], states["(0028,0010)"]) == ("mapped", "kept")


def test_private_elements_are_kept_and_what_nothing_maps_is_named():
    dataset = dcmread(BytesIO(FILM))
    dataset.private_block(0x0009, "VENDOR", create=True).add_new(0x01, "LO", "own")
    dataset.PatientComments = "对青霉素过敏"
    result = mapped(written(dataset), context=MappingContext(explain=True))
    states = {line.where: line.state for line in result.lines}
    assert states["(0009,1001)"] == "kept"
    assert states["(0010,4000) PatientComments"] == "unmapped"
    assert result.ledger["unmapped"] == sum(state == "unmapped" for state in states.values()) >= 1


def test_measurements_of_tid_1500_are_observations_and_nothing_else_is():
    result = mapped(read(SAMPLES / "dicom" / "sr" / "dcmqi_sr.dcm"))
    validate(result)
    observations, (report,) = of_type(result, "Observation"), of_type(result, "DiagnosticReport")
    assert len(observations) == 22  # the pixel rows and columns of its image library measure nothing
    volume = next(o for o in observations if o["code"]["text"] == "Volume")
    assert (volume["valueQuantity"]["value"], volume["valueQuantity"]["code"]) == (Decimal("33.5824"), "ml")
    assert volume["method"]["text"] == "Sum of segmented voxel volumes"
    assert volume["bodySite"]["text"] == "pharyngeal tonsil (adenoid)"
    statistics = [o["component"][-1]["valueCodeableConcept"]["text"] for o in observations if o["code"]["text"] == "SUVbw"]
    assert statistics[:3] == ["Mean", "Minimum", "Maximum"]
    assert report["status"] == "partial"
    assert [one["reference"] for one in report["result"]] == [f"Observation/{o['id']}" for o in observations]


def text(concept: Dataset, value: str) -> Dataset:
    return item(RelationshipType="CONTAINS", ValueType="TEXT", ConceptNameCodeSequence=Sequence([concept]), TextValue=value)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("label", ["GB18030 ", "ISO_IR 6"])
def test_the_words_of_a_report_are_read_by_the_evidence_of_the_whole_tree(label):
    """A report's Chinese text stands in its sequences alone; under a wrong label the bytes decide."""
    report = dcmread(BytesIO(read(SAMPLES / "dicom" / "sr" / "test-SR.dcm")))
    report.SpecificCharacterSet = "GB18030"
    report.ContentSequence = Sequence(
        [text(code("121071", "DCM", "Finding"), "双肺纹理增多"), text(code("121077", "DCM", "Conclusion"), "慢性支气管炎")]
    )
    content = written(report).replace(b"CS\x08\x00GB18030 ", b"CS\x08\x00" + label.encode(), 1)
    (diagnostic,) = of_type(mapped(content), "DiagnosticReport")
    assert diagnostic["conclusion"] == "慢性支气管炎"
    words = base64.b64decode(diagnostic["presentedForm"][0]["data"]).decode()
    assert words.splitlines() == ["Finding: 双肺纹理增多", "Conclusion: 慢性支气管炎"]


def test_an_encapsulated_pdf_is_the_document_itself():
    result = mapped(read(SAMPLES / "dicom" / "pdf" / "us_report_zh_gb18030.dcm"))
    (reference,) = of_type(result, "DocumentReference")
    pdf = next(attachment for attachment in result.attachments if attachment.content_type == "application/pdf")
    assert pdf.content.startswith(b"%PDF-")
    assert reference["content"][0]["attachment"]["url"] == f"Binary/{pdf.sha256}"
    assert reference["content"][0]["attachment"]["title"] == "超声检查报告"
