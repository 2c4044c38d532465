"""Ecg → SVG at true scale: 1 unit is 1 mm on paper, 25 mm is a second and 10 mm a millivolt unless asked otherwise.

No script and no style element: colours are presentation attributes, classes are there for the page to recolour, so the
strictest content security policy shows it. Traces keep the highest and lowest value of each step, so no spike is lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape

import numpy as np

from mappers.ecg.model import LEADS, Ecg, Samples

Layout = Literal["3x4+1", "12x1", "strip"]

MARGIN = 5.0  # mm around everything
PULSE = 7.0  # mm for the calibration pulse at the start of each row
STEPS = 8  # points a mm: finer than a 300 dpi printer
UNIT = 100  # path coordinates are hundredths of a mm

_GRID_FINE, _GRID_BOLD, _TRACE, _TEXT = "#f6c9c9", "#e58e8e", "#111111", "#333333"


@dataclass(frozen=True, slots=True)
class Cell:
    """A lead's part of a row: where it begins on paper and in time, and for how long."""

    lead: str
    left: float  # mm from the row's first sample
    start: float  # s
    seconds: float


Row = Sequence[Cell]


def ecg_svg(ecg: Ecg, *, layout: Layout = "3x4+1", speed: float = 25, gain: float = 10, title: str = "") -> str:
    """Draw at `speed` mm/s and `gain` mm/mV. `title` is read out by screen readers; it may name no patient."""
    rows = _rows(ecg, layout, speed)
    height_of_row = _row_height(gain)
    width = round(PULSE + max((cell.left + cell.seconds * speed for row in rows for cell in row), default=100) + 3)
    width = -(-width // 5) * 5
    height = -(-round(height_of_row * len(rows)) // 5) * 5
    whole_width, whole_height = width + 2 * MARGIN, height + 2 * MARGIN + 5
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" class="ecg" role="img" '
        f'width="{whole_width:g}mm" height="{whole_height:g}mm" '
        f'viewBox="{-MARGIN:g} {-MARGIN:g} {whole_width:g} {whole_height:g}">',
        f"<title>{escape(title or 'ECG')}</title><desc>{escape(_description(ecg, layout, speed, gain))}</desc>",
        _grid(width, height),
    ]
    for index, row in enumerate(rows):
        parts.append(_drawn_row(ecg, row, height_of_row * (index + 0.6), speed, gain))
    parts.append(_footer(ecg, height, speed, gain))
    parts.append("</svg>")
    return "".join(parts)


def _rows(ecg: Ecg, layout: Layout, speed: float) -> list[Row]:
    duration = min(ecg.duration, 10.0) if layout == "3x4+1" else ecg.duration
    if layout == "strip":
        lead = _rhythm_lead(ecg.leads)
        return [[Cell(lead, 0, 0, duration)]] if lead else []
    if layout == "12x1":
        return [[Cell(lead, 0, 0, duration)] for lead in ecg.leads]
    column = duration / 4
    rows: list[Row] = [
        [Cell(LEADS[3 * c + r], c * column * speed, c * column, column) for c in range(4) if LEADS[3 * c + r] in ecg.leads]
        for r in range(3)
    ]
    lead = _rhythm_lead(ecg.leads)
    return [*rows, [Cell(lead, 0, 0, duration)] if lead else []]


def _rhythm_lead(leads: Mapping[str, Samples]) -> str:
    return next((lead for lead in ("II", "V1", *leads) if lead in leads), "")


def _row_height(gain: float) -> float:
    """3 mV a row; at low gains still enough for the labels."""
    return max(25.0, 3.0 * gain)


def _grid(width: int, height: int) -> str:
    def lines(step: int) -> str:
        across = "".join(f"M0 {y}H{width}" for y in range(0, height + 1, step))
        return across + "".join(f"M{x} 0V{height}" for x in range(0, width + 1, step))

    return (
        f'<path class="ecg-fine" d="{lines(1)}" fill="none" stroke="{_GRID_FINE}" stroke-width="0.1"/>'
        f'<path class="ecg-bold" d="{lines(5)}" fill="none" stroke="{_GRID_BOLD}" stroke-width="0.2"/>'
    )


def _drawn_row(ecg: Ecg, row: Row, baseline: float, speed: float, gain: float) -> str:
    parts = [_pulse(baseline, gain)] if row else []
    for cell in row:
        left = PULSE + cell.left
        path = _trace(_cut(ecg.leads[cell.lead], cell, ecg.sampling_rate), ecg.sampling_rate, speed, gain)
        parts.append(
            f'<g class="ecg-lead" transform="translate({left:g} {baseline:g})">'
            f"{_text('ecg-label', 0.8, -7, cell.lead)}"
            f'<path class="ecg-trace" transform="scale({1 / UNIT:g})" d="{path}" fill="none" stroke="{_TRACE}" '
            f'stroke-width="{0.25 * UNIT:g}" stroke-linejoin="round"/></g>'
        )
        if cell.left:
            parts.append(f'<path class="ecg-cut" d="M{left:g} {baseline - 6:g}v3" stroke="{_TRACE}" stroke-width="0.25"/>')
    return "".join(parts)


def _pulse(baseline: float, gain: float) -> str:
    """1 mV for 5 mm: what the gain means, seen."""
    return (
        f'<path class="ecg-pulse" d="M0.5 {baseline:g}h0.5v{-gain:g}h5v{gain:g}h0.5" fill="none" '
        f'stroke="{_TRACE}" stroke-width="0.25"/>'
    )


def _cut(samples: Samples, cell: Cell, rate: float) -> Samples:
    return samples[round(cell.start * rate) : round((cell.start + cell.seconds) * rate)]


def _trace(samples: Samples, rate: float, speed: float, gain: float) -> str:
    """µV → path data in hundredths of a mm, relative steps; a gap where nothing was recorded."""
    if not len(samples):
        return ""
    x, y = _thinned(samples, max(1, round(rate / speed / STEPS * 2)))
    across = np.round(x / rate * speed * UNIT).astype(np.int64)
    there = ~np.isnan(y)
    up = np.round(np.where(there, -y, 0) / 1000 * gain * UNIT).astype(np.int64)
    parts: list[str] = []
    begins = np.flatnonzero(there & ~np.concatenate(([False], there[:-1])))
    ends = np.flatnonzero(there & ~np.concatenate((there[1:], [False]))) + 1
    for begin, end in zip(begins, ends, strict=True):
        dx, dy = np.diff(across[begin:end]), np.diff(up[begin:end])
        steps = "".join(f"{a} {b} " if b >= 0 else f"{a}{b} " for a, b in zip(dx.tolist(), dy.tolist(), strict=True))
        parts.append(f"M{across[begin]} {up[begin]}l{steps.rstrip() or '0 0'}")
    return "".join(parts)


def _thinned(samples: Samples, bucket: int) -> tuple[Samples, Samples]:
    """Of each `bucket` samples the lowest and the highest, in the order they come."""
    positions = np.arange(len(samples), dtype=np.float32)
    if bucket <= 2:
        return positions, samples
    whole = len(samples) // bucket * bucket
    blocks = samples[:whole].reshape(-1, bucket)
    filled = np.where(np.isnan(blocks), 0, blocks)
    low, high = filled.argmin(axis=1), filled.argmax(axis=1)
    first, second = np.minimum(low, high), np.maximum(low, high)
    rows = np.arange(len(blocks))
    order = np.empty(2 * len(blocks), dtype=np.int64)
    order[0::2], order[1::2] = rows * bucket + first, rows * bucket + second
    order = np.unique(np.concatenate((order, np.arange(whole, len(samples)))))
    return positions[order], samples[order]


def _footer(ecg: Ecg, height: int, speed: float, gain: float) -> str:
    facts = [f"{speed:g} mm/s", f"{gain:g} mm/mV", f"{ecg.sampling_rate:g} Hz", ecg.filters, ecg.started.replace("T", " ")[:19]]
    text = "   ".join(fact for fact in facts if fact)
    return _text("ecg-facts", 0, height + 4, text)


def _text(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" font-family="sans-serif" font-size="3" fill="{_TEXT}">{escape(text)}</text>'


def _description(ecg: Ecg, layout: str, speed: float, gain: float) -> str:
    measured = ", ".join(f"{m.kind.replace('_', ' ')} {m.value}" for m in ecg.measurements)
    leads = ", ".join(ecg.leads)
    return f"{ecg.duration:g} s, leads {leads}; {layout}, {speed:g} mm/s, {gain:g} mm/mV. {measured}".strip()
