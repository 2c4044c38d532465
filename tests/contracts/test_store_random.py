"""Searches drawn from the whole query model: every store answers what looking at every resource answers.

The dice are the same each run; a failure prints the search as it would stand in a URL.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from hub.fhir_json import load
from hub.search.parse import parse_search
from hub.store.port import EVERYTHING, Key, Scope
from tests.contracts.model import Kept, Library, expected, included
from tests.contracts.model_queries import Asker
from tests.contracts.model_world import COUNTS, Maker, ids

NOW = 1_720_000_000_000
SEARCHES = 400
BATCH = 50
OF_A = Scope(facility="A", types=None, shared_types=frozenset({"Organization", "Location"}), now=NOW)


@pytest.fixture(scope="module")
def county(shared_store):
    """Everything that is kept, in the order in which it was created; some of it was updated or deleted since."""
    maker, dice, made = Maker(random.Random(5)), random.Random(6), []

    def fill(transaction):
        made.clear()
        made.extend(Key(kind, id) for kind in COUNTS for id in ids(kind))
        dice.shuffle(made)
        for key in made:
            facility = "" if key.type in ("Organization", "Location") else dice.choice("AB")
            transaction.save(maker.resource(key.type), id=key.id, facility=facility)
        for key in dice.sample(made, 15):
            transaction.save(maker.resource(key.type), id=key.id, facility=dice.choice("AB"))
        for key in dice.sample(made, 8):
            transaction.delete(key)

    shared_store.write(fill).result(60)
    current = {Key(version.type, version.id): version for version in shared_store.read_many(made)}
    return Library(Kept(order, current[key], load(current[key].body)) for order, key in enumerate(made) if key in current)


@pytest.mark.parametrize("first", range(0, SEARCHES, BATCH))
@pytest.mark.parametrize("scope", [EVERYTHING, OF_A], ids=["everything", "one facility"])
def test_any_search_finds_what_looking_at_every_resource_finds(shared_store, county, scope, first):
    world = county.visible(lambda version: shared_store.visible([version], scope))
    for seed in range(first, first + BATCH):
        asker = Asker(seed)
        parameters = asker.parameters()
        query = parse_search(asker.type, parameters, now=NOW).query
        asked = f"{asker.type}?{'&'.join('='.join(pair) for pair in parameters)}"
        wanted = expected(world, query)
        assert walked(shared_store, world, query, scope, asked) == wanted, asked


def walked(store, world, query, scope, asked):
    """All pages, each with what stands beside it."""
    found = []
    while True:
        page = store.search(query, scope)
        here = [Key(version.type, version.id) for version in page.matches]
        beside = {Key(version.type, version.id) for version in page.included}
        assert beside == included(world, query, here), asked
        found += [key.id for key in here]
        if page.next is None:
            return found
        query = replace(query, after=page.next, total="none")


def test_the_dice_ask_for_something_that_is_there(county):
    """Searches that find nothing, or everything, would prove little."""
    found = []
    for seed in range(SEARCHES):
        asker = Asker(seed)
        query = parse_search(asker.type, asker.parameters(), now=NOW).query
        found.append(len(expected(county, query)) / COUNTS[asker.type])
    assert sum(0 < share < 1 for share in found) > SEARCHES / 4
