"""A figure: the median of several runs, with what else was seen."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass

RUNS = 3


@dataclass(frozen=True, slots=True)
class Figure:
    what: str
    value: float
    unit: str
    goal: str
    runs: tuple[float, ...]
    detail: str = ""


Measure = Callable[[], tuple[float, str]]  # the value, and what else was seen


def median(what: str, unit: str, goal: str, measure: Measure, runs: int = RUNS) -> Figure:
    seen = [measure() for _ in range(runs)]
    values = sorted(value for value, _ in seen)
    middle = statistics.median_low(values)
    figure = Figure(what, middle, unit, goal, tuple(values), next(text for value, text in seen if value == middle))
    sys.stderr.write(f"{what}: {middle:,.1f} {unit} (goal {goal}) {figure.detail}\n")
    return figure


def table(figures: list[Figure]) -> str:
    rows = ["| what | measured | goal | seen |", "|---|---|---|---|"]
    rows += [f"| {f.what} | {f.value:,.1f} {f.unit} | {f.goal} | {f.detail} |" for f in figures]
    return "\n".join(rows) + "\n"
