"""What every store shows to whom, beside the matches and in totals too."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from hub.search.query import Include, SearchQuery, Sort
from hub.store.compartments import opens, restricted_compartment
from hub.store.port import EVERYTHING, Key, Scope
from profiles.names import GOLDEN, HUB_TAG
from tests.contracts.resources import every_id, ids, observation, patient, reference, save, token

NOW = 1000
A = Scope(facility="A", types=None, shared_types=frozenset({"Organization"}), now=NOW)


@pytest.fixture
def county(store):
    """p1 of A; p2 and p3 of B, p2 the same person as p1's friend p4 of C, whom A treats; p3 was treated until now."""

    def fill(t):
        for name, facility in (("p1", "A"), ("p2", "B"), ("p3", "B"), ("p4", "C")):
            t.save(patient(int(name[1])), id=name, facility=facility)
            t.save(observation(subject=name), id=f"o-{name}", facility=facility)
        t.save({"resourceType": "Organization", "name": "县医院"}, id="org", facility="B")
        t.save({"resourceType": "Medication", "status": "active"}, id="med", facility="B")
        golden = {**patient(9), "meta": {"tag": [{"system": HUB_TAG, "code": GOLDEN}]}}
        t.save({**golden, "link": [{"other": {"reference": "Patient/p2"}, "type": "seealso"}]}, id="g")
        t.assign_person("p2", "g")
        t.assign_person("p4", "g")
        t.relate(Key("Encounter", "e"), [("A", "p4", NOW + 1), ("A", "p3", NOW)])

    store.write(fill).result(30)
    return store


def test_the_default_scope_sees_nothing(county):
    page = county.search(SearchQuery("Observation", total="accurate"), Scope())
    assert (page.matches, page.total) == ((), 0)
    assert not county.visible([county.read(Key("Observation", "o-p1"))], Scope())


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("Observation", {"o-p1", "o-p2", "o-p4"}),
        ("Patient", {"p1", "p2", "p4", "g"}),
        ("Organization", {"org"}),
        ("Medication", set()),
    ],
)
def test_a_facility_sees_its_own_the_shared_and_whom_it_treats(county, kind, seen):
    query = SearchQuery(kind, total="accurate")
    assert set(every_id(county, query, A)) == seen
    assert county.search(query, A).total == len(seen)
    everyone = county.search(query, EVERYTHING).matches
    assert {v.id for v in county.visible(everyone, A)} == seen, "the second check says the same"


def test_types_narrow_whatever_else_is_allowed(county):
    only = replace(A, types=frozenset({"Patient"}))
    assert every_id(county, SearchQuery("Observation"), only) == []
    assert not county.visible([county.read(Key("Observation", "o-p1"))], only)
    assert county.visible([county.read(Key("Patient", "p1"))], only)


def test_criteria_sorting_paging_and_totals_stay_within_the_scope(county):
    criteria = [
        (),
        (token("code", "718-7"),),
        (token("status", "final", modifier="not"),),
        (reference("subject", "Patient", "p3"),),
    ]
    sorts = [(), (Sort("date", "date"),), (Sort("code", "token", True),), (Sort("_lastUpdated", "date"),)]
    for asked, sort in product(criteria, sorts):
        query = SearchQuery("Observation", asked, sort, count=1, total="accurate")
        seen = set(every_id(county, query, EVERYTHING)) & {"o-p1", "o-p2", "o-p4"}
        assert set(every_id(county, query, A)) == seen
        assert county.search(query, A).total == len(seen)


def test_included_resources_are_seen_only_if_they_may_be_seen_by_themselves(county):
    save(county, observation(subject="p3"), "mine-of-p3", facility="A")
    query = SearchQuery("Observation", includes=(Include("Observation", "subject"),))
    page = county.search(query, A)
    assert set(ids(page)) == {"o-p1", "o-p2", "o-p4", "mine-of-p3"}
    assert {v.id for v in page.included} == {"p1", "p2", "p4"}
    assert {v.id for v in county.search(query, EVERYTHING).included} == {"p1", "p2", "p3", "p4"}
    back = SearchQuery("Patient", includes=(Include("Observation", "subject", reverse=True),))
    assert {v.id for v in county.search(back, A).included} == {"o-p1", "o-p2", "o-p4"}
    narrow = replace(A, types=frozenset({"Observation"}))
    assert county.search(query, narrow).included == ()


def test_includes_follow_their_target_type_and_never_repeat_a_match(county):
    to_group = SearchQuery("Observation", includes=(Include("Observation", "subject", "Group"),))
    assert county.search(to_group, EVERYTHING).included == ()
    twice = (Include("Observation", "subject"), Include("Observation", "patient", "Patient"), Include("Observation", "*"))
    page = county.search(SearchQuery("Observation", includes=twice), EVERYTHING)
    assert sorted(v.id for v in page.included) == ["p1", "p2", "p3", "p4"]
    linked = SearchQuery("Patient", includes=(Include("Patient", "link"),))
    assert county.search(linked, EVERYTHING).included == ()


