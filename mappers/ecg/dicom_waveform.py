"""DICOM 12-lead, General and Ambulatory ECG waveform objects → Ecg.

Waveform module: https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.10.9.html
Leads: CID 3001; measurements: CID 3687, 3689, 3227, 3229 (MDC) and the SCP-ECG codes that carts before 2008 write.
"""

from __future__ import annotations

from decimal import Decimal
from io import BytesIO
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from mappers.base import Issue
from mappers.datatypes import decimal_of
from mappers.dicom.datatypes import datetime_from_dt, fhir_datetime
from mappers.dicom.header import Header, HeaderError, read_header
from mappers.ecg.model import KINDS, LEAD_NUMBERS, Ecg, EcgError, Measurement, Samples, Subject, as_measured, in_order

ECG_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.9.1.1",  # 12-lead ECG
        "1.2.840.10008.5.1.4.1.1.9.1.2",  # General ECG
        "1.2.840.10008.5.1.4.1.1.9.1.3",  # Ambulatory ECG
        "1.2.840.10008.5.1.4.1.1.9.1.4",  # General 32-bit ECG
    }
)

# Coding scheme and code → kind of measurement
_CONCEPTS = {
    ("SCPECG", "5.10.2.1-3"): "rr_interval",
    ("SCPECG", "5.13.5-7"): "pr_interval",
    ("SCPECG", "5.13.5-9"): "qrs_duration",
    ("SCPECG", "5.13.5-11"): "qt_interval",
    ("SCPECG", "5.10.2.5-5"): "qtc_interval",
    ("SCPECG", "5.10.3-11"): "p_axis",
    ("SCPECG", "5.10.3-13"): "qrs_axis",
    ("SCPECG", "5.10.3-15"): "t_axis",
    ("MDC", "2:16770"): "heart_rate",
    ("MDC", "2:16000"): "rr_interval",
    ("MDC", "2:16184"): "p_duration",
    ("MDC", "2:15872"): "pr_interval",
    ("MDC", "2:16156"): "qrs_duration",
    ("MDC", "2:16160"): "qt_interval",
    ("MDC", "2:15876"): "qtc_interval",
    ("MDC", "2:15880"): "qtc_interval",  # Bazett
    ("MDC", "2:15892"): "qtc_interval",  # Fridericia
    ("MDC", "2:16128"): "p_axis",
    ("MDC", "2:16132"): "qrs_axis",
    ("MDC", "2:16136"): "t_axis",
}
# Carts with private codes still write these names
_NAMES = {
    "heart rate": "heart_rate",
    "ventricular heart rate": "heart_rate",
    "ventricular rate": "heart_rate",
    "rr interval": "rr_interval",
    "pr interval": "pr_interval",
    "qrs duration": "qrs_duration",
    "qt interval": "qt_interval",
    "qtc interval": "qtc_interval",
    "p axis": "p_axis",
    "qrs axis": "qrs_axis",
    "t axis": "t_axis",
}
_UNIT_SPELLINGS = {
    "/min": {"/min", "bpm", "{h.b.}/min", "{H.B.}/min", "{beats}/min", "1/min"},
    "ms": {"ms", "msec"},
    "deg": {"deg", "degrees", "°"},
}
_TO_MICROVOLT = {"uV": 1.0, "µV": 1.0, "mV": 1000.0, "V": 1_000_000.0}
_SAMPLE_TYPES = {("SS", 16): "i2", ("US", 16): "u2", ("SB", 8): "i1", ("UB", 8): "u1", ("SL", 32): "i4", ("UL", 32): "u4"}

MAX_CHANNELS, MAX_SAMPLES = 64, 50_000_000

_TEXT_VALUE, _CODE_MEANING = 0x00700006, 0x00080104


def ecg_from_dicom(content: bytes, *, charset: str = "", zone: str = "+08:00") -> Ecg:
    """Read a DICOM ECG. Raise EcgError if it holds no waveform that can be read."""
    try:
        header = read_header(content, charset=charset)
    except HeaderError as error:
        raise EcgError(str(error)) from None
    try:
        return _read(content, header, header.text(0x00080201) or zone)
    except EcgError:
        raise
    except Exception as error:  # pydicom raises whatever the bytes lead it to
        raise EcgError(f"the waveform cannot be read ({type(error).__name__})") from None


