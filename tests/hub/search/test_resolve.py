"""What value sets, hierarchies and lists stand for, and how much of it one search may stand for."""

from __future__ import annotations

import pytest

from hub.errors import HubError, Kind, NotFound
from hub.search.parse import parse_search
from hub.search.query import AllOf, AnyOf, Chain, Criterion, Has, Not, ReferenceValue, TokenValue
from hub.search.resolve import MAX_RESOLVED, Resolver


class Codes:
    """A terminology of letters: "ab" lies below "a"."""

    def __init__(self, size=3):
        self.size = size

    def expand(self, url):
        if url == "urn:nothing":
            raise NotFound("this value set is not loaded here")
        return [] if url == "urn:empty" else [("urn:s", f"C{number}") for number in range(self.size)]

    def descendants(self, system, code):
        return [code, f"{code}b", f"{code}bC"]

    def ancestors(self, system, code):
        return [code[:length] for length in range(len(code), 0, -1)]


class Places:
    """Locations 0, 1, 2 …, each part of the one before it; and a List."""

    def __init__(self, depth=4):
        self.depth = depth

    def resource(self, type, id):
        if type == "List" and id == "round":
            items = ["Patient/p1", "Location/1", "Patient/p2", "#x", "urn:x"]
            entries = [{"item": {"reference": each}} for each in items]
            return {"entry": [*entries, {"item": {"reference": "Patient/p3"}, "deleted": True}, {"flag": {}}, "broken"]}
        if type == "ValueSet" and id == "here":
            return {"url": "urn:here"}
        if type == "Location" and 0 <= int(id) < self.depth:
            return {"partOf": {"reference": f"Location/{int(id) - 1}"}} if int(id) else {}
        raise NotFound(f"no {type} with this id")

    def matching(self, type, conditions, limit):
        return [{"id": f"q{number}", "url": "urn:q", "version": f"{number}"} for number in range(min(self.depth, limit + 1))]

    def referring(self, type, code, ids, limit):
        assert (type, code) == ("Location", "partof")
        return [str(int(each) + 1) for each in ids if int(each) + 1 < self.depth]


def resolved(kind, name, text, codes=None, places=None):
    query = parse_search(kind, [(name, text)], now=0).query
    (found,) = Resolver(codes or Codes(), places or Places()).resolved(query).criteria
    return found


def codes_of(*codes, system="urn:s"):
    return Criterion("code", "token", tuple(TokenValue(system, code) for code in codes))


def places(*ids):
    return Criterion("location", "reference", tuple(ReferenceValue("Location", each) for each in ids))


PATIENTS = Criterion("_id", "token", (TokenValue(None, "p1"), TokenValue(None, "p2")))


@pytest.mark.parametrize(
    ("kind", "name", "text", "expected"),
    [
        ("Condition", "code:in", "urn:a", codes_of("c0", "c1", "c2")),
        ("Condition", "code:in", "ValueSet/here", codes_of("c0", "c1", "c2")),
        ("Condition", "code:in", "urn:empty", AnyOf(())),
        ("Condition", "code:not-in", "urn:a", Not(codes_of("c0", "c1", "c2"))),
        ("Condition", "code:not-in", "urn:empty", Not(AnyOf(()))),
        ("Condition", "code:below", "urn:s|A", codes_of("a", "ab", "abc")),
        ("Condition", "code:above", "urn:s|AB", codes_of("ab", "a")),
        ("Encounter", "location:below", "Location/1", places("1", "2", "3")),
        ("Encounter", "location:above", "Location/2", places("2", "1", "0")),
        ("Encounter", "location:above", "Location/99", places("99")),
        ("Patient", "_list", "round", PATIENTS),
        ("Device", "_list", "round", AnyOf(())),
        # wherever it stands
        ("Observation", "subject:Patient._list", "round", Chain("subject", "Patient", PATIENTS)),
        ("Patient", "_has:Condition:patient:code:below", "urn:s|A", Has("Condition", "patient", codes_of("a", "ab", "abc"))),
        (
            "Condition",
            "_filter",
            "code in urn:a and not (code ss urn:s|A)",
            AllOf((codes_of("c0", "c1", "c2"), Not(codes_of("a", "ab", "abc")))),
        ),
    ],
)
def test_it_becomes_what_a_store_can_answer(kind, name, text, expected):
    assert resolved(kind, name, text) == expected


def test_what_needs_nothing_stays_as_it_is():
    query = parse_search("Condition", [("code", "a"), ("subject:Patient.name", "b")], now=0).query
    assert Resolver(None, Places()).resolved(query) is query


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("code:in", "urn:nothing", Kind.NOT_FOUND),
        ("code:in", "ValueSet/elsewhere", Kind.NOT_FOUND),
        ("_list", "elsewhere", Kind.NOT_FOUND),
        ("subject:below", "Patient/1", Kind.INVALID),  # patients are no part of each other
    ],
)
def test_what_is_not_there_is_said(name, text, kind):
    with pytest.raises(HubError) as refused:
        resolved("Condition", name, text)
    assert refused.value.reason is kind


@pytest.mark.parametrize("name", ["questionnaire.title", "_has:QuestionnaireResponse:questionnaire:status"])
def test_a_chain_by_url_leads_to_so_many_definitions_and_no_more(name):
    kind = "Questionnaire" if name.startswith("_has") else "QuestionnaireResponse"
    assert resolved(kind, name, "diet", places=Places(3)) != AnyOf(())
    with pytest.raises(HubError) as refused:
        resolved(kind, name, "diet", places=Places(MAX_RESOLVED))
    assert refused.value.reason is Kind.TOO_COSTLY


def test_without_a_terminology_its_modifiers_are_refused():
    query = parse_search("Condition", [("code:in", "urn:a")], now=0).query
    with pytest.raises(HubError) as refused:
        Resolver(None, Places()).resolved(query)
    assert refused.value.reason is Kind.NOT_SUPPORTED


def test_one_search_stands_for_so_many_codes_and_no_more():
    assert len(resolved("Condition", "code:in", "urn:a", Codes(MAX_RESOLVED)).values) == MAX_RESOLVED
    for name, text, codes, place in (
        ("code:in", "urn:a", Codes(MAX_RESOLVED + 1), None),
        ("_filter", "code in urn:a and code in urn:b", Codes(MAX_RESOLVED // 2 + 1), None),
        ("_has:Encounter:diagnosis:location:below", "Location/0", None, Places(60)),
        ("_has:Encounter:diagnosis:location:above", "Location/900", None, Places(1000)),
    ):
        with pytest.raises(HubError) as refused:
            resolved("Condition", name, text, codes, place)
        assert refused.value.reason is Kind.TOO_COSTLY
