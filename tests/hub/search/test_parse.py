"""What stands in the URL of a search, and what it means. https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.errors import HubError, Invalid, Kind
from hub.search.dates import interval
from hub.search.parse import MAX_COUNT, parse_search, split, unescape
from hub.search.query import (
    CompositeValue,
    Criterion,
    DateValue,
    Include,
    NumberValue,
    QuantityValue,
    ReferenceValue,
    Sort,
    StringValue,
    TokenValue,
    UriValue,
)

NOW = interval("2026-01-01T00:00:00Z")[0]
DAY = 86_400_000


def query(resource_type, *parameters, **options):
    return parse_search(resource_type, parameters, now=NOW, **options).query


def criterion(resource_type, name, text, **options):
    (found,) = query(resource_type, (name, text), **options).criteria
    return found


def value(resource_type, name, text, **options):
    (found,) = criterion(resource_type, name, text, **options).values
    return found


def refusal(resource_type, *parameters):
    with pytest.raises(HubError) as refused:
        parse_search(resource_type, parameters, now=NOW)
    return refused.value


def date(prefix, text):
    return DateValue(prefix, *interval(text))


FIVE = NumberValue("eq", 5.4, 5.35, 5.45)


@pytest.mark.parametrize(
    ("resource_type", "name", "text", "expected"),
    [
        # 3.1.1.4.10 token
        ("Observation", "code", "15074-8", TokenValue(None, "15074-8")),
        ("Observation", "code", "http://loinc.org|15074-8", TokenValue("http://loinc.org", "15074-8")),
        ("Observation", "code", "|GLU", TokenValue("", "glu")),
        ("Observation", "code", "http://loinc.org|", TokenValue("http://loinc.org", None)),
        ("Patient", "gender", "Male", TokenValue(None, "male")),
        ("Patient", "active", "true", TokenValue(None, "true")),
        ("Patient", "_id", "aBc", TokenValue(None, "aBc")),  # ids have case
        ("Patient", "_tag", "urn:hub:facility|CTY", TokenValue("urn:hub:facility", "cty")),
        # 3.1.1.4.7 number, with its implicit precision
        ("RiskAssessment", "probability", "5.4", FIVE),
        ("RiskAssessment", "probability", "100", NumberValue("eq", 100, 99.5, 100.5)),
        ("RiskAssessment", "probability", "100.00", NumberValue("eq", 100, 99.995, 100.005)),
        ("RiskAssessment", "probability", "1e2", NumberValue("eq", 100, 95, 105)),
        ("RiskAssessment", "probability", "lt-5.4", NumberValue("lt", -5.4, -5.45, -5.35)),
        ("RiskAssessment", "probability", "ap100", NumberValue("ap", 100, 90, 110)),
        ("RiskAssessment", "probability", "ap1", NumberValue("ap", 1, 0.5, 1.5)),  # never narrower than 1 itself
        # 3.1.1.4.8 date
        ("Patient", "birthdate", "1970", date("eq", "1970")),
        ("Patient", "birthdate", "ge1970-03", date("ge", "1970-03")),
        ("Observation", "date", "sa2024-02-29", date("sa", "2024-02-29")),
        ("Observation", "date", "ne2024-02-29T10:05", date("ne", "2024-02-29T10:05")),
        ("Observation", "date", "2024-02-29T10:05:07 08:00", date("eq", "2024-02-29T10:05:07+08:00")),  # a + not encoded
        ("Observation", "_lastUpdated", "gt2024-02-29T10:05:07.123Z", date("gt", "2024-02-29T10:05:07.123Z")),
        # 3.1.1.4.9 string
        ("Patient", "name", "张", StringValue("张")),
        ("Patient", "address", r"a\,b\$c\|d\\e", StringValue(r"a,b$c|d\e")),
        # 3.1.1.4.11 quantity
        ("Observation", "value-quantity", "5.4", QuantityValue(FIVE, None, None)),
        ("Observation", "value-quantity", "5.4||tabl", QuantityValue(FIVE, None, "tabl")),
        ("Observation", "value-quantity", "5.4|urn:x|mg", QuantityValue(FIVE, "urn:x", "mg")),
        ("Observation", "value-quantity", "le5.4||tabl", QuantityValue(NumberValue("le", 5.4, 5.35, 5.45), None, "tabl")),
        # 3.1.1.4.12 reference
        ("Observation", "subject", "Patient/1", ReferenceValue("Patient", "1")),
        ("Observation", "subject", "Patient/1/_history/7", ReferenceValue("Patient", "1")),
        ("Observation", "subject", "1", ReferenceValue("", "1")),
        ("Observation", "subject:Patient", "1", ReferenceValue("Patient", "1")),
        ("Observation", "subject:Patient", "Patient/1", ReferenceValue("Patient", "1")),
        ("Observation", "specimen", "1", ReferenceValue("Specimen", "1")),  # its only target
        ("Observation", "subject", "https://b.example/fhir/Patient/1", ReferenceValue("", "https://b.example/fhir/Patient/1")),
        ("Observation", "subject", "urn:uuid:1", ReferenceValue("", "urn:uuid:1")),
        ("ServiceRequest", "instantiates-canonical", "http://a.example/P|2", ReferenceValue("", "http://a.example/P|2")),
        # 3.1.1.4.13 uri
        ("ValueSet", "url", "http://a.example/ValueSet/x", UriValue("http://a.example/ValueSet/x")),
        ("Patient", "_profile", "http://a.example/p|1", UriValue("http://a.example/p|1")),
        # 3.1.1.4.14 composite
        (
            "Observation",
            "code-value-quantity",
            "http://loinc.org|15074-8$gt5.4||mg",
            CompositeValue(
                (TokenValue("http://loinc.org", "15074-8"), QuantityValue(NumberValue("gt", 5.4, 5.35, 5.45), None, "mg"))
            ),
        ),
        (
            "DocumentReference",
            "relationship",
            "DocumentReference/1$replaces",
            CompositeValue((ReferenceValue("DocumentReference", "1"), TokenValue(None, "replaces"))),
        ),
    ],
)
def test_one_value(resource_type, name, text, expected):
    assert value(resource_type, name, text) == expected


def test_a_comma_means_or_and_repeating_means_and():
    found = query("Observation", ("code", "a,b"), ("code", r"c\,d"))
    assert [[each.code for each in one.values] for one in found.criteria] == [["a", "b"], ["c,d"]]


def test_approximately_grows_with_the_distance_from_now():
    low, high = interval("2025-12-22")
    middle = (low + high) // 2
    margin = (NOW - middle) // 10
    assert value("Observation", "date", "ap2025-12-22") == DateValue("ap", low - margin, high + margin)
    assert 0 < margin < DAY


def test_a_date_without_zone_lies_in_the_county_s_zone():
    assert (
        value("Patient", "birthdate", "1970-03-01", zone="Z").low - value("Patient", "birthdate", "1970-03-01").low == 8 * 3_600_000
    )


def test_our_own_address_in_a_reference_is_no_other_server():
    found = value("Observation", "subject", "https://hub.example/fhir/Patient/1", base="https://hub.example/fhir/")
    assert found == ReferenceValue("Patient", "1")


@pytest.mark.parametrize(
    ("resource_type", "name", "text", "expected"),
    [
        ("Patient", "name:exact", "张三", Criterion("name", "string", (StringValue("张三"),), "exact")),
        ("Patient", "name:contains", "三", Criterion("name", "string", (StringValue("三"),), "contains")),
        ("Observation", "status:not", "final", Criterion("status", "token", (TokenValue(None, "final"),), "not")),
        ("Patient", "gender:missing", "true", Criterion("gender", "token", (), "missing", True)),
        ("Patient", "birthdate:missing", "false", Criterion("birthdate", "date", (), "missing", False)),
        ("Observation", "subject:Group", "1", Criterion("subject", "reference", (ReferenceValue("Group", "1"),), "Group")),
    ],
)
def test_modifiers(resource_type, name, text, expected):
    assert criterion(resource_type, name, text) == expected


def test_parameters_of_the_result():
    found = query(
        "Observation",
        ("_sort", "-date,_id"),
        ("_count", "50"),
        ("_total", "accurate"),
        ("_include", "Observation:subject"),
        ("_include", "Observation:subject:Patient"),
        ("_revinclude", "Provenance:target"),
        ("_format", "json"),
        ("_pretty", "true"),
        ("_summary", "count"),
        ("_elements", "id"),
    )
    assert found.sort == (Sort("date", "date", True), Sort("_id", "token"))
    assert (found.count, found.total, found.criteria) == (50, "accurate", ())
    assert found.includes == (
        Include("Observation", "subject"),
        Include("Observation", "subject", "Patient"),
        Include("Provenance", "target", reverse=True),
    )


@pytest.mark.parametrize(("asked", "given"), [("0", 0), ("1", 1), ("1000", 1000), ("5000", MAX_COUNT)])
def test_a_page_has_at_most_a_thousand(asked, given):
    assert query("Patient", ("_count", asked)).count == given


def test_an_estimate_may_be_exact_and_a_count_of_none_asks_for_the_total():
    assert query("Patient", ("_total", "estimate")).total == "accurate"
    assert query("Patient", ("_total", "none")).total == query("Patient").total == "none"
    assert query("Patient", ("_count", "0")).total == "accurate"


@pytest.mark.parametrize(
    ("resource_type", "name", "text", "kind"),
    [
        ("Patient", "shoe-size", "42", Kind.INVALID),
        ("Patient", "code", "a", Kind.INVALID),  # of another type
        ("Patient", "_sort", "shoe-size", Kind.INVALID),
        ("Patient", "_has:Observation:subject:shoe-size", "a", Kind.INVALID),
        ("Observation", "subject.shoe-size", "a", Kind.INVALID),
        ("Observation", "subject:Patient.shoe-size", "a", Kind.INVALID),
        ("Observation", "code.text", "a", Kind.INVALID),  # no reference
        ("Patient", "_list", "$current-shoes", Kind.NOT_SUPPORTED),
        ("Patient", "_query", "a", Kind.NOT_SUPPORTED),
        ("Patient", "_contained", "both", Kind.NOT_SUPPORTED),
        ("Patient", "_sort", "_score", Kind.NOT_SUPPORTED),
        ("Observation", "_sort", "code-value-quantity", Kind.NOT_SUPPORTED),
    ],
)
def test_what_is_not_understood_is_refused_by_name_or_left_out_if_lenient(resource_type, name, text, kind):
    refused = refusal(resource_type, (name, text))
    assert refused.reason is kind
    assert any(part in refused.message for part in re.split(r"[.:]", name))
    parsed = parse_search(resource_type, [("_id", "1"), (name, text)], lenient=True, now=NOW)
    assert parsed.ignored == (name,)
    assert parsed.self_parameters == (("_id", "1"),)
    assert parsed.query == query(resource_type, ("_id", "1"))


@pytest.mark.parametrize(
    ("resource_type", "name", "text"),
    [
        ("Patient", "birthdate", "yesterday"),
        ("Patient", "birthdate", "xx1970"),
        ("Patient", "birthdate", "1970-02-30"),
        ("RiskAssessment", "probability", "many"),
        ("RiskAssessment", "probability", "1e999"),
        ("RiskAssessment", "probability", "NaN"),
        ("RiskAssessment", "probability", "1" * 65),
        ("Observation", "value-quantity", "5.4|mg"),
        ("Observation", "value-quantity", "||mg"),
        ("Observation", "code", "|"),
        ("Observation", "code", "a|b|c"),
        ("Observation", "code", "a,,b"),
        ("Observation", "code", ""),
        ("Patient", "_id", "s|1"),
        ("Observation", "subject", "Shoe/1"),
        ("Observation", "subject", "Patient/"),
        ("Observation", "subject", "Patient/1/x"),
        ("Observation", "subject:Patient", "Group/1"),
        ("Observation", "subject:Shoe", "1"),
        ("Observation", "subject:Medication", "1"),  # never a subject
        ("Observation", "code-value-quantity", "15074-8"),
        ("Observation", "code-value-quantity", "15074-8$"),
        ("Observation", "code-value-quantity", "15074-8$many"),
        ("Patient", "name:sounds", "a"),
        ("Patient", "birthdate:exact", "1970"),
        ("Patient", "gender:missing", "perhaps"),
        ("Observation", "code-value-quantity:missing", "true"),
        ("Patient", "_list", "$current-problems"),  # lists Conditions
        ("Patient", "_text", "(bone OR liver"),
        ("Patient", "_text", "bone)"),
        ("Patient", "_text", "bone AND OR liver"),
        ("Patient", "_content", 'a "phrase'),
        ("Patient", "_sort", ""),
        ("Patient", "_sort", "name,-"),
        ("Patient", "_sort:desc", "name"),
        ("Patient", "_summary:true", "true"),
        ("Patient", "_count", "-1"),
        ("Patient", "_count", "ten"),
        ("Patient", "_total", "roughly"),
        ("Observation", "_include", "subject"),
        ("Observation", "_include", "Patient:link"),
        ("Observation", "_include", "Observation:subject:Medication"),
        ("Observation", "_include", "Observation:subject:Shoe"),
        ("Patient", "_revinclude", "Observation:specimen"),
        ("Patient", "_revinclude", "Observation:subject:Group"),
        ("Shoe", "_id", "1"),
    ],
)
@pytest.mark.parametrize("lenient", [False, True])
def test_what_is_malformed_is_refused_lenient_or_not(resource_type, name, text, lenient):
    with pytest.raises(HubError) as refused:
        parse_search(resource_type, [(name, text)], now=NOW, lenient=lenient)
    assert refused.value.reason is Kind.INVALID


def test_a_message_never_repeats_a_value():
    for resource_type, name, text in (
        ("Patient", "birthdate", "欧阳"),
        ("Patient", "birthdate", "欧阳,1970"),
        ("Observation", "subject", "欧阳/1"),
        ("Patient", "gender:missing", "欧阳"),
    ):
        assert "欧阳" not in refusal(resource_type, (name, text)).message


def test_a_parameter_of_the_result_is_given_once():
    for name, first, second in (("_count", "1", "2"), ("_elements", "name", "gender"), ("_summary", "true", "false")):
        assert name in refusal("Patient", (name, first), (name, second)).message
    assert query("Patient", ("_format", "json"), ("_format", "json")) == query("Patient")


@pytest.mark.parametrize(
    "parameters",
    [[("_id", "1")] * 101, [("_id", ",".join(["1"] * 1001))], [("name", "x" * 70_000)]],
    ids=["parameters", "values", "length"],
)
def test_a_search_has_limits(parameters):
    assert refusal("Patient", *parameters).reason is Kind.TOO_COSTLY


def escape(text):
    for character in "\\,$|":
        text = text.replace(character, f"\\{character}")
    return text


@settings(deadline=None)
@given(st.lists(st.text(max_size=8), min_size=1, max_size=4))
def test_escaped_values_come_back_as_they_were(texts):
    assert [unescape(part) for part in split(",".join(map(escape, texts)), ",")] == texts


@settings(deadline=None)
@given(
    st.text(max_size=30),
    st.sampled_from(
        ["code", "date", "value-quantity", "subject", "code-value-quantity", "_profile", "_sort", "_include", "_count"]
    ),
)
def test_any_text_is_either_read_or_refused(text, name):
    with suppress(Invalid):
        assert parse_search("Observation", [(name, text)], now=NOW).query.type == "Observation"
