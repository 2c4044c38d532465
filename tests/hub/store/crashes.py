"""One trial of a crash: the power is cut under a working store, or its process is killed; then the store is opened again."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from hub.errors import HubError
from hub.store.sqlite import SqliteStore
from tests.contracts.resources import patient, save
from tests.hub.store.power import CUTS, NAME, Disk, Image, PowerCut
from tests.hub.store.promises import Unwanted, broken, fails, transaction

LOG_BYTES = 120_000  # so that the log is folded into the file every few transactions
LIVES = 10  # of one folder


@dataclass
class Tally:
    facts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def look(self, folder: Path, name: str, acknowledged: set[int], order: list[int] | None = None) -> None:
        """Open what the crash left, check every promise, and write on."""
        self.facts["trials"] += 1
        self.facts["acknowledged transactions looked for"] += len(acknowledged)
        try:
            store = SqliteStore(folder)
        except HubError as error:
            self.broken.append(f"{name}: {error}")
            return
        try:
            self.broken += [f"{name}: {complaint}" for complaint in broken(store, acknowledged, order)]
            if not save(store, patient(0), f"after-{name}").created:
                self.broken.append(f"{name}: it does not write any more")
        finally:
            store.close()


# -- power


@dataclass
class _Moment:
    images: dict[str, Image]
    acknowledged: set[int]


def power_cuts(seed: int, tally: Tally, *, transactions: int = 40, moments: int = 5, disk: type[Disk] = Disk) -> None:
    """One life of a store; at each of some moments of it the power is cut in every way."""
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="power-") as name:
        folder = Path(name)
        length = _life(folder / "measured", random.Random(seed), transactions, frozenset(), disk)[0]
        chosen = frozenset(dice.sample(range(1, length + 1), min(moments, length)))
        _, found, order = _life(folder / "store", random.Random(seed), transactions, chosen, disk)
        for number, moment in enumerate(found):
            for cut, image in moment.images.items():
                after = folder / f"{number}-{cut}"
                after.mkdir()
                for file, content in image.items():
                    (after / file).write_bytes(content)
                tally.facts[f"power cuts, {cut} of the unsynced writes there"] += 1
                tally.look(after, f"seed-{seed}-{number}-{cut}", moment.acknowledged, order)


def _life(
    folder: Path, dice: random.Random, transactions: int, moments: frozenset[int], make: type[Disk]
) -> tuple[int, list[_Moment], list[int]]:
    """How many disk operations it took, what was seen at the moments, and in which order the transactions were done."""
    acknowledged: list[int] = []
    found: list[_Moment] = []
    operations = [0]

    def at_operation(number: int) -> None:
        operations[0] = number
        if number in moments:
            chance = random.Random(number)  # of its own, so that the store lives the same life whether or not it is looked at
            found.append(_Moment({cut: disk.image(cut, chance) for cut in CUTS}, set(acknowledged)))

    disk = make(folder, at_operation)
    vfs = PowerCut(disk)
    try:
        store = SqliteStore(folder, vfs=NAME, log_bytes=LOG_BYTES)
        try:
            _work(store, dice, transactions, acknowledged)
        finally:
            store.close()
    finally:
        vfs.unregister()
    return operations[0], found, [number for number in range(transactions) if not fails(number)]


def _work(store: SqliteStore, dice: random.Random, transactions: int, acknowledged: list[int]) -> None:
    """In groups of one to four that wait together; what is acknowledged is noted at once."""
    number = 0
    while number < transactions:
        group = range(number, min(number + dice.choice((1, 1, 2, 4)), transactions))
        futures = [store.write(transaction(each)) for each in group]
        for future in futures:
            future.add_done_callback(lambda done: acknowledged.append(done.result()) if not done.exception() else None)
        for future in futures:
            with contextlib.suppress(Unwanted):
                future.result(60)
        number = group.stop


# -- kill -9


def kills(seed: int, tally: Tally, *, lives: int = LIVES) -> None:
    """A process that writes on in four threads is killed and followed by another, again and again in one folder."""
    dice = random.Random(seed)
    acknowledged: set[int] = set()
    with tempfile.TemporaryDirectory(prefix="kill-") as name:
        folder = Path(name) / "store"
        for life in range(lives):
            acknowledged |= _killed(folder, dice, first=life * 10_000)
            tally.facts["kills"] += 1
            tally.look(folder, f"seed-{seed}-{life}", acknowledged)


def _killed(folder: Path, dice: random.Random, *, first: int) -> set[int]:
    """What the child was told before it was killed, after some number of acknowledgements or some milliseconds."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _write_until_killed(folder, writing, first)
    os.close(writing)
    told = b""
    wanted = dice.choice((0, 1, 1, dice.randrange(2, 60)))
    if wanted:
        while told.count(b"\n") < wanted:
            told += os.read(reading, 65_536)
    else:
        select.select([reading], [], [], dice.uniform(0, 0.15))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(reading, 65_536):
        told += more
    os.close(reading)
    return {int(line) for line in told.split(b"\n")[:-1]}


def _write_until_killed(folder: Path, pipe: int, first: int) -> None:
    """Of the child; it never returns."""
    try:
        store = SqliteStore(folder, log_bytes=LOG_BYTES)
        numbers: Iterator[int] = count(first)
        threads = [threading.Thread(target=_write_on, args=(store, numbers, pipe)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        os._exit(1)


def _write_on(store: SqliteStore, numbers: Iterator[int], pipe: int) -> None:
    while True:
        number = next(numbers)
        with contextlib.suppress(Unwanted):
            store.write(transaction(number)).result()
            os.write(pipe, f"{number}\n".encode())
