"""What a condition means, of a resource in memory."""

from __future__ import annotations

from decimal import Decimal
from html import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.errors import Invalid
from hub.fhir_json import dump
from hub.search.match import Indexed, body_fulfils, candidates, fulfils, is_version_of, may_fulfil, needs_body
from hub.search.near import box, distance
from hub.search.parse import parse_search
from hub.search.query import NearValue


class Nowhere:
    def get(self, type, id):
        return None

    def referring(self, type, code, to):
        return ()


def asked(kind, name, text):
    (found,) = parse_search(kind, [(name, text)], now=0).query.criteria
    return found


def holds(resource, name, text):
    condition = asked(resource["resourceType"], name, text)
    return fulfils(Indexed.of(resource, "1", 0), condition, Nowhere())


DIV = '<div xmlns="http://www.w3.org/1999/xhtml"><p>Fever&#160;&amp; <b class="hidden">COUGH</b></p>发热三天</div>'
PATIENT = {
    "resourceType": "Patient",
    "text": {"status": "generated", "div": DIV},
    "name": [{"family": "Müller"}],
    "photo": [{"contentType": "image/png", "data": "QUJD", "title": "Portrait"}],
}


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("_text", "cough", True),
        ("_text", "Cough FEVER", True),
        ("_text", "发热", True),
        ("_text", "三天 fever &", True),
        ("_text", "cough headache", False),
        ("_text", "headache,cough", True),
        ("_text", "hidden", False),  # markup is no text
        ("_text", "muller", False),
        ("_text", "(headache OR cough) AND fever", True),
        ("_text", "(headache OR cough) NOT fever", False),
        ("_text", "NOT (headache OR migraine)", True),
        ("_text", "headache OR migraine OR cough AND fever", True),
        ("_text", '"cough fever"', False),  # a phrase stands in one piece
        ("_text", '"Fever &  cough"', True),
        ("_text", '"or"', False),  # a word like another
        ("_text", "(headache or cough) and not (migraine or fever)", False),
        ("_content", "muller fever", True),
        ("_content", "portrait", True),
        ("_content", "QUJD", False),  # nor is an attachment
        ("_content", "xhtml", False),
    ],
)
def test_words_are_found_in_the_narrative_or_anywhere(name, text, found):
    assert holds(PATIENT, name, text) is found
    criterion = asked("Patient", name, text)
    assert needs_body(criterion)
    assert candidates("Patient", criterion) is None
    assert body_fulfils(PATIENT, criterion) is found


LETTERS = st.text(st.sampled_from('aAéßＡ1，,. ()&\\"\n中㎏ﬁ—'), max_size=6)


@given(words=st.lists(LETTERS.filter(str.strip), min_size=1, max_size=3), texts=st.lists(LETTERS, max_size=4))
def test_a_look_at_the_json_never_passes_over_what_holds_the_words(words, texts):
    try:
        criterion = asked("Patient", "_content", " ".join(words).replace("\\", "\\\\").replace(",", "\\,"))
    except Invalid:
        return
    resource = {"resourceType": "Patient", "name": [{"given": texts}], "text": {"div": f"<div>{escape(''.join(texts))}</div>"}}
    assert may_fulfil(dump(resource), criterion) or not body_fulfils(resource, criterion)


@pytest.mark.parametrize("text", [{}, {"div": None}, {"div": ["x"]}, "x", {"div": "<a"}])
def test_a_broken_narrative_is_found_by_nothing(text):
    assert not holds({"resourceType": "Patient", "text": text}, "_text", "x y")


@pytest.mark.parametrize(
    ("canonical", "whole", "is_one"),
    [
        ("u|1.0.2", "u|1.0.2", True),
        ("u|1.0.2", "u|1.0", True),
        ("u|1.0.2", "u|1", True),
        ("u|1.0.2", "u", True),
        ("u", "u", True),
        ("u|1.10", "u|1.1", False),
        ("u|1", "u|1.0", False),
        ("ux|1", "u", False),
    ],
)
def test_versions_of_a_canonical(canonical, whole, is_one):
    assert is_version_of(canonical, whole) is is_one


PLACES = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


def test_distances_are_those_on_the_earth():
    assert distance(0, 0, 0, 1) == pytest.approx(111_195, abs=1)
    assert distance(31.2304, 121.4737, 39.9042, 116.4074) == pytest.approx(1_067_000, rel=0.002)  # Shanghai to Beijing
    assert distance(0, 179.5, 0, -179.5) == pytest.approx(111_195, abs=1)
    assert distance(90, 0, -90, 50) == pytest.approx(20_015_115, abs=1)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(place=PLACES, other=PLACES, metres=st.sampled_from([0, 10, 5e3, 2e5, 3e6, 1.2e7, 2.1e7]))
def test_the_box_holds_the_whole_circle(place, other, metres):
    near = NearValue(*place, metres)
    position = {"latitude": Decimal(repr(other[0])), "longitude": Decimal(repr(other[1]))}
    location = {"resourceType": "Location", "position": position}
    if distance(*place, float(position["latitude"]), float(position["longitude"])) <= metres:
        assert fulfils(Indexed.of(location, "1", 0), box(near), Nowhere())


@pytest.mark.parametrize(
    "position", [None, {}, {"latitude": 1}, {"latitude": "1", "longitude": "2"}, {"latitude": True, "longitude": 1}]
)
def test_a_place_without_a_position_is_near_nothing(position):
    assert not holds({"resourceType": "Location", "position": position}, "near", "1|2|21000")
