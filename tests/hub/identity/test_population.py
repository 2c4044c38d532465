"""A small synthetic county: no wrong link, and the same persons and questions whatever the order, in the store as at one look."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from benchmarks.identity import RULE_SETS, compared, persons_of, quality
from benchmarks.population import Held, county
from hub.fhir_json import dump, load
from hub.identity.blocks import MOST, blocks_of, given_up
from hub.identity.facts import facts_of
from hub.identity.households import MOST_NAMES
from hub.identity.matching import STANDARD
from hub.identity.rules import TIERS, compare
from hub.identity.training import as_toml, counted, read, trained
from hub.identity.weights import load_weights
from hub.keep import keep
from hub.search.query import Criterion, SearchQuery, TokenValue
from hub.settings import Policy
from hub.store.port import EVERYTHING, ResourceStore
from hub.store.sqlite.store import SqliteStore
from tests.hub.identity.test_linking import person, put
from tests.hub.identity.test_rules import patient

PEOPLE, IN_A_STORE = 700, 40


@pytest.fixture(scope="module")
def held() -> list[Held]:
    return county(PEOPLE, seed=7)


def test_no_wrong_link_and_each_set_of_rules_finds_more(held: list[Held]) -> None:
    found = compared(held)
    ids, numbers, weights = (quality(found, rules) for rules in RULE_SETS)
    assert (ids.precision, numbers.precision, weights.precision) == (1.0, 1.0, 1.0)
    assert ids.recall < numbers.recall < weights.recall
    assert weights.recall > 0.75
    assert weights.recall_with_doubts > 0.94
    assert sum(found.given_up.values()) == 0


def test_whoever_may_be_one_person_is_found(held: list[Held]) -> None:
    """Every pair of some hundred, whether they share a block or not: what would be linked or doubted shares one."""
    facts = [facts_of(each.patient, each.facility) for each in sorted(held, key=lambda each: each.resident)[:150]]
    blocks = {each.id: set(blocks_of(each)) for each in facts}
    for number, one in enumerate(facts):
        for other in facts[number + 1 :]:
            verdict = compare(one, other)
            if verdict.answer != "no":
                assert blocks[one.id] & blocks[other.id], verdict.reason


def keep_one(store: ResourceStore, held: Held) -> None:
    id = held.patient["id"]
    store.write(lambda t: keep(t, held.patient, id=id, facility=held.facility, now=1, policy=Policy())).result()


def questions(store: ResourceStore) -> dict[str, str]:
    opened = Criterion("status", "token", (TokenValue(None, "requested"),))
    tasks = (load(version.body) for version in store.search(SearchQuery("Task", (opened,), count=1000), EVERYTHING).matches)
    return {task["id"]: task["reasonCode"]["coding"][0]["code"] for task in tasks}


def test_no_order_changes_who_is_one_person_or_what_is_asked(held: list[Held], tmp_path: Path) -> None:
    few = [each for each in held if each.resident < IN_A_STORE]
    found = compared(few)
    links = [pair for pair, verdict in found.verdicts.items() if verdict.answer == "link"]
    at_one_look = persons_of(found, links, frozenset().union(*TIERS))
    seen = []
    for order in range(3):
        store = SqliteStore(tmp_path / str(order))
        random.Random(order).shuffle(few)
        for each in few:
            keep_one(store, each)
        seen.append(({frozenset(person(store, id)) for id in found.facts}, questions(store)))
        store.close()
    groups: dict[str, set[str]] = {}
    for id, first in at_one_look.items():
        groups.setdefault(first, set()).add(id)
    assert seen[0][0] == {frozenset(group) for group in groups.values()}
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][1]


def test_what_too_many_share_finds_nobody_and_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The last one closes the questions about those before it: the order makes no difference."""
    store = SqliteStore(tmp_path)
    spelt = ["".join(each) for each in product("张章彰", "三叁", "丰峰风锋枫疯封蜂")]  # read alike; only the first is asked about
    names = ["张三丰"] * (MOST - len(spelt)) + spelt
    put(store, *(patient(f"p{n}", name=name, born="1970-03-07", address=f"柳树村{n}组") for n, name in enumerate(names)))
    assert len(questions(store)) == 3
    put(store, patient("one-more", name="张三丰", born="1970-03-07", address="柳树村99组"))
    assert questions(store) == {}
    assert given_up(store) == {"name-birth": 1}
    assert "张三丰" not in caplog.text
    assert "name-birth" in caplog.text
    put(store, patient("x", name="张三丰", born="1970-03-07"))
    assert questions(store) == {}
    put(store, *(patient(id, name="张三丰", born="1970-03-07", phone="13812345678") for id in "yz"))
    assert person(store, "y") == {"y", "z"}
    store.close()


def test_a_telephone_that_too_many_have_is_no_evidence(tmp_path: Path) -> None:
    """A village doctor's: two namesakes of one birthday who gave it are a question, whichever of all came last."""
    clinic = "13812345678"
    namesakes = [patient(f"p{n}", name="王秀英", born="1955-03-08", phone=clinic, address=f"柳树村3组{n}号") for n in (7, 9)]
    others = [
        patient(f"q{n}", name=f"{surname}建国", born=f"19{50 + n}-05-06", sex="male", phone=clinic)
        for n, surname in enumerate("赵钱孙李周吴郑冯陈褚卫蒋沈韩杨朱")
    ]
    assert len(others) == MOST_NAMES + 1
    seen = []
    for order in (namesakes + others, others + namesakes, others[:5] + namesakes + others[5:]):
        store = SqliteStore(tmp_path / str(len(seen)))
        put(store, *order[:-1])
        put(store, order[-1])
        assert given_up(store) == {"phone": 1}
        assert person(store, "p7") == {"p7"}
        seen.append(questions(store))
        put(store, *(patient(f"{id}-again", name="王秀英", born="1955-03-08", address="柳树村3组7号") for id in ("p7", "x")))
        assert person(store, "p7") == {"p7", "p7-again", "x-again"}
        store.close()
    assert list(seen[0].values()) == ["same-name-birth-sex"]
    assert seen[0] == seen[1] == seen[2]


def test_weights_can_be_learnt_from_a_countys_own_patients(held: list[Held], tmp_path: Path) -> None:
    lines = [dump(each.patient) for each in held]
    found = counted(list(read(lines)), random.Random(1), strangers=5_000)
    path = tmp_path / "weights.toml"
    path.write_text(as_toml(trained(found, load_weights())), "utf-8")
    weights = load_weights(str(path))
    assert weights.version == "trained"
    assert weights.tables()["birth"] != load_weights().tables()["birth"]
    quality_of = quality(compared(held, replace(STANDARD, weights=weights)), RULE_SETS[-1])
    assert (quality_of.wrong, quality_of.recall > 0.7) == (0, True)