def _read(content: bytes, header: Header, zone: str) -> Ecg:
    dataset = dcmread(BytesIO(content), force=True, stop_before_pixels=True)
    issues: list[Issue] = []
    groups = _rhythm_groups(dataset)
    rate = float(groups[0].SamplingFrequency)
    leads: dict[str, Samples] = {}
    for group in groups:
        for name, samples in _leads(group, header.endian, issues).items():
            if len(samples) > len(leads.get(name, ())):
                leads[name] = samples
    annotations = list(dataset.get("WaveformAnnotationSequence") or ())
    return Ecg(
        leads=in_order(leads),
        sampling_rate=rate,
        started=datetime_from_dt(header.text(0x0008002A), zone)
        or fhir_datetime(header.text(0x00080020), header.text(0x00080030), zone),
        measurements=_measurements(annotations, issues),
        statements=_statements(annotations, header),
        subject=Subject(header.text(0x00100020), header.text(0x00100010), header.text(0x00100040), header.text(0x00100030)),
        filters=_filters(groups[0]),
        device=" ".join(part for part in (header.text(0x00080070), header.text(0x00081090)) if part),
        issues=tuple(issues),
    )


def _rhythm_groups(dataset: Dataset) -> list[Dataset]:
    """The recorded groups of one sampling rate, the longest first: a median beat is DERIVED."""
    groups = [g for g in dataset.get("WaveformSequence") or () if float(g.get("SamplingFrequency") or 0) > 0]
    if not groups:
        raise EcgError("no multiplex group with a sampling frequency")
    recorded = [g for g in groups if g.get("WaveformOriginality", "ORIGINAL") == "ORIGINAL"] or groups
    recorded.sort(key=lambda g: -int(g.NumberOfWaveformSamples) / float(g.SamplingFrequency))
    return [g for g in recorded if float(g.SamplingFrequency) == float(recorded[0].SamplingFrequency)]


def _leads(group: Dataset, endian: str, issues: list[Issue]) -> dict[str, Samples]:
    channels = list(group.ChannelDefinitionSequence)
    count = int(group.NumberOfWaveformSamples)
    if not 0 < len(channels) <= MAX_CHANNELS or not 0 < count <= MAX_SAMPLES:
        raise EcgError(f"{len(channels)} channels of {count} samples")
    raw = _samples(group, len(channels), count, endian, issues)
    recorded = _recorded(raw, group)
    leads: dict[str, Samples] = {}
    for index, channel in enumerate(channels):
        name = _lead_name(channel.ChannelSourceSequence[0]) or f"channel {index + 1}"
        values = raw[:, index].astype(np.float32) * np.float32(_microvolts(channel)) + np.float32(_baseline(channel))
        values[~recorded[:, index]] = np.nan
        leads[name] = values
    return leads


