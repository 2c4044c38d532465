"""The grammar of `_filter` and what it compares. https://hl7.org/fhir/R4/search_filter.html"""

from __future__ import annotations

import pytest

from hub.errors import HubError, Kind
from hub.search.dates import interval
from hub.search.parse import parse_search
from hub.search.query import AllOf, AnyOf, Chain, Criterion, DateValue, Not, StringValue, TokenValue, UriValue


def filtered(kind, text, **options):
    (found,) = parse_search(kind, [("_filter", text)], now=0, **options).query.criteria
    return found


def refusal(kind, text):
    with pytest.raises(HubError) as refused:
        parse_search(kind, [("_filter", text)], now=0)
    return refused.value


def string(code, text, modifier):
    return Criterion(code, "string", (StringValue(text),), modifier)


def token(code, text, modifier=""):
    return Criterion(code, "token", (TokenValue(None, text),), modifier)


A, B, C = token("_id", "a"), token("_id", "b"), token("_id", "c")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('name co "pet"', string("name", "pet", "contains")),
        ("name co pet", string("name", "pet", "contains")),
        ('name eq "Peter \\"the\\" (Great]"', string("name", 'Peter "the" (Great]', "equal")),
        ('name eq "\\u6b27\\u9633"', string("name", "欧阳", "equal")),
        ("name sw pe", string("name", "pe", "")),
        ("name ew er", string("name", "er", "ends")),
        ("name ne peter", string("name", "peter", "unequal")),
        ("gender eq male", token("gender", "male")),
        ("gender ne Male", token("gender", "male", "unequal")),
        ("birthdate pr true", Criterion("birthdate", "date", (), "missing", False)),
        ("birthdate ge 2014-10-10", Criterion("birthdate", "date", (DateValue("ge", *interval("2014-10-10")),))),
        ("birthdate po 2014", Criterion("birthdate", "date", (DateValue("ap", *interval("2014")),))),
        ("gender in http://a.cn/vs", Criterion("gender", "token", (UriValue("http://a.cn/vs"),), "in")),
        ("gender ss urn:s|A", Criterion("gender", "token", (TokenValue("urn:s", "A"),), "below")),
        ("gender sb urn:s|A", Criterion("gender", "token", (TokenValue("urn:s", "A"),), "above")),
        ("_id eq a and _id eq b and _id eq c", AllOf((A, B, C))),
        ("_id eq a and _id eq b or _id eq c", AnyOf((AllOf((A, B)), C))),
        ("_id eq a or _id eq b and _id eq c", AllOf((AnyOf((A, B)), C))),  # from left to right
        ("_id eq a or ( _id eq b and _id eq c )", AnyOf((A, AllOf((B, C))))),
        ("not (_id eq a)", Not(A)),
        ("((_id eq a)) or not(_id eq b)", AnyOf((A, Not(B)))),
        ("organization.name co x", Chain("organization", "Organization", string("name", "x", "contains"))),
        (
            "organization[_id eq a].partof:Organization.name co x",
            Chain(
                "organization",
                "Organization",
                AllOf((A, Chain("partof", "Organization", string("name", "x", "contains")))),
            ),
        ),
    ],
)
def test_a_filter_is_read(text, expected):
    assert filtered("Patient", text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name co",
        'name co "open',
        'name co "\\ud800"',
        "name like x",
        "name gt x",
        "birthdate co 2014",
        "birthdate ge soon",
        "birthdate pr perhaps",
        "(name co x",
        "name co x)",
        "name co x and",
        "name co x xor name co y",
        "name co x name co y",
        "not name co x",
        "shoe eq 1",
        "name[use eq official] eq x",
        "organization[name eq x] pr true",
        "organization[shoe eq x].name eq x",
        "name.family eq x",
        "_text co x",
        "gender in nowhere",
        "gender ss male",
    ],
)
def test_what_follows_no_rule_is_refused(text):
    refused = refusal("Patient", text)
    assert refused.reason in (Kind.INVALID, Kind.NOT_SUPPORTED)
    assert "official" not in refused.message


def test_depth_and_length_have_an_end():
    assert filtered("Patient", "(" * 20 + "_id eq a" + ")" * 20) == A
    assert refusal("Patient", "(" * 21 + "_id eq a" + ")" * 21).reason is Kind.TOO_COSTLY
    assert refusal("Patient", "not (" * 5000 + "_id eq a" + ")" * 5000).reason is Kind.TOO_COSTLY
    assert refusal("Patient", "_id eq a" + " or _id eq a and _id eq a" * 30).reason is Kind.TOO_COSTLY
    assert len(filtered("Patient", " or ".join(["_id eq a"] * 2000)).conditions) == 2000
    assert refusal("Organization", "partof." * 9 + "name co x").reason is Kind.TOO_COSTLY
    assert refusal("Organization", "partof[" * 30 + "name co x").reason is Kind.TOO_COSTLY


def test_a_filter_that_is_not_understood_is_left_out_when_lenient():
    search = parse_search("Patient", [("_filter", "shoe eq 1"), ("_id", "a")], now=0, lenient=True)
    assert search.ignored == ("_filter",)
    assert search.query.criteria == (A,)


def test_several_filters_all_hold():
    search = parse_search("Patient", [("_filter", "_id eq a"), ("_filter", "_id eq b")], now=0)
    assert search.query.criteria == (A, B)
