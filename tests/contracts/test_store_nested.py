"""What every store finds by conditions that nest: chains, reverse chains, and, or, not, to any depth; and what it includes."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.errors import HubError
from hub.fhir_json import load
from hub.search.match import Indexed, fulfils
from hub.search.query import (
    AllOf,
    AnyOf,
    Chain,
    Criterion,
    DateValue,
    Has,
    Include,
    NearValue,
    Not,
    ReferenceValue,
    SearchQuery,
    Sort,
    StringValue,
    TokenValue,
    UriValue,
)
from hub.store.port import EVERYTHING, Key, Scope
from tests.contracts.conftest import START
from tests.contracts.resources import LOINC, every_id, observation, patient, reference, save, token

CODES = ("718-7", "2160-0", "4548-4")
NAMES = ("王小明", "李雷", "Smith")


def name(text):
    return Criterion("name", "string", (StringValue(text),))


def subject(condition):
    return Chain("subject", "Patient", condition)


def performed(condition):
    return Chain("performer", "Practitioner", condition)


# -- a small hospital: practitioners work for organizations, treat patients, perform observations of them


def _hospital(dice):
    for number, called in enumerate(("县医院", "卫生院")):
        yield f"org{number}", {"resourceType": "Organization", "name": called}
    for number in range(4):
        named = [{"text": dice.choice(NAMES)}]
        yield f"dr{number}", {"resourceType": "Practitioner", "name": named}
    for number in range(12):
        doctor = {"reference": f"Practitioner/dr{dice.randrange(5)}"}  # dr4 is nowhere
        home = {"reference": f"Organization/org{dice.randrange(2)}"}
        more = {"gender": dice.choice(("male", "female")), "generalPractitioner": [doctor], "managingOrganization": home}
        yield f"p{number}", patient(number, name=[{"text": dice.choice(NAMES)}], **more)
    for number in range(60):
        by = [{"reference": f"{dice.choice(('Practitioner/dr', 'Organization/org'))}{dice.randrange(4)}"} for _ in range(2)]
        member = [{"reference": f"Observation/o{dice.randrange(60)}"}] if dice.random() < 0.3 else []
        extra = {"performer": by, **({"hasMember": member} if member else {})}
        yield f"o{number}", observation(dice.choice(CODES), subject=f"p{dice.randrange(13)}", **extra)


class World(dict):
    """Key → Indexed; what the stores' answers are compared with."""

    def get(self, type, id):
        return super().get(Key(type, id))

    def referring(self, type, code, to):
        for key, one in self.items():
            if key.type == type and any(value[:2] == (to.type, to.id) for value in one.values(code)):
                yield one

    def __repr__(self):
        return f"<{len(self)} resources>"


@pytest.fixture(scope="module")
def world(shared_store):
    made = []

    def fill(t):
        for id, resource in _hospital(random.Random(3)):
            made.append(Key(resource["resourceType"], id))
            t.save(resource, id=id, facility="A" if len(made) % 2 else "B")
        t.delete(Key("Practitioner", "dr3"))
        t.delete(Key("Patient", "p11"))

    shared_store.write(fill).result(60)
    versions = shared_store.read_many(made)
    return World({Key(v.type, v.id): Indexed.of(load(v.body), v.id, v.updated) for v in versions})


def expected(world, kind, condition):
    return {key.id for key, one in world.items() if key.type == kind and fulfils(one, condition, world)}


codes = st.sampled_from(CODES).map(lambda code: token("code", code, LOINC))
several = st.lists(st.sampled_from(CODES), min_size=2, max_size=3).map(
    lambda found: Criterion("code", "token", tuple(TokenValue(LOINC if n else None, code) for n, code in enumerate(found)))
)
genders = st.sampled_from(["male", "female", "other"]).map(lambda code: token("gender", code))
called = st.sampled_from(["王", "李雷", "smi", "x"]).map(name)
ids = st.sampled_from(["p1", "p11", "dr0", "dr3", "o7", "org1", "none"]).map(lambda id: token("_id", id))


def nested(*simple):
    def more(inner):
        lists = st.lists(inner, max_size=3).map(tuple)
        return st.one_of(lists.map(AllOf), lists.map(AnyOf), inner.map(Not))

    return st.recursive(st.one_of(*simple, ids), more, max_leaves=4)