def test_resources_with_a_hidden_tag_are_left_out_of_matches_totals_and_includes(county):
    hidden = ((HUB_TAG, GOLDEN),)
    query = SearchQuery("Patient", total="accurate", hidden_tags=hidden)
    assert every_id(county, query) == ["p4", "p3", "p2", "p1"]
    assert county.search(query, EVERYTHING).total == 4
    back = SearchQuery("Patient", (token("_id", "p2"),), includes=(Include("Patient", "link", reverse=True),))
    assert [v.id for v in county.search(back, EVERYTHING).included] == ["g"]
    assert county.search(replace(back, hidden_tags=hidden), EVERYTHING).included == ()


def test_more_than_the_cap_of_included_resources_is_said(store):
    def fill(t):
        t.save(patient(), id="p1")
        for number in range(1001):
            t.save({"resourceType": "Flag", "status": "active", "subject": {"reference": "Patient/p1"}}, id=f"f{number}")

    store.write(fill).result(60)
    page = store.search(SearchQuery("Patient", includes=(Include("Flag", "subject", reverse=True),)), EVERYTHING)
    assert (len(page.included), page.truncated_includes) == (1000, True)


def test_a_total_is_given_when_asked_for_or_when_all_matches_are_here(county):
    query = SearchQuery("Patient", count=2)
    first = county.search(query, EVERYTHING)
    assert first.total is None
    assert county.search(replace(query, total="accurate"), EVERYTHING).total == 5
    assert county.search(replace(query, count=5), EVERYTHING).total == 5
    assert county.search(replace(query, count=5, after=first.next), EVERYTHING).total is None
    counted = county.search(replace(query, count=0, total="accurate"), EVERYTHING)
    assert (counted.matches, counted.next, counted.total) == ((), None, 5)


PARTIES = ("A", "+A", "-A", "-*", "glass:1")
HOLDER = replace(A, holder="glass:1")


def test_relations_permissions_and_denials_decide_together(store):
    """Every set of parties that have a relation with a person, by search and by the second check: as `opens` says."""
    sets = [{party for party, held in zip(PARTIES, flags, strict=True) if held} for flags in product((False, True), repeat=5)]

    def fill(t):
        for number, parties in enumerate(sets):
            t.save(patient(number), id=f"p{number}", facility="B")
            t.save(observation(subject=f"p{number}"), id=f"o{number}", facility="B")
            if number % 2:  # what is said of another Patient of the same person counts alike
                t.assign_person(f"p{number}", f"g{number}")
                t.assign_person(f"q{number}", f"g{number}")
            related = f"{'q' if number % 2 else 'p'}{number}"
            t.relate(Key("Consent", f"c{number}"), [(party, related, NOW + 1) for party in parties])
            t.relate(Key("Consent", f"d{number}"), [("+A", f"p{number}", NOW), ("-*", f"p{number}", NOW)])

    store.write(fill).result(30)
    everyone = store.search(SearchQuery("Observation", count=100), EVERYTHING).matches
    for scope in (A, HOLDER):
        seen = {f"o{number}" for number, parties in enumerate(sets) if opens(parties, scope)}
        assert set(every_id(store, SearchQuery("Observation"), scope)) == seen
        assert {version.id for version in store.visible(everyone, scope)} == seen
        assert {v.id for v in store.changes(scope, type="Observation", count=100).versions} == seen
    assert opens({"A"}, A)
    assert not opens({"A", "-*"}, A)
    assert opens({"A", "-*", "+A"}, A)
    assert not opens({"A", "+A", "-A"}, A)
    assert opens({"-A", "-*", "glass:1"}, HOLDER)
    assert not opens({"glass:1"}, A)


def test_a_restricted_compartment_and_ones_own(store):
    """Whom a facility treats it sees without what is restricted; named for it, that too; a resident sees all of one person."""

    def fill(t):
        for id, facility, compartment in (
            ("oa", "A", ""),
            ("ob", "B", ""),
            ("ra", "A", "HIV"),
            ("rb", "B", "HIV"),
            ("sb", "B", "PSY"),
        ):
            t.save(marked(id, compartment, "p1"), id=id, facility=facility)
        t.save(marked("other", "HIV", "p3"), id="other", facility="B")
        t.assign_person("p1", "g")
        t.assign_person("p2", "g")
        t.relate(Key("Encounter", "e"), [("A", "p2", NOW + 1), ("A", "p3", NOW + 1)])
        t.relate(Key("Consent", "c"), [("+A", restricted_compartment("HIV", "p1"), NOW + 1)])

    store.write(fill).result(30)
    cleared, resident = replace(A, cleared=True), Scope(types=None, patient="p2", cleared=True, now=NOW)
    expected = {A: {"oa", "ob"}, cleared: {"oa", "ob", "ra", "rb"}, resident: {"oa", "ob", "ra", "rb", "sb"}}
    everyone = store.search(SearchQuery("Observation", count=100), EVERYTHING).matches
    assert len(everyone) == 6
    for scope, seen in expected.items():
        query = SearchQuery("Observation", total="accurate")
        assert set(every_id(store, query, scope)) == seen
        assert store.search(query, scope).total == len(seen)
        assert {version.id for version in store.visible(everyone, scope)} == seen
        assert {v.id for v in store.changes(scope, type="Observation", count=100).versions} == seen


def marked(id, label, patient):
    labels = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": label}] if label else []
    return {**observation(subject=patient), "meta": {"security": labels}}
