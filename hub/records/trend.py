"""One test's course as an SVG drawing without script: points by source, its own reference band, a line only within one series.

Each facility has its own shape, so that colour is never the only sign; every point has a title; the page puts a table beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from markupsafe import Markup, escape

from hub.records.dates import instant
from hub.records.events import out_of_range
from hub.records.labs import Result, Series

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 16, 34
SVG = "http://www.w3.org/2000/svg"
SAID = 12  # of the newest results, to who listens instead of looking; the table has all
SHAPES = ("circle", "square", "triangle", "diamond")


@dataclass(frozen=True, slots=True)
class Scale:
    """A value's place on an axis of `length` starting at `start`."""

    low: float
    high: float
    start: float
    length: float
    upward: bool = False

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(self.start + self.length * (1 - share if self.upward else share), 1)


def trend_svg(series: Series, facility_name: Callable[[str], str], *, title: str) -> Markup:
    """A drawing of one unit and one method; `title` is its name for a screen reader."""
    results = [r for r in series.results if r.number is not None]
    facilities = list(dict.fromkeys(r.facility for r in results))
    x = _time_scale(results)
    y = _value_scale(results)
    parts = [
        *_bands(results, facilities, y),
        *_value_axis(y),
        *_time_axis(results, x),
        _line(results, x, y),
        *(_point(r, x, y, SHAPES[facilities.index(r.facility) % len(SHAPES)], facility_name) for r in results),
    ]
    course = "; ".join(f"{r.at[:10]} {r.value} {r.unit}" for r in results[-SAID:])
    head = f'<svg class="trend" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}" xmlns="{SVG}">'
    head += f"<desc>{escape(course)}</desc>"
    return Markup(f"{head}{''.join(parts)}</svg>")  # noqa: S704  numbers of ours, and text escaped where it enters


def shape_svg(number: int) -> Markup:
    """The legend's sign of the n-th facility."""
    sign = _shape(SHAPES[number % len(SHAPES)], 6, 6)
    return Markup(f'<svg class="sign" viewBox="0 0 12 12" aria-hidden="true">{sign}</svg>')  # noqa: S704


def facilities_of(series: Series) -> tuple[str, ...]:
    return tuple(dict.fromkeys(r.facility for r in series.results))


def _time_scale(results: Sequence[Result]) -> Scale:
    times = [instant(r.at) for r in results]
    return Scale(min(times), max(times), LEFT + 12, WIDTH - LEFT - RIGHT - 24)


def _value_scale(results: Sequence[Result]) -> Scale:
    values = [float(v) for r in results for v in (r.number, r.low, r.high) if v is not None]
    low, high = min(values), max(values)
    margin = (high - low) * 0.12 or abs(high) * 0.1 or 1.0
    return Scale(low - margin, high + margin, TOP, HEIGHT - TOP - BOTTOM, upward=True)


def _bands(results: Sequence[Result], facilities: Sequence[str], y: Scale) -> Iterable[str]:
    """Each distinct reference interval once, in the tone of the facility that stated it first."""
    seen: dict[tuple[Decimal | None, Decimal | None], int] = {}
    for result in results:
        if result.low is not None or result.high is not None:
            seen.setdefault((result.low, result.high), facilities.index(result.facility))
    for (low, high), number in seen.items():
        top = y(float(high)) if high is not None else TOP
        bottom = y(float(low)) if low is not None else HEIGHT - BOTTOM
        yield (
            f'<rect class="band band-{number % len(SHAPES)}" x="{LEFT}" y="{top}" width="{WIDTH - LEFT - RIGHT}" '
            f'height="{round(max(0.0, bottom - top), 1)}"/>'
        )


def _value_axis(y: Scale) -> Iterable[str]:
    step = round_step(y.high - y.low)
    for multiple in range(math.ceil(y.low / step), math.floor(y.high / step) + 1):
        place = y(multiple * step)
        yield f'<line class="gridline" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{place}" y2="{place}"/>'
        yield f'<text class="tick" x="{LEFT - 6}" y="{place + 4}" text-anchor="end">{multiple * step:.{_digits(step)}f}</text>'


def round_step(span: float) -> float:
    """1, 2 or 5 times a power of ten, for three to six lines over `span`: an axis that a person can count along."""
    power = 10.0 ** math.floor(math.log10(span / 3))
    return next(power * factor for factor in (5, 2, 1) if power * factor * 3 <= span)


def _digits(step: float) -> int:
    return max(0, -math.floor(math.log10(step)))


def _time_axis(results: Sequence[Result], x: Scale) -> Iterable[str]:
    """First and last day, and those between that leave room."""
    taken: list[float] = []
    ordered = [results[0], results[-1], *results[1:-1]]
    for result in ordered:
        place = x(instant(result.at))
        if all(abs(place - other) >= 120 for other in taken):
            taken.append(place)
            anchor = "start" if place < LEFT + 40 else "end" if place > WIDTH - RIGHT - 40 else "middle"
            yield f'<text class="tick" x="{place}" y="{HEIGHT - 12}" text-anchor="{anchor}">{escape(result.at[:10])}</text>'


def _line(results: Sequence[Result], x: Scale, y: Scale) -> str:
    points = " ".join(f"{x(instant(r.at))},{y(float(r.number or 0))}" for r in results)
    return f'<polyline class="line" points="{points}"/>' if len(results) > 1 else ""


def _point(result: Result, x: Scale, y: Scale, shape: str, facility_name: Callable[[str], str]) -> str:
    label = f"{result.at[:10]} {result.value} {result.unit} {facility_name(result.facility)}"
    out = " out" if out_of_range(result.flag) else ""
    place = _shape(shape, x(instant(result.at)), y(float(result.number or 0)))
    return f'<g class="point{out}"><title>{escape(label)}</title>{place}</g>'


def _shape(shape: str, x: float, y: float) -> str:
    if shape == "circle":
        return f'<circle cx="{x}" cy="{y}" r="4.5"/>'
    if shape == "square":
        return f'<rect x="{x - 4}" y="{y - 4}" width="8" height="8"/>'
    if shape == "triangle":
        return f'<polygon points="{x},{y - 5.5} {x + 5},{y + 4} {x - 5},{y + 4}"/>'
    return f'<polygon points="{x},{y - 5.5} {x + 5.5},{y} {x},{y + 5.5} {x - 5.5},{y}"/>'