organizations = nested(st.just(name("县")), st.just(Not(name("卫生院"))))
practitioners = nested(called, st.deferred(lambda: patients.map(lambda c: Has("Patient", "general-practitioner", c))))
patients = nested(
    called,
    genders,
    st.just(Criterion("name", "string", (), "missing", True)),
    st.deferred(lambda: practitioners.map(lambda c: Chain("general-practitioner", "Practitioner", c))),
    organizations.map(lambda c: Chain("organization", "Organization", c)),
    st.deferred(lambda: observations.map(lambda c: Has("Observation", "subject", c))),
)
observations = nested(
    codes,
    several,
    patients.map(subject),
    practitioners.map(performed),
    st.deferred(lambda: observations.map(lambda c: Chain("has-member", "Observation", c))),
    st.deferred(lambda: observations.map(lambda c: Has("Observation", "has-member", c))),
)
ASKED = st.one_of(
    st.tuples(st.just("Observation"), observations),
    st.tuples(st.just("Patient"), patients),
    st.tuples(st.just("Practitioner"), practitioners),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=ASKED, sort=st.sampled_from([(), (Sort("_lastUpdated", "date"),)]), count=st.sampled_from([2, 200]))
def test_any_nest_of_conditions_finds_what_looking_at_every_resource_finds(shared_store, world, asked, sort, count):
    kind, condition = asked
    query = SearchQuery(kind, (condition,), sort, count, total="accurate")
    found = every_id(shared_store, query)
    assert len(found) == len(set(found)) == shared_store.search(query, EVERYTHING).total
    assert set(found) == expected(world, kind, condition)


def test_a_chain_a_reverse_chain_and_both_mixed(shared_store, world):
    by_doctor = Chain("general-practitioner", "Practitioner", token("_id", "dr0"))
    of_doctor = {key.id for key, one in world.items() if one.resource.get("generalPractitioner") == [
        {"reference": "Practitioner/dr0"}
    ]}  # fmt: skip
    assert of_doctor
    assert set(every_id(shared_store, SearchQuery("Patient", (by_doctor,)))) == of_doctor
    results = set(every_id(shared_store, SearchQuery("Observation", (subject(by_doctor),))))
    assert results == {
        key.id for key, one in world.items()
        if key.type == "Observation" and one.resource["subject"]["reference"].removeprefix("Patient/") in of_doctor
    }  # fmt: skip
    doctors = Has("Patient", "general-practitioner", Has("Observation", "subject", token("code", "718-7")))
    assert set(every_id(shared_store, SearchQuery("Practitioner", (doctors,)))) == expected(world, "Practitioner", doctors)
    assert every_id(shared_store, SearchQuery("Patient", (AnyOf(()),))) == []
    assert len(every_id(shared_store, SearchQuery("Patient", (AllOf(()), Not(AnyOf(())))))) == 11
    nowhere = Chain("performer", "Device", token("_id", "x"))
    assert every_id(shared_store, SearchQuery("Observation", (nowhere,))) == []
    assert len(every_id(shared_store, SearchQuery("Observation", (Not(nowhere),)))) == 60


def test_every_hop_is_narrowed_by_what_the_reader_may_see(store):
    def fill(t):
        t.save(patient(1, name=[{"text": "王小明"}]), id="theirs", facility="B")
        t.save(patient(2, name=[{"text": "王小明"}], gender="male"), id="mine", facility="A")
        for whose in ("theirs", "mine"):
            for facility in "AB":
                t.save(observation(subject=whose), id=f"{whose}-{facility}", facility=facility)

    store.write(fill).result(30)
    a = Scope(facility="A", types=None)
    asked = SearchQuery("Observation", (subject(name("王")),), total="accurate")
    assert sorted(every_id(store, asked)) == ["mine-A", "mine-B", "theirs-A", "theirs-B"]
    assert every_id(store, asked, a) == ["mine-A"]
    assert store.search(asked, a).total == 1
    assert every_id(store, SearchQuery("Observation", (Not(subject(name("王"))),)), a) == ["theirs-A"]
    backwards = SearchQuery("Patient", (Has("Observation", "subject", token("_id", "mine-B")),))
    assert (every_id(store, backwards), every_id(store, backwards, a)) == (["mine"], [])
    twice = SearchQuery("Observation", (subject(Has("Observation", "subject", token("_id", "mine-B"))),))
    assert (sorted(every_id(store, twice)), every_id(store, twice, a)) == (["mine-A", "mine-B"], [])
    no_patients = replace(a, types=frozenset({"Observation"}))
    assert every_id(store, asked, no_patients) == []


def test_a_hidden_resource_is_not_met_on_a_hop_either(store):
    hidden = {"meta": {"tag": [{"system": "urn:t", "code": "hide"}]}}
    store.write(
        lambda t: (
            t.save({**patient(1, name=[{"text": "王"}]), **hidden}, id="h"),
            t.save(patient(2, name=[{"text": "王"}]), id="s"),
            t.save(observation(subject="h"), id="oh"),
            t.save(observation(subject="s"), id="os"),
        )
    ).result(30)
    asked = SearchQuery("Observation", (subject(name("王")),), hidden_tags=(("urn:t", "hide"),))
    assert every_id(store, asked) == ["os"]
    assert sorted(every_id(store, replace(asked, hidden_tags=()))) == ["oh", "os"]


