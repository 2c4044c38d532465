"""Modifiers, special parameters, units, and one search of several types.

https://hl7.org/fhir/R4/search.html#modifiers https://hl7.org/fhir/R4/location.html#positional
"""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.errors import HubError, Invalid, Kind
from hub.search.parameters import registry
from hub.search.parse import parse_search, parse_system_search
from hub.search.query import (
    AnyOf,
    Criterion,
    Include,
    NearValue,
    NumberValue,
    QuantityValue,
    ReferenceValue,
    Sort,
    StringValue,
    TokenValue,
    UriValue,
)

UCUM = "http://unitsofmeasure.org"
FIVE = NumberValue("eq", 5.4, 5.35, 5.45)


def criterion(kind, name, text, **options):
    (found,) = parse_search(kind, [(name, text)], now=0, **options).query.criteria
    return found


def refusal(kind, name, text):
    with pytest.raises(HubError) as refused:
        parse_search(kind, [(name, text)], now=0)
    return refused.value


def one(code, kind, value, modifier=""):
    return Criterion(code, kind, (value,), modifier)


@pytest.mark.parametrize(
    ("kind", "name", "text", "expected"),
    [
        # those that ask index entries of their own
        ("Observation", "code:text", "Glu cose", one("code:text", "string", StringValue("Glu cose"))),
        ("Patient", "identifier:of-type", "urn:t|MR|Ab9", one("identifier:of-type", "token", TokenValue("urn:t", "mr|ab9"))),
        ("Observation", "subject:identifier", "urn:m|A1", one("subject:identifier", "token", TokenValue("urn:m", "a1"))),
        # those that the terminology resolves
        ("Observation", "code:in", "http://a.cn/vs", one("code", "token", UriValue("http://a.cn/vs"), "in")),
        ("Observation", "code:not-in", "ValueSet/7", one("code", "token", UriValue("ValueSet/7"), "not-in")),
        ("Observation", "code:below", "urn:s|A", one("code", "token", TokenValue("urn:s", "A"), "below")),
        ("Observation", "code:above", "urn:s|A", one("code", "token", TokenValue("urn:s", "A"), "above")),
        # hierarchies of resources, canonicals and addresses
        ("Encounter", "location:below", "Location/1", one("location", "reference", ReferenceValue("Location", "1"), "below")),
        ("Encounter", "location:above", "1", one("location", "reference", ReferenceValue("Location", "1"), "above")),
        ("PlanDefinition", "url:below", "http://a.cn", one("url", "uri", UriValue("http://a.cn"), "below")),
        ("Patient", "_id:not", "aB", one("_id", "token", TokenValue(None, "aB"), "not")),
        # special
        ("Patient", "_text", "one two", one("_text", "special", StringValue("one two"))),
        ("Patient", "_content", "one", one("_content", "special", StringValue("one"))),
        ("Patient", "_list", "42", one("_list", "special", ReferenceValue("List", "42"))),
        ("Patient", "_list", "List/42", one("_list", "special", ReferenceValue("List", "42"))),
        ("Location", "near", "31.2|121.5|3|km", one("near", "special", NearValue(31.2, 121.5, 3000))),
        ("Location", "near", "-31.2|-121.5|300|m", one("near", "special", NearValue(-31.2, -121.5, 300))),
        ("Location", "near", "1|2|3", one("near", "special", NearValue(1, 2, 3000))),
        ("Location", "near", "1|2", one("near", "special", NearValue(1, 2, 10_000))),
        ("Location", "near", "1|2|1|[mi_us]", one("near", "special", NearValue(1, 2, pytest.approx(1609.347, abs=0.001)))),
    ],
)
def test_a_modifier_says_which_entries_are_asked(kind, name, text, expected):
    assert criterion(kind, name, text) == expected


def test_our_own_address_names_a_value_set_here():
    found = criterion("Observation", "code:in", "http://h.cn/fhir/ValueSet/7", base="http://h.cn/fhir")
    assert found.values == (UriValue("ValueSet/7"),)


