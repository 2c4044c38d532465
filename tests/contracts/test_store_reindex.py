"""Entries extracted anew, in pieces: nothing is lost, nothing becomes a new version, and what was forgotten is found again."""

from __future__ import annotations

from hub.search.parse import parse_search
from hub.store.port import EVERYTHING, Key
from tests.contracts.resources import delete, observation, patient, save


def found(store, text):
    kind, _, query = text.partition("?")
    asked = [tuple(part.split("=", 1)) for part in query.split("&")]
    return [version.id for version in store.search(parse_search(kind, asked, now=0).query, EVERYTHING).matches]


def reindexed(store, type, limit):
    """How many in each piece."""
    pieces, after = [], ""
    while after is not None:
        piece = store.write(lambda transaction, after=after: transaction.reindex(type, after, limit)).result()
        pieces.append(piece.done)
        after = piece.next
    return pieces


def test_pieces_cover_every_resource_of_the_type_once(store):
    for number in range(5):
        save(store, patient(number), f"p{number}")
    save(store, observation(), "o1")
    delete(store, "Patient", "p2")
    assert reindexed(store, "Patient", 2) == [2, 2]
    assert reindexed(store, "Patient", 3) == [3, 1]
    assert reindexed(store, "Patient", 100) == [4]
    assert reindexed(store, "Observation", 1) == [1]
    assert reindexed(store, "Device", 1) == [0]


def test_no_version_is_made_and_the_same_is_found(store):
    save(store, {"resourceType": "Patient", "gender": "female", "name": [{"family": "曾", "given": ["小乐"]}]}, "p1")
    before = store.read(Key("Patient", "p1"))
    reindexed(store, "Patient", 10)
    assert store.read(Key("Patient", "p1")) == before
    for text in (
        "Patient?gender=female",
        "Patient?name=zengxiaole",
        "Patient?birthdate:missing=true",
        "Patient?name:missing=false",
    ):
        assert found(store, text) == ["p1"]


def test_what_was_forgotten_is_found_again_once_extracted(store):
    for number in range(7):
        save(store, {"resourceType": "Patient", "maritalStatus": {"text": "x"}, "gender": "female"}, f"p{number}")
    while store.write(lambda transaction: transaction.forget("Patient", "gender", 2)).result():
        pass
    assert len(found(store, "Patient?gender:missing=false")) in (0, 7)  # a store may leave it to the next extraction
    reindexed(store, "Patient", 3)
    assert len(found(store, "Patient?gender=female")) == 7
    assert len(found(store, "Patient?gender:missing=false")) == 7


def test_forgetting_one_parameter_touches_no_other(store):
    save(store, observation(), "o1")
    save(store, patient(1), "p1")
    codes = ("Observation?code:missing=false", "Observation?combo-code:missing=false", "Patient?identifier:missing=false")
    before = [found(store, text) for text in codes[1:]]
    store.write(lambda transaction: transaction.forget("Observation", "code")).result()
    store.write(lambda transaction: transaction.forget("Patient", "no-such-parameter")).result()
    assert [found(store, text) for text in codes[1:]] == before


def test_others_write_between_two_pieces(store):
    for number in range(4):
        save(store, {"resourceType": "Patient", "gender": "male"}, f"p{number}")
    first = store.write(lambda transaction: transaction.reindex("Patient", "", 2)).result()
    save(store, {"resourceType": "Patient", "gender": "female"}, "p0")
    save(store, {"resourceType": "Patient", "gender": "male"}, "p9")
    rest = store.write(lambda transaction: transaction.reindex("Patient", first.next, 100)).result()
    assert (rest.done, rest.next) == (3, None)
    assert sorted(found(store, "Patient?gender=male")) == ["p1", "p2", "p3", "p9"]
    assert found(store, "Patient?gender=female") == ["p0"]