def test_a_nest_too_deep_is_refused(store):
    save(store, observation(), "o1")
    deep = token("code", "718-7")
    for _ in range(100):
        deep = Not(deep)
    with pytest.raises(HubError):
        store.search(SearchQuery("Observation", (deep,)), EVERYTHING)


def test_a_value_set_of_ten_thousand_codes_is_one_criterion(shared_store, world):
    others = (TokenValue(LOINC, f"c{n}") for n in range(9_998))
    values = (*others, TokenValue(LOINC, "718-7"), TokenValue(None, "2160-0"))
    asked = Criterion("code", "token", values)
    wanted = {
        key.id for key, one in world.items() if key.type == "Observation" and not fulfils(one, token("code", "4548-4"), world)
    }
    assert set(every_id(shared_store, SearchQuery("Observation", (asked,), count=200))) == wanted
    narrowed = SearchQuery("Observation", (asked, reference("subject", "Patient", "p1")))
    assert set(every_id(shared_store, narrowed)) == wanted & expected(world, "Observation", reference("subject", "Patient", "p1"))
    others = SearchQuery("Observation", (replace(asked, modifier="not"),))
    assert set(every_id(shared_store, others)) == expected(world, "Observation", token("code", "4548-4"))
    chained = SearchQuery("Patient", (Has("Observation", "subject", asked),))
    assert set(every_id(shared_store, chained)) == expected(world, "Patient", Has("Observation", "subject", asked))


HOUR = 3_600_000
MAY_FIRST = 1_714_521_600_000  # 2024-05-01T00:00Z; every Observation is of that hour
WIDE = {
    "instants": Criterion(
        "date", "date", tuple(DateValue("eq", MAY_FIRST + n * HOUR, MAY_FIRST + n * HOUR + 1000) for n in range(999))
    ),
    "updates": Criterion("_lastUpdated", "date", tuple(DateValue("ge", START + n, START + n + 1) for n in range(999))),
    "systems": Criterion("code", "token", tuple(TokenValue(f"urn:{n}" if n else LOINC, None) for n in range(999))),
    "ids": Criterion("_id", "token", tuple(TokenValue(None, f"o{n}") for n in range(999))),
    "references": Criterion("subject", "reference", tuple(ReferenceValue("Patient" if n % 2 else "", f"p{n}") for n in range(999))),
    "either": AnyOf(tuple(token("_id", f"o{n}") for n in range(500))),
    "all": AllOf(tuple(Not(token("_id", f"x{n}")) for n in range(500))),
}


@pytest.mark.parametrize("what", WIDE)
def test_a_thousand_alternatives_are_asked_like_two(shared_store, world, what):
    found = every_id(shared_store, SearchQuery("Observation", (WIDE[what],), count=200))
    assert sorted(found) == sorted(expected(world, "Observation", WIDE[what]))
    assert len(found) == 60


# -- distance and URLs


def test_near_is_a_distance_on_the_globe(store):
    places = {"here": (30.0, 120.0), "far": (31.0, 120.0), "west": (0.0, -179.99), "east": (0.0, 179.99), "pole": (89.99, 0.0)}

    def fill(t):
        for id, (latitude, longitude) in places.items():
            t.save({"resourceType": "Location", "position": {"latitude": latitude, "longitude": longitude}}, id=id)
        t.save({"resourceType": "Location", "name": "nowhere"}, id="nowhere")

    store.write(fill).result(30)
    for latitude, longitude, metres, found in (
        (30.001, 120.0, 200, {"here"}),
        (30.001, 120.0, 100, set()),
        (30.5, 120.0, 60_000, {"here", "far"}),
        (0.0, 180.0, 5_000, {"west", "east"}),
        (89.99, 180.0, 3_000, {"pole"}),
        (0.0, 0.0, 21_000_000, set(places)),
    ):
        asked = Criterion("near", "special", (NearValue(latitude, longitude, metres),))
        assert set(every_id(store, SearchQuery("Location", (asked,)))) == found, (latitude, longitude, metres)


