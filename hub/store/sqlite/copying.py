"""A copy of a SQLite file as it was committed at one moment, while others read and write it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import apsw

PAGES = 2048  # of one step
Progress = Callable[[int, int], None]  # done, of how many


def untold(done: int, total: int) -> None:
    """Nobody watches."""


def copy_database(source: apsw.Connection, target: Path, progress: Progress) -> None:
    """`source` stands in a read transaction that has begun. The target is there whole, synced, or not at all."""
    unfinished = target.with_name(target.name + ".part")
    unfinished.unlink(missing_ok=True)
    copy = apsw.Connection(str(unfinished))
    try:
        with copy.backup("main", source, "main") as backup:
            while not backup.done:
                backup.step(PAGES)
                progress(backup.page_count - backup.remaining, backup.page_count)
    finally:
        copy.close()
    sync(unfinished)
    unfinished.rename(target)
    sync(target.parent)


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
