"""What every store answers to a search: the same as looking at every resource, in the same order, page by page."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.errors import HubError
from hub.fhir_json import load
from hub.search.dates import interval
from hub.search.numbers import number_range
from hub.search.query import (
    CompositeValue,
    Criterion,
    DateValue,
    NumberValue,
    QuantityValue,
    ReferenceValue,
    SearchQuery,
    Sort,
    StringValue,
    TokenValue,
    UriValue,
)
from hub.store.port import EVERYTHING, Key
from tests.contracts.model import Kept, Library, expected
from tests.contracts.resources import LOINC, delete, every_id, ids, observation, save

CODES = ("718-7", "2160-0", "4548-4", "hb")
SYSTEMS = (LOINC, "urn:hub:CTY:item", "")
UNITS = ("g/dL", "mg/L")
NUMBERS = ("5", "5.4", "5.40", "5.35", "100", "99.6", "0", "-3.1")
DAYS = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=7 * n) for n in range(12)]
DATES = ["2024", "2024-01", *(day.strftime("%Y-%m-%d") for day in DAYS), *(day.isoformat() for day in DAYS)]
NAMES = ("王小明", "欧阳锋", "Müller", "muller", "Smith-Jones", "曾乐")
URLS = ("http://a.cn/fhir", "http://a.cn/fhir/lab", "http://a.cn/fhirx", "urn:oid:1.2.3")
PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
SIZE = 150


def _coding(dice: random.Random) -> dict[str, str]:
    system = dice.choice(SYSTEMS)
    return {**({"system": system} if system else {}), "code": dice.choice(CODES)}


def _effective(dice: random.Random) -> dict[str, object]:
    first, second = sorted(dice.sample(DAYS, 2))
    period = {"start": first.isoformat(), "end": second.isoformat()}
    shapes: list[dict[str, object]] = [
        {},
        {"effectiveDateTime": dice.choice(DATES)},
        {"effectivePeriod": period},
        {"effectivePeriod": {"start": period["start"]}},
        {"effectivePeriod": {"end": period["end"]}},
    ]
    return dice.choice(shapes)


def _observation(dice: random.Random) -> dict[str, object]:
    quantity = {"value": Decimal(dice.choice(NUMBERS)), "unit": dice.choice(UNITS), "system": "http://unitsofmeasure.org"}
    quantity["code"] = quantity["unit"]
    return {
        "resourceType": "Observation",
        "meta": {"profile": [dice.choice(URLS)]},
        "status": dice.choice(("final", "amended")),
        "code": {"coding": [_coding(dice) for _ in range(dice.choice((1, 1, 2)))]},
        **({"subject": {"reference": f"Patient/p{dice.randrange(3)}"}} if dice.random() < 0.9 else {}),
        **_effective(dice),
        **({"valueQuantity": quantity} if dice.random() < 0.8 else {}),
    }


def _patient(dice: random.Random) -> dict[str, object]:
    names = [{"text": dice.choice(NAMES)} for _ in range(dice.randrange(3))]
    births = {"birthDate": dice.choice(("1970", "1970-03", "1970-03-05", "2001-12-31"))} if dice.random() < 0.8 else {}
    return {"resourceType": "Patient", "name": names, "gender": dice.choice(("male", "female")), **births}


def _risk(dice: random.Random) -> dict[str, object]:
    prediction: list[object] = [{"probabilityDecimal": Decimal(dice.choice(NUMBERS))} for _ in range(dice.randrange(3))]
    low, high = sorted(Decimal(dice.choice(NUMBERS)) for _ in range(2))
    if dice.random() < 0.4:
        prediction.append({"probabilityRange": {"low": {"value": low}, "high": {"value": high}}})
    return {"resourceType": "RiskAssessment", "status": "final", "subject": {"reference": "Patient/p0"}, "prediction": prediction}


@pytest.fixture(scope="module")
def kept(shared_store):
    """A few hundred resources, some of them updated and deleted since."""
    make = [*[_observation] * 4, _patient, _risk]
    made = []

    def fill(transaction):
        dice = random.Random(7)
        made.clear()  # a store may run it again
        for order in range(SIZE):
            saved = transaction.save(dice.choice(make)(dice), id=f"r{order * 7919 % 1000:03d}")
            made.append((order, Key(saved.version.type, saved.version.id)))
        for order, key in dice.sample(made, 30):
            again = {"Observation": _observation, "Patient": _patient, "RiskAssessment": _risk}[key.type](dice)
            transaction.save(again, id=key.id) if order % 3 else transaction.delete(key)

    shared_store.write(fill).result(60)
    current = {Key(v.type, v.id): v for v in shared_store.read_many(key for _, key in made)}
    return Library(Kept(order, current[key], load(current[key].body)) for order, key in made if key in current)


dates = st.builds(lambda prefix, text: DateValue(prefix, *interval(text)), st.sampled_from(PREFIXES), st.sampled_from(DATES))
tokens = st.builds(TokenValue, st.sampled_from([None, "", *SYSTEMS]), st.sampled_from(CODES)) | st.builds(
    TokenValue, st.sampled_from(SYSTEMS), st.none()
)
numbers = st.builds(
    lambda prefix, text: NumberValue(prefix, float(text), *number_range(Decimal(text))),
    st.sampled_from(PREFIXES),
    st.sampled_from(NUMBERS),
)
quantities = st.builds(
    QuantityValue, numbers, st.sampled_from([None, "http://unitsofmeasure.org", "urn:other"]), st.sampled_from([None, *UNITS])
)
references = st.builds(ReferenceValue, st.sampled_from(["", "Patient", "Group"]), st.sampled_from(["p0", "p1", "p9"]))
texts = st.builds(StringValue, st.sampled_from([*NAMES, "王", "小明", "mul", "MULLER", "zengle", "zy", "ouyang", "x", "Smith"]))
uris = st.builds(UriValue, st.sampled_from([*URLS, "http://a.cn", "http://a.cn/fhir/lab/x"]))
composites = st.builds(lambda code, value: CompositeValue((code, value)), tokens, quantities)
updates = st.builds(
    lambda prefix, low, length: DateValue(prefix, low, low + length),
    st.sampled_from(PREFIXES),
    st.integers(1_699_999_990_000, 1_700_000_200_000),
    st.sampled_from([1, 1000, 60_000]),
)
some_ids = st.builds(lambda n: TokenValue(None, f"r{n:03d}"), st.integers(0, 999))


def criterion(code, kind, values, *modifiers):
    asked = st.builds(
        lambda chosen, modifier: Criterion(code, kind, tuple(chosen), modifier),
        st.lists(values, min_size=1, max_size=3),
        st.sampled_from(["", *modifiers]),
    )
    return asked | st.builds(lambda missing: Criterion(code, kind, (), "missing", missing), st.booleans())


def without_missing(code, kind, values):
    return st.builds(lambda chosen: Criterion(code, kind, tuple(chosen)), st.lists(values, min_size=1, max_size=3))


OBSERVATIONS = st.one_of(
    criterion("code", "token", tokens, "not"),
    criterion("status", "token", st.builds(TokenValue, st.none(), st.sampled_from(["final", "amended", "x"])), "not"),
    criterion("subject", "reference", references),
    criterion("date", "date", dates),
    criterion("value-quantity", "quantity", quantities),
    criterion("_profile", "uri", uris, "below", "above"),
    criterion("method", "token", tokens, "not"),
    without_missing("code-value-quantity", "composite", composites),
    without_missing("_lastUpdated", "date", updates),
    without_missing("_id", "token", some_ids),
)
PATIENTS = st.one_of(
    criterion("name", "string", texts, "exact", "contains"),
    criterion("gender", "token", st.builds(TokenValue, st.none(), st.sampled_from(["male", "female"])), "not"),
    criterion("birthdate", "date", dates | st.builds(lambda p: DateValue(p, *interval("1970-03")), st.sampled_from(PREFIXES))),
)
RISKS = criterion("probability", "number", numbers)


def sorts(*of):
    choice = st.sampled_from([("_id", "token"), ("_lastUpdated", "date"), *of])
    one = st.builds(lambda what, descending: Sort(*what, descending), choice, st.booleans())
    return st.lists(one, max_size=3, unique_by=lambda sort: sort.code).map(tuple)


def queries(kind, criteria, *sortable):
    return st.builds(
        lambda chosen, sort, count: SearchQuery(kind, tuple(chosen), sort, count, total="accurate"),
        st.lists(criteria, max_size=3),
        sorts(*sortable),
        st.sampled_from([1, 3, 20, 500]),
    )


ALL_QUERIES = st.one_of(
    queries(
        "Observation",
        OBSERVATIONS,
        *(("date", "date"), ("code", "token"), ("subject", "reference"), ("value-quantity", "quantity"), ("_profile", "uri")),
    ),
    queries("Patient", PATIENTS, ("name", "string"), ("birthdate", "date")),
    queries("RiskAssessment", RISKS, ("probability", "number")),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=ALL_QUERIES)
def test_a_search_finds_what_looking_at_every_resource_finds_in_the_order_promised(shared_store, kept, query):
    first = shared_store.search(query, EVERYTHING)
    wanted = expected(kept, query)
    assert first.total == len(wanted)
    assert every_id(shared_store, query) == wanted


def test_an_unknown_modifier_is_refused_and_not_ignored(shared_store):
    for asked in (
        Criterion("name", "string", (StringValue("x"),), "text"),
        Criterion("name", "string", (StringValue("x"),), "not-in"),
    ):
        with pytest.raises(HubError):
            shared_store.search(SearchQuery("Patient", (asked,)), EVERYTHING)


def test_a_position_of_another_search_is_refused(store):
    for number in range(3):
        save(store, observation(), f"o{number}")
    page = store.search(SearchQuery("Observation", count=1), EVERYTHING)
    for after in (page.next, "nonsense", "e30="):
        with pytest.raises(HubError):
            store.search(SearchQuery("Observation", sort=(Sort("date", "date"),), after=after), EVERYTHING)


SORTS = st.sampled_from(
    [
        (),
        (Sort("date", "date"),),
        (Sort("date", "date", True), Sort("code", "token")),
        (Sort("_id", "token"),),
        (Sort("code", "token"),),
    ]
)
ACTS = st.lists(st.tuples(st.sampled_from(["create", "update", "delete"]), st.integers(0, 19)), max_size=4)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), sort=SORTS, asked=st.booleans(), count=st.integers(1, 6))
def test_walking_pages_while_others_write_loses_no_untouched_row_and_repeats_none(store, data, sort, asked, count):
    def fill(transaction):
        for number in range(20):
            when = DAYS[number * 7 % 5].isoformat()
            transaction.save({**observation(CODES[number % 2], when=when), "issued": when}, id=f"o{number}")

    store.write(fill).result(30)
    untouched, found, fresh = {f"o{number}" for number in range(20)}, [], 0
    criteria = (Criterion("code", "token", (TokenValue(LOINC, CODES[0]), TokenValue(LOINC, CODES[1]))),) if asked else ()
    query = SearchQuery("Observation", criteria, sort, count)
    while True:
        page = store.search(query, EVERYTHING)
        found += ids(page)
        if page.next is None:
            break
        query = replace(query, after=page.next)
        for act, number in data.draw(ACTS):
            fresh += 1
            name = f"o{number}" if act != "create" else f"n{fresh}"
            untouched.discard(name)
            if act == "delete":
                delete(store, "Observation", name)
            else:
                save(store, observation(CODES[fresh % 2], when=DAYS[fresh % 12].isoformat(), note=[{"text": str(fresh)}]), name)
    kept = [name for name in found if name in untouched]
    assert sorted(kept) == sorted(untouched)
    if not sort:
        assert len(found) == len(set(found)), "in the default order even a touched row comes once"
