"""`make identity-campaign`: a synthetic county's Patients, one after the other through the hub's one write path into a store.

Says how right the result is, whether the store came to what the rules say of all Patients at once (so that neither order nor
piecewise work made a difference), how fast it went, and whether the last Patients took longer than the first.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import combinations, islice, pairwise
from pathlib import Path
from typing import Any

from benchmarks.identity import RULE_SETS, Compared, compared, missed, persons_of, quality
from benchmarks.measures import cores
from benchmarks.population import Held, county
from hub.identity.blocks import given_up
from hub.identity.facts import facts_of
from hub.identity.matching import STANDARD
from hub.identity.rules import TIERS
from hub.identity.training import counted, trained
from hub.identity.weights import Weights, load_weights
from hub.keep import keep
from hub.search.query import Criterion, SearchQuery, TokenValue
from hub.settings import Policy
from hub.store.port import EVERYTHING, ResourceStore, Transaction
from hub.store.sqlite.store import SqliteStore
from profiles.names import HUB_TAG

RESULTS = Path(__file__).parent / "results"
TRAINED_ON, TRAINING_SEED = 10_000, 1_000_003  # people
AT_ONCE = 50  # Patients of one transaction
STRETCH = 12_500  # Patients over which a rate is taken
STORES = ("sqlite", "mongodb")


@contextmanager
def opened(kind: str, folder: Path) -> Iterator[ResourceStore]:
    if kind == "sqlite":
        with closing(SqliteStore(folder)) as store:
            yield store
        return
    from hub.store.mongo import MongoStore
    from tests.mongod import FLAGS, make_replica_set, started

    with started(folder, *FLAGS) as (_, uri):
        make_replica_set(uri)
        with closing(MongoStore(uri, "campaign", allow_unsafe=True)) as store:
            yield store


def fill(store: ResourceStore, held: list[Held], most_seconds: float) -> dict[str, Any]:
    """Seconds of wall and processor, and the rates of each stretch; no further than it comes in `most_seconds`."""
    started, spent = time.perf_counter(), time.process_time()
    marks = [(0, started, spent)]
    waiting = iter(held)
    done = 0
    while time.perf_counter() - started < most_seconds and (some := list(islice(waiting, AT_ONCE))):
        store.write(partial(_keep_all, some)).result()
        done += len(some)
        if done - marks[-1][0] >= STRETCH:
            marks.append((done, time.perf_counter(), time.process_time()))
    wall, processor = time.perf_counter() - started, time.process_time() - spent
    stretches = [(b[0] - a[0], b[1] - a[1], b[2] - a[2]) for a, b in pairwise(marks)] or [(done, wall, processor)]
    return {
        "patients": done,
        "seconds": round(wall, 1),
        "patients_per_second": round(done / wall, 1),
        "processor_ms_per_patient": round(1000 * processor / done, 2),
        "processor_ms_of_each_stretch": [round(1000 * spent / count, 2) for count, _, spent in stretches],
        "patients_per_second_of_each_stretch": [round(count / seconds, 1) for count, seconds, _ in stretches],
        "patients_of_a_stretch": STRETCH,
    }


def _keep_all(held: list[Held], transaction: Transaction) -> None:
    for each in held:
        keep(transaction, each.patient, id=each.patient["id"], facility=each.facility, now=1, policy=Policy())


def as_one_look(store: ResourceStore, found: Compared) -> dict[str, Any]:
    """Pairs that the store calls one person, beside what all Patients looked at together would be."""
    reasons = frozenset().union(*TIERS)
    links = [pair for pair, verdict in found.verdicts.items() if verdict.answer == "link"]
    together = persons_of(found, links, reasons)
    stored = {id: store.person_of(id) for id in found.facts}
    pairs = [_pairs(person) for person in (together, stored)]
    wrong = sum(found.residents[one] != found.residents[other] for one, other in pairs[1])
    return {"linked_pairs": len(pairs[1]), "wrong": wrong, "differs_from_one_look": len(pairs[0] ^ pairs[1])}


def _pairs(person: dict[str, str]) -> set[tuple[str, str]]:
    groups: dict[str, list[str]] = {}
    for id, of in person.items():
        groups.setdefault(of, []).append(id)
    return {pair for members in groups.values() for pair in combinations(sorted(members), 2)}


def open_doubts(store: ResourceStore) -> int:
    opened_ = Criterion("status", "token", (TokenValue(None, "requested"),))
    doubt = Criterion("code", "token", (TokenValue(HUB_TAG, "identity-doubt"),))
    return store.search(SearchQuery("Task", (doubt, opened_), count=0, total="accurate"), EVERYTHING).total or 0


def measured(people: int, seed: int, kind: str, most_seconds: float) -> dict[str, Any]:
    """`kind`: one of STORES; "" for the rules alone. Of the Patients that came into the store in `most_seconds`."""
    held = county(people, seed)
    figures: dict[str, Any] = {"people": people, "seed": seed, "patients": len(held)}
    if not kind:
        return figures | of_rules(held)[1]
    folder = Path(tempfile.mkdtemp(prefix="yitong-identity-"))
    try:
        with opened(kind, folder) as store:
            filled = fill(store, held, most_seconds)
            sys.stderr.write(json.dumps(filled) + "\n")
            found, rules = of_rules(held[: filled["patients"]])
            figures |= rules | {"store": {"kind": kind, **filled, **as_one_look(store, found)}}
            figures["store"]["open_doubts"] = open_doubts(store)
            figures["store"]["given_up"] = dict(given_up(store))
            if kind == "sqlite":
                figures["store"]["bytes"] = sum(each.stat().st_size for each in folder.iterdir())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return figures


def of_rules(held: list[Held]) -> tuple[Compared, dict[str, Any]]:
    """How right each set of rules is, the last with weights that were learnt from another county's Patients too."""
    started = time.process_time()
    found = compared(held)
    qualities = [quality(found, rules) for rules in RULE_SETS]
    seconds = time.process_time() - started
    learnt = replace(STANDARD, weights=trained_weights())
    qualities.append(quality(compared(held, learnt), RULE_SETS[-1])._replace(rules="numbers and trained weights"))
    return found, {
        "rules": [
            {
                **each._asdict(),
                "precision": round(each.precision, 6),
                "recall": round(each.recall, 4),
                "recall_with_doubts": round(each.recall_with_doubts, 4),
            }
            for each in qualities
        ],
        "missed_because": missed(found),
        "looked_at_per_patient": round(found.looked_at / len(held), 2),
        "given_up": dict(found.given_up),
        "processor_seconds_of_one_look": round(seconds, 1),
    }


