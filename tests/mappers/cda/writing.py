"""A small writer of WS/T 500 documents for the tests: a header, and sections of entries from short lines."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

CN = "2.16.156.10011"
LOINC = "2.16.840.1.113883.6.1"


def value(kind: str, text: str = "", **attributes: str) -> str:
    shown = "".join(f" {name}={quoteattr(content)}" for name, content in attributes.items())
    return f'<value xsi:type="{kind}"{shown}>{escape(text)}</value>'


def observation(code: str, label: str, stated: str, *inner: str, time: str = "", system: str = f"{CN}.2.2.1") -> str:
    below = "".join(f'<entryRelationship typeCode="COMP">{one}</entryRelationship>' for one in inner)
    when = f'<effectiveTime value="{time}"/>' if time else ""
    coded = f'code="{code}" codeSystem="{system}" ' if code else ""
    return f'<observation classCode="OBS" moodCode="EVN"><code {coded}displayName="{label}"/>{when}{stated}{below}</observation>'


def organizer(*statements: str) -> str:
    return f"<organizer><statusCode/>{''.join(f'<component>{one}</component>' for one in statements)}</organizer>"


def section(code: str, label: str, *entries: str, system: str = LOINC, text: str = "") -> str:
    coded = f'code="{code}" codeSystem="{system}" ' if code else ""
    body = "".join(f"<entry>{entry}</entry>" for entry in entries)
    return f'<component><section><code {coded}displayName="{label}"/><text>{text}</text>{body}</section></component>'


def document(
    *sections: str,
    code: str = "C0002",
    template: str = "22",
    title: str = "门(急)诊病历",
    code_system: str = f"{CN}.2.4",
    ids: str = f'<id root="{CN}.2.5.1.4" extension="P1"/><id root="{CN}.1.12" extension="ZY1"/>',
    person: str = "",
    header: str = '<id root="2.16.156.10011.1.1" extension="D1"/>',
    after: str = "",
) -> bytes:
    coded = f'<code code="{code}" codeSystem="{code_system}"/>' if code else ""
    templated = f'<templateId root="{CN}.2.1.1.{template}"/>' if template else ""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
{templated}{header}{coded}<title>{title}</title><effectiveTime value="20240506120000"/>
<recordTarget><patientRole>{ids}<patient><name>测试人</name>
<administrativeGenderCode code="1" codeSystem="{CN}.2.3.3.4"/>{person}</patient></patientRole></recordTarget>
<author><time value="20240506110000"/><assignedAuthor><id root="{CN}.1.7" extension="D1"/>
<assignedPerson><name>甲医生</name></assignedPerson></assignedAuthor></author>{after}
<component><structuredBody>{"".join(sections)}</structuredBody></component></ClinicalDocument>""".encode()
