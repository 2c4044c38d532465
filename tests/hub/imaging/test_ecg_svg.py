"""The drawing is a measure: 25 mm are a second, 10 mm a millivolt."""

from __future__ import annotations

import gzip
import re

import numpy as np
import pytest
from lxml import etree

from demo.pacs_objects import twelve_lead_ecg
from hub.imaging.ecg_svg import PULSE, UNIT, ecg_svg
from mappers.ecg.dicom_waveform import ecg_from_dicom
from mappers.ecg.model import LEADS, Ecg
from tests.mappers.dicom.material import SAMPLES, exam, read

SVG = {"s": "http://www.w3.org/2000/svg"}
MADE = ecg_from_dicom(twelve_lead_ecg(exam())[0])


def tree(svg):
    return etree.fromstring(svg.encode())


def points(path):
    """Absolute points of a trace, mm from its row's first sample."""
    found = []
    for start_x, start_y, steps in re.findall(r"M(-?\d+) (-?\d+)l([^M]*)", path):
        x, y = int(start_x), int(start_y)
        found.append((x, y))
        numbers = [int(number) for number in re.findall(r"-?\d+", steps)]
        for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
            x, y = x + dx, y + dy
            found.append((x, y))
    return np.array(found) / UNIT


def traces(svg):
    return [points(node.get("d")) for node in tree(svg).iterfind(".//s:path[@class='ecg-trace']", SVG)]


@pytest.mark.parametrize(
    ("layout", "count", "leads"), [("3x4+1", 13, [*LEADS, "II"]), ("12x1", 12, list(LEADS)), ("strip", 1, ["II"])]
)
def test_layouts_show_their_leads(layout, count, leads):
    drawing = tree(ecg_svg(MADE, layout=layout))
    labels = [node.text for node in drawing.iterfind(".//s:text[@class='ecg-label']", SVG)]
    assert sorted(labels) == sorted(leads)
    assert len(drawing.findall(".//s:path[@class='ecg-trace']", SVG)) == count
    if layout == "3x4+1":
        assert labels == ["I", "aVR", "V1", "V4", "II", "aVL", "V2", "V5", "III", "aVF", "V3", "V6", "II"]


@pytest.mark.parametrize(("speed", "gain"), [(25, 10), (50, 20), (12.5, 5)])
def test_time_and_voltage_have_their_length_on_paper(speed, gain):
    samples = np.zeros(5000, np.float32)
    samples[1000], samples[3500] = 1500, -500
    (line,) = traces(ecg_svg(Ecg(leads={"II": samples}, sampling_rate=500), layout="strip", speed=speed, gain=gain))
    top, bottom = line[line[:, 1].argmin()], line[line[:, 1].argmax()]
    assert top[0] == pytest.approx(2 * speed, abs=0.06)
    assert bottom[0] - top[0] == pytest.approx(5 * speed, abs=0.12)
    assert (top[1], bottom[1]) == (pytest.approx(-1.5 * gain), pytest.approx(0.5 * gain))


def test_thinning_keeps_every_extreme():
    lines = traces(ecg_svg(MADE, layout="12x1"))
    for line, samples in zip(lines, MADE.leads.values(), strict=True):
        assert -line[:, 1].min() == pytest.approx(samples.max() / 100, abs=0.01)
        assert -line[:, 1].max() == pytest.approx(samples.min() / 100, abs=0.01)


def test_nothing_is_drawn_where_nothing_was_recorded():
    samples = np.full(1000, 300, np.float32)
    samples[400:600] = np.nan
    (line,) = traces(ecg_svg(Ecg(leads={"V1": samples}, sampling_rate=500), layout="strip"))
    assert not np.any((line[:, 0] > 20.1) & (line[:, 0] < 29.9))
    assert set(line[:, 1]) == {-3.0}


def test_grid_and_pulse_are_in_millimetres():
    drawing = tree(ecg_svg(MADE))
    width, height = map(float, drawing.get("viewBox").split()[2:])
    assert drawing.get("width") == f"{width:g}mm"
    assert drawing.get("height") == f"{height:g}mm"
    bold = drawing.find(".//s:path[@class='ecg-bold']", SVG).get("d")
    assert {int(x) % 5 for x in re.findall(r"M(\d+) 0V", bold)} == {0}
    fine = [int(x) for x in re.findall(r"M(\d+) 0V", drawing.find(".//s:path[@class='ecg-fine']", SVG).get("d"))]
    assert fine == list(range(len(fine)))
    assert "v-10h5v10" in drawing.find(".//s:path[@class='ecg-pulse']", SVG).get("d")
    assert PULSE > 6


@pytest.mark.parametrize("file", ["hl7example_12lead_500hz.dcm", "mortara_12lead_1000hz.dcm"])
@pytest.mark.parametrize("layout", ["3x4+1", "12x1", "strip"])
def test_real_recordings_stay_small(file, layout):
    svg = ecg_svg(ecg_from_dicom(read(SAMPLES / "ecg" / "dicom" / file)), layout=layout)
    assert len(gzip.compress(svg.encode())) < 100_000


def test_it_needs_no_script_and_no_style_and_speaks():
    svg = ecg_svg(MADE, title="心电图 <1>")
    assert not re.search(r"<script|<style|style=|href|on\w+=", svg)
    drawing = tree(svg)
    assert drawing.find("s:title", SVG).text == "心电图 <1>"
    assert "heart rate 72" in drawing.find("s:desc", SVG).text


def test_an_ecg_without_leads_is_an_empty_grid():
    assert traces(ecg_svg(Ecg(leads={}, sampling_rate=500))) == []
