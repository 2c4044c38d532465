"""What every store promises of versions, transactions and the tables beside the resources."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest

from hub.errors import Gone, NotFound, VersionConflict
from hub.fhir_json import load
from hub.search.query import SearchQuery
from hub.store.port import EVERYTHING, Key, Outcome, SourceTally
from profiles.names import FACILITY_TAG
from tests.contracts.resources import delete, every_id, ids, observation, patient, save, token

P1 = Key("Patient", "p1")


def test_a_saved_resource_comes_back_with_its_version_and_every_member_as_it_was(store):
    saved = save(store, {**observation(), "valueQuantity": {"value": Decimal("72.50"), "unit": "kg"}}, "o1", method="POST")
    assert (saved.created, saved.changed, saved.version.version, saved.version.method) == (True, True, 1, "POST")
    read = store.read(Key("Observation", "o1"))
    assert read == saved.version
    assert b'"value":72.50' in read.body
    resource = load(read.body)
    assert list(resource)[:3] == ["resourceType", "id", "meta"]
    assert list(resource)[3:] == [name for name in observation() if name != "resourceType"]
    assert resource["meta"]["versionId"] == "1"
    assert resource["meta"]["lastUpdated"] == "2023-11-14T22:13:20.000Z"
    assert read.etag == 'W/"1"'
    assert read.patient == "p1"
    assert {type(read.version), type(read.updated)} == {int}


def test_its_types_are_those_of_which_anything_was_ever_written(store):
    save(store, observation(), "o1")
    save(store, patient(), "p1")
    delete(store, *P1)
    assert {"Observation", "Patient"} <= store.types()
    assert "Shoe" not in store.types()


def test_the_same_content_again_makes_no_version_and_other_content_does(store):
    first = save(store, observation(), "o1")
    again = save(store, {**observation(), "meta": {"versionId": "9", "lastUpdated": "2001-01-01T00:00:00Z"}}, "o1")
    assert (again.created, again.changed, again.version) == (False, False, first.version)
    other = save(store, {**observation(), "status": "amended"}, "o1")
    assert (other.created, other.changed, other.version.version) == (False, True, 2)
    precise = save(store, {**observation(), "status": "amended", "valueQuantity": {"value": Decimal("13.5"), "unit": "g/dL"}}, "o1")
    assert precise.changed, "13.50 is not 13.5"


def test_the_facility_tag_is_the_stores_own(store):
    forged = {**patient(), "meta": {"profile": ["urn:x"], "tag": [{"system": FACILITY_TAG, "code": "B"}, {"code": "kept"}]}}
    meta = load(save(store, forged, "p1", facility="A").version.body)["meta"]
    assert meta["tag"] == [{"code": "kept"}, {"system": FACILITY_TAG, "code": "A"}]
    assert meta["profile"] == ["urn:x"]
    assert store.read(P1).facility == "A"
    bare = {**patient(2), "meta": {"tag": [{"system": FACILITY_TAG, "code": "B"}]}}
    assert "tag" not in load(save(store, bare, "p2").version.body)["meta"]


def test_a_deleted_resource_is_gone_but_its_history_remains(store):
    save(store, patient(), "p1")
    save(store, patient(gender="male"), "p1")
    gone = delete(store, "Patient", "p1")
    assert (gone.changed, gone.version.deleted, gone.version.version, gone.version.body) == (True, True, 3, b"")
    assert not delete(store, "Patient", "p1").changed
    with pytest.raises(Gone):
        store.read(P1)
    with pytest.raises(Gone):
        store.vread(P1, 3)
    assert load(store.vread(P1, 2).body)["gender"] == "male"
    assert [(v.version, v.method, v.deleted) for v in store.history(P1, count=10)] == [
        (3, "DELETE", True),
        (2, "PUT", False),
        (1, "PUT", False),
    ]
    assert every_id(store, SearchQuery("Patient")) == []
    assert store.read_many([P1]) == []
    back = save(store, patient(), "p1")
    assert (back.created, back.version.version) == (True, 4)
    assert every_id(store, SearchQuery("Patient", (token("identifier", "mrn1"),))) == ["p1"]


def test_history_is_paged_from_the_newest(store):
    for gender in ("male", "female", "other", "unknown"):
        save(store, patient(gender=gender), "p1")
    assert [v.version for v in store.history(P1, count=2)] == [4, 3]
    assert [v.version for v in store.history(P1, count=2, before=3)] == [2, 1]
    assert store.history(P1, count=2, before=1) == []


def test_what_never_was_is_not_found(store):
    for ask in (
        lambda: store.read(P1),
        lambda: store.vread(P1, 1),
        lambda: store.history(P1, count=1),
        lambda: delete(store, "Patient", "p1"),
    ):
        with pytest.raises(NotFound):
            ask()
    save(store, patient(), "p1")
    with pytest.raises(NotFound):
        store.vread(P1, 2)
    assert store.read_many([Key("Patient", "x"), P1]) == [store.read(P1)]


def test_if_match_names_the_current_version_or_nothing_is_written(store):
    with pytest.raises(VersionConflict):
        save(store, patient(), "p1", if_match=1)
    save(store, patient(), "p1")
    assert save(store, patient(gender="male"), "p1", if_match=1).version.version == 2
    with pytest.raises(VersionConflict):
        save(store, patient(gender="other"), "p1", if_match=1)
    with pytest.raises(VersionConflict):
        delete(store, "Patient", "p1", if_match=1)
    assert store.read(P1).version == 2


def test_a_write_that_fails_leaves_nothing_and_spoils_no_other(store):
    def half(transaction):
        transaction.save(patient(1, active=True), id="p1", facility="NEW")
        transaction.save({**observation("new-code"), "code": {"coding": [{"system": "urn:new", "code": "n"}]}}, id="o1")
        transaction.record_outcome(Outcome(1, "done"))
        transaction.relate(Key("Encounter", "e1"), [("A", "p1", 10)])
        transaction.assign_person("p1", "g1")
        raise KeyError("half way")

    results = [store.write(half), store.write(lambda t: t.save(patient(2), id="p2")), store.write(half)]
    results.append(
        store.write(lambda t: t.save({**observation(), "code": {"coding": [{"system": "urn:new", "code": "n"}]}}, id="o2"))
    )
    with pytest.raises(KeyError):
        results[0].result(30)
    with pytest.raises(KeyError):
        results[2].result(30)
    assert results[1].result(30).created
    assert results[3].result(30).created
    with pytest.raises(NotFound):
        store.read(P1)
    assert every_id(store, SearchQuery("Observation", (token("code", "n", "urn:new"),))) == ["o2"]
    assert store.outcome(1) is None
    assert store.finished_after(0) == 0
    assert not store.treats("A", "p1", 0)
    assert store.person_of("p1") == "p1"


def test_a_transaction_sees_its_own_changes_and_readers_only_committed_ones(store):
    seen = []

    def work(transaction):
        transaction.save(patient(), id="p1")
        seen.append(transaction.find(SearchQuery("Patient", (token("identifier", "mrn1"),))))
        seen.append(transaction.current(P1).version)
        try:
            store.read(P1)
        except NotFound:
            seen.append("not yet")

    store.write(work).result(30)
    assert seen == [[P1], 1, "not yet"]


def test_eight_conditional_creates_at_once_make_one_resource(store):
    ready = threading.Barrier(8)
    results = []

    def create(number):
        def work(transaction):
            found = transaction.find(SearchQuery("Patient", (token("identifier", "mrn1"),)))
            return found or transaction.save(patient(), id=f"p{number}", method="POST")

        ready.wait(30)
        results.append(store.write(work).result(30))

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(not isinstance(result, list) for result in results) == 1
    assert len(every_id(store, SearchQuery("Patient"))) == 1


def test_an_update_changes_what_is_found(store):
    save(store, observation("a"), "o1")
    save(store, observation("b", subject="p2"), "o1")
    assert ids(store.search(SearchQuery("Observation", (token("code", "a"),)), EVERYTHING)) == []
    assert ids(store.search(SearchQuery("Observation", (token("code", "b"),)), EVERYTHING)) == ["o1"]
    assert store.read(Key("Observation", "o1")).patient == "p2"


def test_people_are_linked_and_unlinked_without_touching_their_records(store):
    def link(transaction):
        transaction.assign_person("p1", "g")
        transaction.assign_person("p2", "g")
        return transaction.patients_of("g"), transaction.person_of("p2")

    assert store.write(link).result(30) == (("p1", "p2"), "g")
    assert store.patients_of("g") == ("p1", "p2")
    store.write(lambda t: t.assign_person("p1", "p1")).result(30)
    assert (store.person_of("p1"), store.patients_of("g"), store.patients_of("p1")) == ("p1", ("p2",), ("p1",))


def test_a_treatment_relation_holds_for_every_patient_of_the_person_until_it_ends(store):
    one, other = Key("Encounter", "e1"), Key("Encounter", "e2")
    store.write(lambda t: t.relate(one, [("A", "p1", 100), ("B", "p1", 100)])).result(30)
    store.write(lambda t: t.relate(other, [("A", "p1", 50)])).result(30)
    assert store.treats("A", "p1", 99), "the later end counts"
    assert not store.treats("A", "p1", 100)
    assert not store.treats("A", "p2", 99)
    store.write(lambda t: [t.assign_person(p, "g") for p in ("p1", "p2")]).result(30)
    assert store.treats("A", "p2", 99)
    assert store.treats("A", "g", 99)
    store.write(lambda t: t.relate(one, [("A", "p1", 60)])).result(30)
    assert store.treats("A", "g", 59)
    assert not store.treats("A", "g", 60), "what proved it says an earlier end now"
    assert not store.treats("B", "g", 59)
    store.write(lambda t: [t.relate(one, ()), t.relate(other, ())]).result(30)
    assert not store.treats("A", "g", 1)
    assert not store.treats("B", "p2", 99)
    store.write(lambda t: t.assign_person("p2", "p2")).result(30)
    assert not store.treats("A", "p2", 99)


def test_outcomes_are_kept_by_number_and_say_where_to_resume(store):
    dead = Outcome(3, "dead", "no mapper", 3, issues=({"code": "x"},), source="his", facility="A", kind="row")
    done = Outcome(1, "done", resources=("Patient/p1",), ledger={"PID-5": 1}, finished=7, source="lis")
    for outcome in (dead, done, Outcome(2, "done"), Outcome(7, "done")):
        store.write(lambda t, outcome=outcome: t.record_outcome(outcome)).result(30)
    assert store.outcome(3) == dead
    assert store.outcome(1) == done
    assert store.outcome(4) is None
    assert [store.finished_after(seq) for seq in (0, 2, 3, 5, 6, 9)] == [3, 3, 3, 5, 7, 9]
    assert [o.seq for o in store.outcomes()] == [1, 2, 3, 7]
    assert [o.seq for o in store.outcomes(after=1, limit=2)] == [2, 3]
    assert [o.seq for o in store.outcomes(limit=2, newest=True)] == [7, 3]
    assert [o.seq for o in store.outcomes(state="dead", source="his")] == [3]
    replayed = Outcome(3, "done", source="his")
    store.write(lambda t: t.record_outcome(replayed)).result(30)
    assert store.outcomes(state="dead") == []
    assert store.finished_after(0) == 3


def test_tallies_follow_every_outcome_and_its_replacement(store):
    def tell(*outcomes):
        store.write(lambda t: [t.record_outcome(outcome) for outcome in outcomes]).result(30)
        return store.tallies()

    assert store.tallies() == {}
    noted = Outcome(1, "done", source="lis", issues=({"code": "x"},), resources=("Patient/p1", "Observation/o1"))
    assert tell(noted, Outcome(2, "dead", source="lis"), Outcome(3, "done", source="his")) == {
        "lis": SourceTally(done=1, dead=1, issues=1, resources=2),
        "his": SourceTally(done=1),
    }
    assert tell(noted, Outcome(2, "done", source="lis", resources=("Patient/p1",)))["lis"] == SourceTally(2, 0, 1, 3)
    given_up = Outcome(4, "discarded", "no PID segment", note="测试数据", source="lis")
    assert tell(given_up)["lis"] == SourceTally(2, 0, 1, 3, discarded=1)
    assert store.tallies()["lis"].finished == 3
    assert store.outcomes(state="discarded") == [given_up]


def test_a_code_that_nothing_maps_is_counted_until_its_records_are_replayed(store):
    def tell(seq, *codes, state="done"):
        issues = tuple(
            {"code": "unmapped-code", "where": "OBX-3", "system": "s", "value": code, "display": code * 2} for code in codes
        )
        outcome = Outcome(seq, state, source="lis", issues=(*issues, {"code": "missing", "where": "PV1"}))
        store.write(lambda t: t.record_outcome(outcome)).result(30)
        return [(found.system, found.code, found.display, found.records) for found in store.unmapped()]

    assert tell(1, "A", "A") == [("s", "A", "AA", 1)]
    assert tell(2, "B", "A") == [("s", "A", "AA", 2), ("s", "B", "BB", 1)]
    assert store.unmapped(limit=1)[0].code == "A"
    assert tell(2, "B") == [("s", "A", "AA", 1), ("s", "B", "BB", 1)]
    assert tell(1) == [("s", "B", "BB", 1)]


def test_stamps_are_kept_by_element(store):
    assert store.write(lambda t: t.stamps(P1)).result(30) == {}
    store.write(lambda t: t.set_stamps(P1, {"name": "2024-01-01T00:00:00Z 1"})).result(30)
    assert store.write(lambda t: t.stamps(P1)).result(30) == {"name": "2024-01-01T00:00:00Z 1"}


def test_last_updated_never_goes_back(store):
    versions = [save(store, patient(gender=gender), "p1").version for gender in ("male", "female", "other")]
    assert [v.updated for v in versions] == sorted({v.updated for v in versions})
