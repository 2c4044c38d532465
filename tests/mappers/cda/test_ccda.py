"""C-CDA entries: what is denied, limits and ratios, and values that are not there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mappers.cda.reading import mapped, of_type, valid

ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
SNOMED = "2.16.840.1.113883.6.96"


def ccd(section: str, entry: str) -> bytes:
    return f"""<?xml version="1.0"?>
<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<templateId root="2.16.840.1.113883.10.20.22.1.2"/><id root="1.2.3" extension="D1"/>
<code code="34133-9" codeSystem="2.16.840.1.113883.6.1"/><title>CCD</title><effectiveTime value="20240506120000-0500"/>
<recordTarget><patientRole><id root="1.2.3.4" extension="P1"/><patient><name><given>A</given><family>B</family></name></patient>
</patientRole></recordTarget><component><structuredBody><component><section><code code="{section}"
codeSystem="2.16.840.1.113883.6.1"/><title>t</title><text>x</text><entry>{entry}</entry></section></component></structuredBody>
</component></ClinicalDocument>""".encode()


def result(value: str) -> str:
    code = '<code code="2345-7" codeSystem="2.16.840.1.113883.6.1" displayName="Glucose"/><statusCode code="completed"/>'
    observation = f'<observation classCode="OBS" moodCode="EVN"><id root="9.9" extension="1"/>{code}{value}</observation>'
    return f'<organizer moodCode="EVN"><statusCode code="completed"/><component>{observation}</component></organizer>'


@pytest.mark.parametrize(
    ("value", "element", "stated"),
    [
        ('<value xsi:type="IVL_PQ"><high value="5" unit="mg/dL" inclusive="false"/></value>', "valueQuantity", {"comparator": "<"}),
        ('<value xsi:type="IVL_PQ"><high value="5" unit="mg/dL"/></value>', "valueQuantity", {"comparator": "<="}),
        ('<value xsi:type="IVL_PQ"><low value="5" unit="mg/dL" inclusive="false"/></value>', "valueQuantity", {"comparator": ">"}),
        (
            '<value xsi:type="RTO_PQ_PQ"><numerator value="86"/><denominator value="1" unit="min"/></value>',
            "valueRatio",
            {"numerator": {"value": 86}},
        ),
        ('<value xsi:type="RTO"><numerator value="1"/></value>', None, {}),
        ('<value xsi:type="PQ" nullFlavor="NAV"/>', "dataAbsentReason", {"coding": [{"system": ABSENT, "code": "temp-unknown"}]}),
        ('<value xsi:type="PQ" nullFlavor="OTH"/>', None, {}),
    ],
)
def test_a_result_is_what_its_value_says(value: str, element: str | None, stated: dict[str, Any]) -> None:
    done = mapped(ccd("30954-2", result(value)))
    valid(done)
    found = [one[element] for one in of_type(done, "Observation") if element]
    if element is None:
        assert not of_type(done, "Observation")
        assert done.ledger["unmapped"], "what is in no resource is told"
        return
    for name, expected in stated.items():
        assert found[0][name] == expected


@pytest.mark.parametrize(
    ("kind", "negated", "substance", "code", "category", "refuted"),
    [
        ("419511003", True, '<code nullFlavor="NA"/>', "409137002", ["medication"], False),
        ("414285001", True, '<code nullFlavor="NA"/>', "429625007", ["food"], False),
        ("419199007", True, '<code nullFlavor="NA"/>', "716186003", None, False),
        ("416098002", True, '<code code="7982" codeSystem="2.16.840.1.113883.6.88"/>', "7982", ["medication"], True),
        ("414285001", False, f'<code code="91935009" codeSystem="{SNOMED}"/>', "91935009", ["food"], False),
    ],
)
def test_what_is_denied_of_an_allergy(
    kind: str, negated: bool, substance: str, code: str, category: list[str] | None, refuted: bool
) -> None:
    entry = f"""<act classCode="ACT" moodCode="EVN"><statusCode code="active"/><entryRelationship typeCode="SUBJ"><observation
classCode="OBS" moodCode="EVN" negationInd="{str(negated).lower()}"><id root="9.9" extension="1"/><code code="ASSERTION"
codeSystem="2.16.840.1.113883.5.4"/><statusCode code="completed"/><value xsi:type="CD" code="{kind}" codeSystem="{SNOMED}"/>
<participant typeCode="CSM"><participantRole><playingEntity>{substance}</playingEntity></participantRole></participant>
</observation></entryRelationship></act>"""
    done = mapped(ccd("48765-2", entry))
    valid(done)
    (allergy,) = of_type(done, "AllergyIntolerance")
    assert allergy["code"]["coding"][0]["code"] == code
    assert allergy.get("category") == category
    assert ("verificationStatus" in allergy) is refuted