def trained_weights() -> Weights:
    """Learnt from Patients of whom none is measured."""
    patients = [facts_of(each.patient, each.facility) for each in county(TRAINED_ON, seed=TRAINING_SEED)]
    return Weights(trained(counted(patients, random.Random(TRAINING_SEED)), load_weights()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, nargs="+", default=[25_000, 50_000, 100_000])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", choices=STORES, default="sqlite")
    parser.add_argument("--only-rules", action="store_true", help="no store: how right the rules are, in seconds")
    parser.add_argument(
        "--most-seconds", type=float, default=float("inf"), help="stop filling the store then, and look at what is in it"
    )
    arguments = parser.parse_args()
    every = []
    for people in arguments.people:
        kind = "" if arguments.only_rules else arguments.store
        every.append(measured(people, arguments.seed, kind, arguments.most_seconds))
        sys.stdout.write(json.dumps(every[-1], ensure_ascii=False) + "\n")
        sys.stdout.flush()
    now = datetime.now(UTC)
    machine = {
        "cores": cores(),
        "load": round(os.getloadavg()[0], 2),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    sizes = "-".join(f"{each['people'] // 1000}k" for each in every)
    what = "rules" if arguments.only_rules else arguments.store
    target = RESULTS / f"{now:%Y-%m-%d}-identity-{what}-{sizes}.json"
    target.write_text(
        json.dumps({"measured": now.isoformat(timespec="seconds"), "machine": machine, "runs": every}, indent=1) + "\n"
    )
    sys.stderr.write(f"written to {target}\n")
    if any(each["rules"][-1]["wrong"] or each.get("store", {}).get("wrong") for each in every):
        sys.exit("there are wrong links")


if __name__ == "__main__":
    main()
