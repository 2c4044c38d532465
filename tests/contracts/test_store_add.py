"""What every store promises of resources that are added many at once."""

from __future__ import annotations

import pytest

from hub.fhir_json import load
from hub.search.query import SearchQuery
from hub.store.port import Addition, Key
from tests.contracts.resources import every_id, observation, patient, save, token


def test_added_resources_are_as_if_each_had_been_saved(store):
    save(store, patient(1), "p1")
    additions = [Addition(observation(), f"o{number}", "A") for number in range(77)]
    store.write(lambda transaction: transaction.add(additions)).result(30)
    added = store.read(Key("Observation", "o76"))
    saved = save(store, observation(), "alone", facility="A", method="POST").version
    one, other = load(added.body), load(saved.body)
    assert one["meta"].pop("lastUpdated") < other["meta"].pop("lastUpdated")
    assert {**one, "id": "alone"} == other
    assert (added.version, added.method, added.facility, added.patient) == (1, "POST", "A", "p1")
    query = SearchQuery("Observation", (token("code", "718-7"),))
    assert every_id(store, query) == ["alone", *(f"o{number}" for number in reversed(range(77)))]
    again = store.write(lambda t: t.save({**observation(), "status": "amended"}, id="o3", facility="A")).result(30)
    assert again.version.version == 2


def test_one_that_cannot_be_added_leaves_none(store):
    twice = [Addition(observation(), "o0"), Addition(observation(), "o0")]
    with pytest.raises(Exception, match="UNIQUE"):
        store.write(lambda transaction: transaction.add(twice)).result(30)
    assert every_id(store, SearchQuery("Observation")) == []