@pytest.mark.parametrize(
    ("kind", "name", "text"),
    [
        ("Patient", "birthdate:not", "1970"),
        ("Patient", "name:not", "a"),
        ("Patient", "name:text", "a"),
        ("Patient", "name:below", "a"),
        ("Patient", "gender:exact", "male"),
        ("Patient", "gender:contains", "male"),
        ("Patient", "gender:of-type", "a|b|c"),  # no identifier
        ("Patient", "identifier:of-type", "a|b"),
        ("Patient", "identifier:of-type", "a||c"),
        ("Patient", "identifier:iterate", "a"),
        ("Observation", "code:below", "A"),  # of which system?
        ("Observation", "code:below", "urn:s|"),
        ("Observation", "code:in", "chronic"),
        ("Observation", "subject:below", "1"),  # of which type?
        ("Observation", "subject:exact", "1"),
        ("Observation", "subject:not", "1"),
        ("Observation", "value-quantity:exact", "1"),
        ("PlanDefinition", "url:contains", "a"),
        ("PlanDefinition", "url:in", "http://a"),
        ("Patient", "_id:below", "a|b"),
        ("Patient", "_text:exact", "a"),
        ("Patient", "_text", ""),
        ("Patient", "_text", "  "),
        ("Patient", "_list:not", "1"),
        ("Patient", "_list", "one two"),
        ("Location", "near:missing", "true"),
        ("Location", "near", "1"),
        ("Location", "near", "91|2"),
        ("Location", "near", "1|181"),
        ("Location", "near", "1|2|-3"),
        ("Location", "near", "1|2|3|parsec"),
        ("Location", "near", "nan|2"),
        ("Patient", "_contained", "perhaps"),
        ("Patient", "_type", "Patient"),  # of the whole system only
    ],
)
def test_a_modifier_that_the_type_does_not_have_is_refused(kind, name, text):
    refused = refusal(kind, name, text)
    assert refused.reason is Kind.INVALID
    assert name.partition(":")[0] in refused.message


def test_a_quantity_in_a_ucum_unit_is_asked_in_base_units():
    asked = criterion("Observation", "value-quantity", f"5.4|{UCUM}|mmol/L")
    assert (asked.code, asked.type) == ("value-quantity:canonical", "quantity")
    same = criterion("Observation", "value-quantity", f"5.4e3|{UCUM}|umol/L")
    assert same.values[0].number.number == asked.values[0].number.number
    assert same.values[0].code == asked.values[0].code
    low = criterion("Observation", "value-quantity", f"ge36.6|{UCUM}|Cel").values[0].number
    assert (low.prefix, low.number, low.low, low.high) == ("ge", 309.75, 309.7, 309.8)


def test_a_unit_without_a_system_is_also_asked_as_it_stands():
    plain, converted = criterion("Observation", "value-quantity", "5.4||mg").conditions
    assert plain == one("value-quantity", "quantity", QuantityValue(FIVE, None, "mg"))
    assert converted.code == "value-quantity:canonical"
    mixed = criterion("Observation", "value-quantity", f"5.4,5.4|{UCUM}|mg,5.4|urn:x|mg")
    assert isinstance(mixed, AnyOf)
    assert [len(each.values) for each in mixed.conditions] == [2, 1]


@pytest.mark.parametrize(
    ("name", "text", "include"),
    [
        ("_include", "*", Include("Encounter", "*")),
        ("_include", "Encounter:*", Include("Encounter", "*")),
        ("_include", "Encounter:location:Location", Include("Encounter", "location", "Location")),
        ("_include:iterate", "Location:partof", Include("Location", "partof", iterate=True)),
        ("_include:recurse", "Location:partof", Include("Location", "partof", iterate=True)),
        ("_include:iterate", "*", Include("*", "*", iterate=True)),
        ("_revinclude", "*", Include("*", "*", reverse=True)),
        ("_revinclude", "Observation:*", Include("Observation", "*", reverse=True)),
        ("_revinclude", "Observation:encounter:Encounter", Include("Observation", "encounter", "Encounter", reverse=True)),
        ("_revinclude:iterate", "Observation:derived-from", Include("Observation", "derived-from", reverse=True, iterate=True)),
    ],
)
def test_what_stands_beside_the_matches(name, text, include):
    assert parse_search("Encounter", [(name, text)], now=0).query.includes == (include,)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("_include", "Location:partof"),  # the matches are Encounters
        ("_include", "Encounter:location:Patient"),
        ("_include", "*:location"),
        ("_include:iterate", "Location:name"),
        ("_include:sometimes", "Location:partof"),
        ("_revinclude", "Patient:organization"),
        ("_revinclude:iterate", "Location:partof:Patient"),
        ("_revinclude", "Shoe:*"),
    ],
)
def test_an_include_that_brings_nothing_is_refused(name, text):
    assert "include" in refusal("Encounter", name, text).message


