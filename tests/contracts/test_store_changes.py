"""What every store tells of the past: history of one resource, of a type, of everything; and the small values beside it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from hub.errors import Invalid
from hub.store.port import EVERYTHING, Key, Scope
from tests.contracts.conftest import START
from tests.contracts.resources import delete, observation, patient, save

A = Scope(facility="A", types=None, now=0)


def every_change(store, scope=EVERYTHING, *, count=3, meanwhile=None, **asked):
    """Page by page."""
    found, after = [], None
    while True:
        page = store.changes(scope, count=count, after=after, **asked)
        assert len(page.versions) <= count
        found += page.versions
        after = page.next
        if after is None:
            return found
        if meanwhile:
            meanwhile()


def named(versions):
    return [f"{v.type}/{v.id}/{v.version}" for v in versions]


@pytest.fixture
def told(store):
    """Nine changes, in this order, one second apart."""
    for act in (
        lambda: save(store, patient(1), "a", method="POST"),
        lambda: save(store, observation(), "a"),
        lambda: save(store, patient(2), "b"),
        lambda: save(store, patient(11), "a"),
        lambda: save(store, patient(11), "a"),  # the same again is no change
        lambda: delete(store, "Patient", "b"),
        lambda: save(store, patient(111), "a"),
        lambda: save(store, observation("2160-0"), "a"),
        lambda: save(store, patient(22), "b"),
    ):
        act()
    return [
        "Patient/b/3",
        "Observation/a/2",
        "Patient/a/3",
        "Patient/b/2",
        "Patient/a/2",
        "Patient/b/1",
        "Observation/a/1",
        "Patient/a/1",
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 100])
def test_history_of_everything_a_type_and_one_resource_is_newest_first_in_pages_of_any_size(store, told, count):
    assert named(every_change(store, count=count)) == told
    of_type = [name for name in told if name.startswith("Patient/")]
    assert named(every_change(store, count=count, type="Patient")) == of_type
    of_one = [name for name in told if name.startswith("Patient/a/")]
    assert named(every_change(store, count=count, type="Patient", id="a")) == of_one


def test_a_change_has_its_body_its_method_and_its_deletion(store, told):
    page = store.changes(EVERYTHING, count=10)
    assert page.total == len(told)
    assert page.next is None
    assert [v.method for v in page.versions if v.type == "Patient"] == ["PUT", "PUT", "DELETE", "PUT", "PUT", "POST"]
    deletion = next(v for v in page.versions if v.deleted)
    assert (deletion.id, deletion.version, deletion.body) == ("b", 2, b"")
    for version in page.versions:
        if not version.deleted:
            assert version == store.vread(Key(version.type, version.id), version.version)


def test_nothing_is_told_of_what_never_was(store, told):
    for asked in ({"type": "Device"}, {"type": "Patient", "id": "z"}):
        page = store.changes(EVERYTHING, count=5, **asked)
        assert (page.versions, page.next, page.total) == ((), None, 0)
    assert store.changes(EVERYTHING, count=2).total is None


def test_since_begins_with_its_instant_and_at_is_what_was_current_then(store, told):
    newest_first = store.changes(EVERYTHING, count=10).versions
    for version in newest_first:
        expected = [v for v in newest_first if v.updated >= version.updated]
        assert named(every_change(store, since=version.updated)) == named(expected)
    made = {f"{v.type}/{v.id}/{v.version}": v.updated for v in newest_first}
    during = made["Patient/a/2"]
    assert named(every_change(store, at=(during, during + 1), count=1)) == ["Patient/a/2", "Patient/b/1", "Observation/a/1"]
    assert named(every_change(store, at=(made["Patient/b/2"], made["Patient/b/3"] + 1), type="Patient")) == [
        "Patient/b/3",
        "Patient/a/3",
        "Patient/b/2",
        "Patient/a/2",
    ]
    assert every_change(store, at=(START - 10, START)) == []
    assert every_change(store, since=newest_first[0].updated + 1) == []


def test_a_change_is_seen_if_it_and_what_the_resource_is_now_may_be_seen(store):
    save(store, patient(1), "moved-here", facility="B")
    save(store, patient(1), "moved-here", facility="A")
    save(store, patient(2), "moved-away", facility="A")
    save(store, patient(2), "moved-away", facility="B")
    save(store, patient(3), "mine", facility="A")
    delete(store, "Patient", "mine")
    save(store, patient(4), "theirs", facility="B")
    seen = ["Patient/mine/2", "Patient/mine/1", "Patient/moved-here/2"]
    assert named(every_change(store, A, count=1)) == named(every_change(store, A, type="Patient")) == seen
    assert store.changes(A, count=5, type="Patient", id="moved-away").versions == ()
    assert store.changes(A, count=10).total == 3
    assert store.changes(replace(A, types=frozenset({"Observation"})), count=5).versions == ()
    assert store.changes(Scope(), count=5).versions == ()


def test_who_treats_a_patient_sees_what_was_recorded_of_them(store):
    save(store, patient(1), "p1", facility="B")
    save(store, observation(subject="p1"), "o1", facility="B")
    store.write(lambda t: t.relate(Key("Encounter", "e"), [("A", "p1", 10)])).result(30)
    assert named(every_change(store, replace(A, now=9))) == ["Observation/o1/1", "Patient/p1/1"]
    assert every_change(store, replace(A, now=10)) == []


def test_walking_history_while_others_write_loses_and_repeats_nothing(store):
    dice = random.Random(5)

    def write():
        kind = dice.choice((patient, observation))
        save(store, kind(str(dice.randrange(9999))), f"r{dice.randrange(6)}")

    for _ in range(30):
        write()
    before = named(every_change(store, count=100))
    assert named(every_change(store, count=4, meanwhile=write)) == before


def test_many_changes_of_one_instant_are_paged_too(store):
    from hub.store.port import Addition

    store.write(lambda t: t.add([Addition(patient(n), f"p{n}") for n in range(25)])).result(30)
    found = named(every_change(store, count=4))
    assert sorted(found) == sorted(f"Patient/p{n}/1" for n in range(25))


def test_a_position_of_something_else_is_refused(store, told):
    for after in ("nonsense", "e30=", "WzFd", "WyJhIiwxLDFd", "WzEsMSw5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTld"):
        with pytest.raises(Invalid):
            store.changes(EVERYTHING, count=1, after=after)


# -- small values


def test_a_small_value_is_kept_by_shelf_and_key_in_the_transaction(store):
    def put(t):
        t.put_item("jobs", "a", b"1")
        t.put_item("jobs", "b", b"2")
        t.put_item("leases", "a", b"3")
        return t.item("jobs", "a"), t.item("jobs", "z"), t.items("jobs")

    assert store.write(put).result(30) == (b"1", None, [("a", b"1"), ("b", b"2")])
    assert (store.item("jobs", "b"), store.item("leases", "a"), store.item("leases", "b")) == (b"2", b"3", None)
    store.write(lambda t: (t.put_item("jobs", "a", b"\x00new"), t.put_item("jobs", "b", None))).result(30)
    assert store.items("jobs") == [("a", b"\x00new")]


def test_small_values_of_a_failed_write_are_not_there(store):
    def fail(t):
        t.put_item("jobs", "a", b"1")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        store.write(fail).result(30)
    assert store.item("jobs", "a") is None


def test_small_values_are_listed_by_key_from_a_prefix_on_in_pages(store):
    keys = ["a/1", "a/10", "a/2", "a/王", "a/😀", "aa", "b/1", "A/1", "a"]
    store.write(lambda t: [t.put_item("s", key, key.encode()) for key in keys]).result(30)
    assert [key for key, _ in store.items("s")] == sorted(keys)
    under = [key for key in sorted(keys) if key.startswith("a/")]
    assert [key for key, _ in store.items("s", prefix="a/")] == under
    paged, after = [], ""
    while page := store.items("s", prefix="a/", after=after, limit=2):
        paged += [key for key, _ in page]
        after = paged[-1]
    assert paged == under