@pytest.mark.parametrize(
    ("modifier", "asked", "found"),
    [
        ("", "http://a.cn/fhir/lab", {"lab"}),
        ("below", "http://a.cn/fhir", {"fhir", "lab", "slash"}),
        ("below", "http://a.cn/fhir/", {"lab", "slash"}),
        ("above", "http://a.cn/fhir/lab/x", {"fhir", "lab", "slash", "root"}),
        ("above", "http://a.cn/fhirx", {"x", "root"}),
        ("above", "urn:oid:1.2", set()),
    ],
)
def test_urls_above_and_below_by_segments(store, modifier, asked, found):
    urls = {"root": "http://a.cn", "fhir": "http://a.cn/fhir", "slash": "http://a.cn/fhir/", "lab": "http://a.cn/fhir/lab"}
    urls |= {"x": "http://a.cn/fhirx", "oid": "urn:oid:1"}

    def fill(t):
        for id, url in urls.items():
            t.save({"resourceType": "ValueSet", "status": "active", "url": url}, id=id)

    store.write(fill).result(30)
    assert set(every_id(store, SearchQuery("ValueSet", (Criterion("url", "uri", (UriValue(asked),), modifier),)))) == found


# -- includes


@pytest.fixture
def family(store):
    """o → p → dr → org, a panel of two, and a circle of two Locations."""

    def fill(t):
        t.save({"resourceType": "Organization", "name": "县医院"}, id="org")
        t.save({"resourceType": "Practitioner"}, id="dr")
        t.save({"resourceType": "Practitioner"}, id="gone")
        t.delete(Key("Practitioner", "gone"))
        doctors = [{"reference": f"Practitioner/{id}"} for id in ("dr", "gone", "never")]
        t.save(patient(1, generalPractitioner=doctors, managingOrganization={"reference": "Organization/org"}), id="p")
        t.save(observation(subject="p"), id="o")
        t.save(observation(subject="p", hasMember=[{"reference": "Observation/o"}]), id="panel")
        t.save(observation(subject="p", hasMember=[{"reference": "Observation/panel"}]), id="panels")
        t.save({"resourceType": "Location", "partOf": {"reference": "Location/b"}}, id="a")
        t.save({"resourceType": "Location", "partOf": {"reference": "Location/a"}}, id="b")

    store.write(fill).result(30)
    return store


@pytest.mark.parametrize(
    ("kind", "id", "includes", "found"),
    [
        ("Observation", "o", [Include("Observation", "subject")], {"p"}),
        ("Observation", "o", [Include("Observation", "*")], {"p"}),
        ("Observation", "panel", [Include("*", "*")], {"p", "o"}),
        ("Observation", "panel", [Include("Observation", "*", "Patient")], {"p"}),
        ("Observation", "o", [Include("Patient", "general-practitioner")], set()),
        ("Observation", "o", [Include("Observation", "subject"), Include("Patient", "general-practitioner")], {"p"}),
        (
            "Observation",
            "o",
            [Include("Observation", "subject"), Include("Patient", "general-practitioner", iterate=True)],
            {"p", "dr"},
        ),
        ("Observation", "o", [Include("*", "*", iterate=True)], {"p", "dr", "org"}),
        ("Observation", "panels", [Include("Observation", "has-member", iterate=True)], {"panel", "o"}),
        ("Observation", "panels", [Include("Observation", "has-member")], {"panel"}),
        ("Location", "a", [Include("Location", "partof", iterate=True)], {"b"}),
        ("Observation", "o", [Include("Observation", "has-member", reverse=True)], {"panel"}),
        ("Observation", "o", [Include("Observation", "has-member", reverse=True, iterate=True)], {"panel", "panels"}),
        ("Patient", "p", [Include("*", "*", reverse=True)], {"o", "panel", "panels"}),
        ("Patient", "p", [Include("Observation", "*", reverse=True)], {"o", "panel", "panels"}),
        ("Organization", "org", [Include("*", "*", reverse=True, iterate=True)], {"p", "o", "panel", "panels"}),
        ("Organization", "org", [Include("Patient", "organization", "Group", reverse=True)], set()),
        (
            "Practitioner",
            "dr",
            [Include("Patient", "general-practitioner", reverse=True), Include("Patient", "organization", iterate=True)],
            {"p", "org"},
        ),
    ],
)
def test_includes_forwards_backwards_of_any_type_and_again_from_what_was_found(family, kind, id, includes, found):
    page = family.search(SearchQuery(kind, (token("_id", id),), includes=tuple(includes)), EVERYTHING)
    assert {version.id for version in page.included} == found
    assert len(page.included) == len(found)
    assert not page.truncated_includes


def test_an_iteration_goes_no_further_than_the_reader_may_see(family):
    save(family, patient(2, managingOrganization={"reference": "Organization/org"}), "p2", facility="B")
    save(family, observation(subject="p2"), "o2", facility="A")
    a = Scope(facility="A", types=None, shared_types=frozenset({"Organization"}))
    asked = SearchQuery("Observation", (token("_id", "o2"),), includes=(Include("*", "*", iterate=True),))
    assert {v.id for v in family.search(asked, EVERYTHING).included} == {"p2", "org"}
    assert family.search(asked, a).included == ()
