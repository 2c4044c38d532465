"""A process that writes until it is killed; run by test_sqlite.py. It says on standard output what was acknowledged to it."""

from __future__ import annotations

import sys
import threading
from itertools import count
from pathlib import Path

from hub.store.port import Outcome
from hub.store.sqlite import SqliteStore
from tests.contracts.resources import observation, patient


def main(folder: Path, seed: str, threads: int) -> None:
    store = SqliteStore(folder)
    numbers = count(store.finished_after(0) + 1)

    def write_on() -> None:
        while True:
            seq = next(numbers)

            def work(transaction, seq=seq):
                transaction.save(patient(seq), id=f"p{seq}")
                transaction.save(observation(seed, subject=f"p{seq}"), id=f"o{seq}")
                transaction.record_outcome(Outcome(seq, "done", resources=(f"Patient/p{seq}", f"Observation/o{seq}")))

            store.write(work).result()
            sys.stdout.write(f"{seq}\n")
            sys.stdout.flush()

    for _ in range(threads):
        threading.Thread(target=write_on).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
