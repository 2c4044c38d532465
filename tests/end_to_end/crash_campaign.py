"""Crashes of the embedded store: power cuts under it and kill -9 of its process, with every promise looked at after each.

    python -m tests.end_to_end.crash_campaign --trials 1000 --seed 1

A power cut leaves of what was not synced nothing, all, a random part with torn sectors, or the beginning. Prints its own table.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count

import apsw
from rich.console import Console
from rich.progress import Progress

from tests.hub.store.crashes import Tally, kills, power_cuts

SHOWN = 20


def campaign(name: str, trials: int, seed: int, life: Callable[[int, Tally], None], progress: Progress) -> tuple[Tally, float]:
    tally, began = Tally(), time.monotonic()
    bar = progress.add_task(name, total=trials)
    for number in count(seed):
        if tally.facts["trials"] >= trials or len(tally.broken) > SHOWN:
            break
        life(number, tally)
        progress.update(bar, completed=tally.facts["trials"])
    return tally, time.monotonic() - began


def main() -> int:
    """Exit code 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        results = {
            name: campaign(name, asked.trials, asked.seed, life, progress)
            for name, life in (("power cuts", power_cuts), ("kill -9", kills))
        }
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, SQLite {apsw.sqlitelibversion()}, seed {asked.seed}.\n"
    )
    print("| | |\n|---|---|")
    for name, (tally, seconds) in results.items():
        for fact, number in tally.facts.items():
            print(f"| {name}: {fact} | {number:,} |")
        print(f"| {name}: **broken promises** | **{len(tally.broken)}** |\n| {name}: seconds | {seconds:.0f} |")
    broken = [complaint for tally, _ in results.values() for complaint in tally.broken]
    for complaint in broken[:SHOWN]:
        print(f"\n{complaint}")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
