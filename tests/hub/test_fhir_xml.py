"""FHIR XML ⇄ JSON: nothing is lost on the way there and back, and nothing from outside the text is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lxml import etree

from hub import fhir_json, fhir_xml
from hub.errors import HubError

DEFAULT = Path.home() / ".cache/yitong-hub/hl7.fhir.r4.examples-4.0.1/package"
EXAMPLES = Path(os.environ.get("YITONG_R4_EXAMPLES", DEFAULT))
LARGE = 100_000  # a few definitions of many megabytes say nothing that smaller ones do not
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'


def there_and_back(resource: dict[str, object]) -> dict[str, object]:
    return fhir_xml.parse(fhir_xml.from_json(fhir_json.dump(resource)))


def xml(inside: str, kind: str = "Patient") -> bytes:
    return f'<{kind} xmlns="http://hl7.org/fhir">{inside}</{kind}>'.encode()


def test_elements_stand_in_the_order_of_their_definition():
    patient = b'{"resourceType":"Patient","gender":"male","birthDate":"1970-03","active":true,"id":"p"}'
    assert fhir_xml.from_json(patient) == (
        b'<?xml version="1.0" encoding="UTF-8"?><Patient xmlns="http://hl7.org/fhir">'
        b'<id value="p"/><active value="true"/><gender value="male"/><birthDate value="1970-03"/></Patient>'
    )


@pytest.mark.parametrize("number", ["72.50", "1e3", "-0.0", "0.000000000000000000001", "100"])
def test_a_decimal_keeps_its_spelling(number):
    body = b'{"resourceType":"Observation","valueQuantity":{"value":%s}}' % number.encode()
    text = fhir_xml.from_json(body)
    assert f'<value value="{number}"/>'.encode() in text
    assert fhir_json.dump(fhir_xml.parse(text)) == body


def test_what_stands_beside_a_primitive_stands_inside_its_element():
    unknown = {"extension": [{"url": "http://example.org/why", "valueCode": "unknown"}]}
    patient = {
        "resourceType": "Patient",
        "name": [{"given": ["Anna", None, "Maria"], "_given": [None, unknown, {"id": "third"}]}],
        "_birthDate": unknown,
    }
    assert there_and_back(patient) == patient


def test_contained_resources_and_entries_are_resources_again():
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"resource": {"resourceType": "Patient", "contained": [{"resourceType": "Organization", "id": "o", "name": "县医院"}]}}
        ],
    }
    assert there_and_back(bundle) == bundle


def test_a_whole_number_may_have_a_sign_in_xml():
    assert fhir_xml.parse(xml("<multipleBirthInteger value='+2'/>"))["multipleBirthInteger"] == 2
    assert fhir_xml.parse(xml("<multipleBirthInteger value='02'/>"))["multipleBirthInteger"] == "02"  # which no check lets pass


def test_narrative_under_another_prefix_is_the_same_narrative():
    text = (
        b'<f:Patient xmlns:f="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"><f:text><f:status value="generated"/>'
        b'<h:div class="a">x <h:b>y<h:i>z</h:i></h:b> t<!-- c --> u<h:br/>v</h:div></f:text></f:Patient>'
    )
    div = '<div xmlns="http://www.w3.org/1999/xhtml" class="a">x <b>y<i>z</i></b> t<!-- c --> u<br/>v</div>'
    assert fhir_xml.parse(text)["text"]["div"] == div


def test_text_keeps_its_line_breaks_and_quotes():
    patient = {"resourceType": "Patient", "name": [{"text": 'a\n\tb "c" <d> & 张三'}]}
    assert there_and_back(patient) == patient


@pytest.mark.parametrize(
    ("inside", "shown"),
    [
        ("<p>a<br/>b</p>", "<p>a<br/>b</p>"),
        ("a&nbsp;b &eacute;", "a\u00a0b é"),
        ("<p>a<!-- why -->b</p>", "<p>a<!-- why -->b</p>"),
        ("<p>never closed", "&lt;p&gt;never closed"),
    ],
)
def test_narrative_is_always_well_formed(inside, shown):
    resource = {"resourceType": "Patient", "text": {"status": "generated", "div": DIV.format(inside)}}
    text = fhir_xml.from_json(fhir_json.dump(resource))
    etree.fromstring(text)
    assert shown in text.decode()


@pytest.mark.parametrize(
    "text",
    [
        b"<Patient/>",
        b"<Patient xmlns='http://hl7.org/fhir'>",
        xml("<name>text</name>"),
        xml("<nick value='x'/>"),
        xml("<gender value='male'/><gender value='female'/>"),
        xml("<birthDate/>"),
        xml("<gender code='male'/>"),
        xml("", "Nothing"),
        xml("", "HumanName"),
        b"<?xml version='1.0' encoding='UTF-16'?>" + xml(""),
        xml("").decode().encode("utf-16"),
        b"<!DOCTYPE Patient [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>" + xml("<gender value='&a;'/>"),
        b"<!DOCTYPE Patient [<!ENTITY a 'aa'><!ENTITY b '&a;&a;&a;'>]>" + xml("<gender value='&b;'/>"),
        xml("<gender value='&undefined;'/>"),
        xml("<extension url='a'>" * 100 + "</extension>" * 100),
        xml("<contained><Patient/><Patient/></contained>"),
        xml("<contained>text<Patient/></contained>"),
        xml("<contained id='a'><Patient/></contained>"),
        xml(f"<text><status value='generated'/>{DIV.format('a')}{DIV.format('b')}</text>"),
        b"",
    ],
)
def test_what_is_no_fhir_xml_is_refused(text):
    with pytest.raises(HubError) as refused:
        fhir_xml.parse(text)
    assert refused.value.reason.status == 400


def canonical(value):
    """Narrative is equal when its XML is; the rest when its JSON is."""
    if isinstance(value, dict):
        return {name: div(item) if name == "div" and isinstance(item, str) else canonical(item) for name, item in value.items()}
    return [canonical(item) for item in value] if isinstance(value, list) else repr(value)


def div(text):
    return etree.tostring(etree.fromstring(text), method="c14n")


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason=f"the R4 examples are not at {EXAMPLES}")
def test_every_official_example_comes_back_from_xml_as_it_was():
    different = []
    seen = 0
    for path in sorted(EXAMPLES.glob("*.json")):
        body = path.read_bytes()
        if b'"resourceType"' not in body or len(body) > LARGE:
            continue
        sent = fhir_json.parse(body)
        seen += 1
        if canonical(fhir_xml.parse(fhir_xml.from_json(body, pretty=seen % 7 == 0))) != canonical(sent):
            different.append(path.name)
    assert not different
    assert seen > 5000