def test_sorting_by_several_keys():
    found = parse_search("Patient", [("_sort", "family,-birthdate,family")], now=0).query.sort
    assert found == (Sort("family", "string"), Sort("birthdate", "date", True))
    assert refusal("Patient", "_sort", ",".join(["name"] * 11)).reason is Kind.TOO_COSTLY


def test_contained_resources_are_not_matches():
    assert parse_search("Patient", [("_contained", "false")], now=0).query.criteria == ()
    assert refusal("Patient", "_contained", "both").reason is Kind.NOT_SUPPORTED


# -- search of the whole system


def system(*parameters, types=("Group", "Observation", "Patient"), **options):
    return parse_system_search(types, parameters, now=0, **options)


def test_one_search_of_several_types_has_a_query_for_each():
    found = system(("_type", "Patient,Observation,Encounter"), ("_lastUpdated", "ge2020"), ("_count", "5"))
    assert [(query.type, query.count) for query in found.queries] == [("Observation", 5), ("Patient", 5)]
    assert found.self_parameters[0] == ("_type", "Patient,Observation,Encounter")
    many = ",".join(map(str, range(1000)))
    assert len(parse_system_search(registry().types, [("_id", many)], now=0).queries) == len(registry().types)


def test_its_parameters_are_those_of_all_types():
    found = system(("identifier", "a"), ("birthdate", "1970"), lenient=True)
    assert found.ignored == ("birthdate",)
    assert [len(query.criteria) for query in found.queries] == [1, 1, 1]
    with pytest.raises(Invalid, match="birthdate"):
        system(("birthdate", "1970"))
    for types in ("Shoe", "Encounter", ""):
        with pytest.raises(Invalid, match="_type"):
            system(("_type", types))


def test_its_includes_start_from_the_type_that_has_them():
    found = system(
        ("_include", "Observation:subject"), ("_revinclude", "Provenance:target"), ("_revinclude", "Coverage:beneficiary")
    )
    subject = Include("Observation", "subject")
    target, patient = Include("Provenance", "target", reverse=True), Include("Coverage", "beneficiary", reverse=True)
    assert [query.includes for query in found.queries] == [(target,), (subject, target), (target, patient)]
    with pytest.raises(Invalid):
        system(("_include", "Encounter:patient"))


# -- any text at all

NAMED = "_id _has: _has _filter _include _revinclude _sort _count _text _list near code date subject patient Patient Observation"
SIGNS = ': . , | $ * :iterate :below :in :of-type :identifier :missing ( ) [ ] not and or eq co pr " \\ % gt true'
VALUES = ("value-quantity", "code-value-quantity", "5.4||mg", "1970", "http://a.cn", " ", "31|121|5|km", "\x00")
FRAGMENTS = st.sampled_from((*NAMED.split(), *SIGNS.split(), *VALUES))
TEXTS = st.lists(FRAGMENTS | st.text(max_size=6), max_size=12).map("".join)
KNOWN = ("_filter", "_include", "_revinclude:iterate", "_sort", "near", "_list", "_text", "subject.name")
NAMES = st.sampled_from(("_has:Observation:patient:code", *KNOWN)) | TEXTS
KINDS = st.sampled_from(["Patient", "Observation", "Location", "Provenance"])


@settings(max_examples=400, deadline=None, derandomize=True)
@given(kind=KINDS, name=NAMES, text=TEXTS, lenient=st.booleans())
def test_any_name_and_text_are_either_read_or_refused(kind, name, text, lenient):
    with suppress(HubError):
        parse_search(kind, [(name, text)], now=0, lenient=lenient)
    with suppress(HubError):
        parse_system_search((kind, "Group"), [(name, text)], now=0, lenient=lenient)


@pytest.mark.parametrize("name", ["birthdate", "identifier:of-type", "link:Patient.birthdate", "_filter", "near", "_list:x"])
@pytest.mark.parametrize("text", ["欧阳锋|x", 'name eq "欧阳锋', "name 欧阳锋", 'birthdate ge "欧阳锋"', "$欧阳锋", "欧阳锋,"])
def test_no_refusal_repeats_a_value(name, text):
    assert "欧阳锋" not in refusal("Location" if name == "near" else "Patient", name, text).message