def _samples(group: Dataset, channels: int, count: int, endian: str, issues: list[Issue]) -> Any:
    """Samples × channels as they are stored; what is missing at the end is named, not invented."""
    interpretation, bits = str(group.WaveformSampleInterpretation), int(group.WaveformBitsAllocated)
    code = _SAMPLE_TYPES.get((interpretation, bits))
    if code is None:
        raise EcgError(f"samples of type {interpretation[:2]} in {bits} bits")
    kind = np.dtype(endian + code)
    data = bytes(group.WaveformData or b"")
    held = min(count, len(data) // (kind.itemsize * channels))
    if held == 0:
        raise EcgError("no samples")
    if held < count:
        issues.append(Issue("invalid-value", "(5400,1010)", f"{count} samples stated, {held} there"))
    return np.frombuffer(data, kind, held * channels).reshape(held, channels)


def _recorded(raw: Any, group: Dataset) -> Any:
    """Where a sample was recorded.

    Some carts declare an ordinary value (0) as padding. So the padding value counts only where it cannot be a sample: at the
    end of the number range, or where every channel holds it from some point to the end or from the beginning on.
    """
    recorded = np.ones(raw.shape, bool)
    padding = group.get("WaveformPaddingValue")
    if padding is None:
        return recorded
    value = np.frombuffer(bytes(padding)[: raw.dtype.itemsize], raw.dtype)[0] if isinstance(padding, bytes) else padding
    limits = np.iinfo(raw.dtype)
    if value in (limits.min, limits.max):
        return raw != value
    everywhere = (raw == value).all(axis=1)
    if everywhere.all():
        return recorded
    first = int(np.argmin(everywhere))
    last = len(everywhere) - int(np.argmin(everywhere[::-1]))
    recorded[:first] = recorded[last:] = False
    return recorded


def _microvolts(channel: Dataset) -> float:
    """µV of one step: sensitivity × correction factor, in the unit stated (PS3.3 C.10.9.1.4.2)."""
    sensitivity = channel.get("ChannelSensitivity")
    if sensitivity in (None, ""):
        raise EcgError("a channel without sensitivity")
    correction = channel.get("ChannelSensitivityCorrectionFactor")
    return float(sensitivity) * float(correction if correction not in (None, "") else 1) * _unit(channel)


def _baseline(channel: Dataset) -> float:
    return float(channel.get("ChannelBaseline") or 0) * _unit(channel)


def _unit(channel: Dataset) -> float:
    units = channel.get("ChannelSensitivityUnitsSequence")
    code = str(units[0].get("CodeValue", "")) if units else ""
    if code not in _TO_MICROVOLT:
        raise EcgError("a channel that is not in volts")
    return _TO_MICROVOLT[code]


def _lead_name(source: Dataset) -> str:
    code, scheme = str(source.get("CodeValue", "")), str(source.get("CodingSchemeDesignator", ""))
    number = code.removeprefix("5.6.3-9-") if scheme == "SCPECG" else code.removeprefix("2:")
    if number.isdecimal() and int(number) in LEAD_NUMBERS:
        return LEAD_NUMBERS[int(number)]
    meaning = str(source.get("CodeMeaning", "")).removeprefix("Lead ").split(" ")[0]
    return next((lead for lead in LEAD_NUMBERS.values() if lead.lower() == meaning.lower()), "")


def _measurements(annotations: list[Dataset], issues: list[Issue]) -> tuple[Measurement, ...]:
    found: dict[str, Decimal] = {}
    for annotation in annotations:
        concept, value = _first(annotation, "ConceptNameCodeSequence"), annotation.get("NumericValue")
        if concept is None or value in (None, ""):
            continue
        kind = _kind(concept)
        if not kind or kind in found:
            continue
        number = decimal_of(str(next(iter(value), "") if isinstance(value, (list, tuple, MultiValue)) else value))
        if number is None:
            issues.append(Issue("invalid-value", f"(0040,A30A) {kind}", "not a number"))
            continue
        unit = _first(annotation, "MeasurementUnitsCodeSequence")
        if unit is not None and str(unit.get("CodeValue", "")) not in _UNIT_SPELLINGS[KINDS[kind].unit]:
            issues.append(Issue("conflict", f"(0040,08EA) {kind}", f"read as {KINDS[kind].unit}"))
        found[kind] = number
    return as_measured(found)


def _kind(concept: Dataset) -> str:
    code = (str(concept.get("CodingSchemeDesignator", "")), str(concept.get("CodeValue", "")))
    return _CONCEPTS.get(code) or _NAMES.get(str(concept.get("CodeMeaning", "")).lower(), "")


def _first(dataset: Dataset, keyword: str) -> Dataset | None:
    sequence = dataset.get(keyword)
    return sequence[0] if sequence else None


def _statements(annotations: list[Dataset], header: Header) -> tuple[str, ...]:
    """Unformatted text and coded interpretation, in the file's order; their bytes help to choose the character set."""
    raw = [text for annotation in annotations if (text := _raw(annotation, _TEXT_VALUE) or _coded_statement(annotation))]
    decoder = header.decoder_with(raw)
    texts = (decoder.decode(text).strip() for text in raw)
    return tuple(dict.fromkeys(text for text in texts if text))


def _coded_statement(annotation: Dataset) -> bytes:
    concept = _first(annotation, "ConceptCodeSequence")
    return _raw(concept, _CODE_MEANING) if concept is not None else b""


def _raw(dataset: Dataset, tag: int) -> bytes:
    """The element's bytes, before pydicom decodes them by its own tables."""
    if tag not in dataset:
        return b""
    value = dataset.get_item(tag).value
    return value if isinstance(value, bytes) else str(value or "").encode("utf-8")


def _filters(group: Dataset) -> str:
    channel = group.ChannelDefinitionSequence[0]
    low, high = channel.get("FilterLowFrequency"), channel.get("FilterHighFrequency")
    notch = channel.get("NotchFilterFrequency")
    band = f"{float(low):g}-{float(high):g} Hz" if low not in (None, "") and high not in (None, "") else ""
    return ", ".join(part for part in (band, f"notch {float(notch):g} Hz" if notch else "") if part)
