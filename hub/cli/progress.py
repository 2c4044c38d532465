"""A bar for long work: how far, how many a second, how long still; nothing where nobody looks."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class Bar:
    """`told` what is done of what, and how many resources that is."""

    def __init__(self, name: str) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rate]}")
        self._progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), disable=not sys.stderr.isatty())
        self._task = self._progress.add_task(name, total=None, rate="")
        self._began = time.monotonic()
        self._first: int | None = None

    def told(self, done: int, total: int | None, resources: int) -> None:
        if self._first is None:
            self._first, self._began = resources, time.monotonic()
        rate = (resources - self._first) / max(time.monotonic() - self._began, 0.1)
        self._progress.update(self._task, completed=done, total=total, rate=f"{resources:,} resources, {rate:,.0f}/s")

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()
