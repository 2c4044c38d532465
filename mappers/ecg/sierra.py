"""Philips Sierra XML (1.03, 1.04, 1.04.01: PageWriter, HeartStart) → Ecg.

Format as worked out by https://github.com/sixlettervariables/sierra-ecg-tools (MIT). Of the twelve leads I, II and V1 to V6 are
stored whole; III, aVR, aVL and aVF as what they differ from what I and II say.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from datetime import date
from decimal import Decimal

import numpy as np
from lxml import etree
from numpy.typing import NDArray

from mappers.base import Issue
from mappers.datatypes import decimal_of
from mappers.dicom.datatypes import zone_offset
from mappers.ecg.model import LEADS, Ecg, EcgError, Measurement, Samples, Subject, as_measured, in_order
from mappers.ecg.xli import unpacked
from mappers.ecg.xml import root_of

NAMESPACE = "http://www3.medical.philips.com"
VERSIONS = frozenset({"1.03", "1.04", "1.04.01"})
MAX_SAMPLES = 1_000_000  # a lead
_S = {"s": NAMESPACE}

# What the versions call a measurement: the first that holds a number
_ELEMENTS = {
    "heart_rate": ("heartrate", "meanventrate"),
    "rr_interval": ("rrint",),
    "p_duration": ("pdur",),
    "pr_interval": ("print", "meanprint"),
    "qrs_duration": ("qrsdur", "meanqrsdur"),
    "qt_interval": ("qtint", "meanqtint"),
    "qtc_interval": ("qtcb", "meanqtc"),
    "p_axis": ("pfrontaxis",),
    "qrs_axis": ("qrsfrontaxis",),
    "t_axis": ("tfrontaxis",),
}
_SEX = {"male": "M", "female": "F"}

# How a lead follows from I, II (and III), and how its stored difference counts
_FOLLOWS: dict[str, tuple[Callable[[dict[str, NDArray[np.int32]]], NDArray[np.int32]], int]] = {
    "III": (lambda leads: leads["II"] - leads["I"], -1),
    "aVR": (lambda leads: -((leads["I"] + leads["II"]) // 2), -1),
    "aVL": (lambda leads: (leads["I"] - leads["III"]) // 2, -1),
    "aVF": (lambda leads: (leads["II"] + leads["III"]) // 2, -1),
}


def ecg_from_sierra(content: bytes, *, zone: str = "+08:00") -> Ecg:
    """Read a Sierra ECG. Raise EcgError if it is none, or holds no waveform that can be read."""
    root = root_of(content)
    if root.tag != f"{{{NAMESPACE}}}restingecgdata":
        raise EcgError("no restingecgdata")
    issues: list[Issue] = []
    version = _text(root, "s:documentinfo/s:documentversion")
    if version not in VERSIONS:
        issues.append(Issue("unsupported", "documentversion", "read as 1.04.01"))
    rate, leads = _leads(root)
    machine = root.find("s:dataacquisition/s:machine", _S)
    return Ecg(
        leads=in_order(leads),
        sampling_rate=rate,
        started=_started(root, zone),
        measurements=_measurements(root, issues),
        statements=_statements(root),
        subject=_subject(root),
        filters=_filters(root),
        record_id=_text(root, "s:documentinfo/s:documentname"),
        order_number=_text(root, "s:orderinfo/s:ordernumber"),
        device=f"Philips {(machine.text or '').strip()}".strip() if machine is not None else "Philips",
        issues=tuple(issues),
    )


def _leads(root: etree._Element) -> tuple[float, dict[str, Samples]]:
    waveforms = root.find("s:waveforms/s:parsedwaveforms", _S)
    if waveforms is None:
        raise EcgError("no parsedwaveforms")
    signal = root.find("s:dataacquisition/s:signalcharacteristics", _S)
    rate = _number(waveforms.get("samplespersecond") or _below(signal, "samplingrate"), "sampling rate")
    step = _number(waveforms.get("resolution") or _below(signal, "resolution") or _below(signal, "signalresolution"), "resolution")
    count = round(_number(waveforms.get("durationperchannel"), "duration") * rate / 1000)
    if not 0 < rate <= 100_000 or not 0 < count <= MAX_SAMPLES:
        raise EcgError(f"{count} samples at {rate:g} a second")
    names = (waveforms.get("leadlabels") or " ".join(LEADS)).split()
    stored = _stored(waveforms, names, count)
    return rate, {name: (values[:count] * step).astype(np.float32) for name, values in _whole(stored).items()}


def _stored(waveforms: etree._Element, names: list[str], count: int) -> dict[str, NDArray[np.int32]]:
    packing = waveforms.get("compression") or waveforms.get("compressmethod") or ""
    if packing.upper() not in ("XLI", "", "NONE", "UNCOMPRESSED") or waveforms.get("dataencoding", "Base64").lower() != "base64":
        raise EcgError(f"waveforms packed as {packing[:16]!r}")
    try:
        data = base64.b64decode("".join((waveforms.text or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise EcgError("the waveforms are no Base64") from None
    if packing.upper() == "XLI":
        chunks = unpacked(data, leads=len(names), samples=count)
    else:
        plain = np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int32)
        chunks = [plain[number * count : (number + 1) * count] for number in range(len(names))]
    found = {name: chunk for name, chunk in zip(names, chunks, strict=False) if len(chunk)}
    if not found:
        raise EcgError("no samples")
    return found


def _whole(stored: dict[str, NDArray[np.int32]]) -> dict[str, NDArray[np.int32]]:
    leads = dict(stored)
    if "I" not in leads or "II" not in leads:
        return leads
    for name, (follows, sign) in _FOLLOWS.items():
        if name in leads and all(len(leads[one]) == len(leads["I"]) for one in ("II", name)):
            leads[name] = follows(leads) + sign * leads[name]
    return leads


def _measurements(root: etree._Element, issues: list[Issue]) -> tuple[Measurement, ...]:
    found: dict[str, Decimal] = {}
    places = (
        root.findall("s:interpretations/s:interpretation/s:globalmeasurements", _S)[:1],
        root.findall("s:interpretations/s:interpretation/s:interpretationmeasurements", _S)[:1],
        root.findall(".//s:globalmeasurements", _S)[:1],
        root.findall(".//s:crossleadmeasurements", _S)[:1],
    )
    for kind, names in _ELEMENTS.items():
        for name in names:
            texts = (_below(node, name) for place in places for node in place)
            if (text := next(filter(None, texts), "")) and kind not in found:
                if (number := decimal_of(text)) is not None:
                    found[kind] = number
                else:  # "Failed", "Indeterminate"
                    issues.append(Issue("invalid-value", name, "not a number: the cart could not measure it", "information"))
    return as_measured(found)


def _statements(root: etree._Element) -> tuple[str, ...]:
    """What the analysis says and why, then its grade ("- ABNORMAL ECG -"); deleted statements are none."""
    said: list[str] = []
    for interpretation in root.findall("s:interpretations/s:interpretation", _S)[:1]:
        for statement in interpretation.iter(f"{{{NAMESPACE}}}statement", f"{{{NAMESPACE}}}codedstatement"):
            if statement.get("deleted") == "True":
                continue
            left = _below(statement, "leftstatement") or _text(statement, "s:unparsedstatement/s:lhsstatement")
            modifiers = " ".join(filter(None, (_own(node) for node in statement.findall("s:modifiers/s:modifier", _S))))
            said.append(" ".join(filter(None, (modifiers, left))))
        said.append(_below(interpretation, "severity"))
    return tuple(dict.fromkeys(filter(None, said)))


def _subject(root: etree._Element) -> Subject:
    person = root.find("s:patient/s:generalpatientdata", _S)
    if person is None:
        return Subject()
    family, given = (_text(person, f"s:name/s:{part}") for part in ("lastname", "firstname"))
    birth = _text(person, "s:age/s:dateofbirth")
    try:
        day = date.fromisoformat(birth).strftime("%Y%m%d")
    except ValueError:
        day = ""
    return Subject(
        number=_below(person, "patientid"),
        name=f"{family}^{given}" if given else family,
        sex=_SEX.get(_below(person, "sex").lower(), ""),
        birth_date=day,
    )


def _started(root: etree._Element, zone: str) -> str:
    acquired = root.find("s:dataacquisition", _S)
    day, clock = (acquired.get("date", ""), acquired.get("time", "")) if acquired is not None else ("", "")
    try:
        date.fromisoformat(day)
    except ValueError:
        return ""
    return f"{day}T{clock}{zone_offset(zone)}" if len(clock) == 8 and clock.replace(":", "").isdecimal() else day


def _filters(root: etree._Element) -> str:
    signal = root.find("s:dataacquisition/s:signalcharacteristics", _S)
    low, high = _below(signal, "hipass"), _below(signal, "lowpass")
    band = f"{low}-{high}" if low and high else _below(signal, "signalbandwidth")
    mains = _below(signal, "acsetting") if _below(signal, "notchfiltered") == "True" else ""
    return ", ".join(part for part in (f"{band} Hz" if band else "", f"notch {mains} Hz" if mains else "") if part)


def _number(text: str | None, name: str) -> float:
    try:
        return float(text or "")
    except ValueError:
        raise EcgError(f"no {name}") from None


def _text(node: etree._Element, path: str) -> str:
    found = node.find(path, _S)
    return _own(found) if found is not None else ""


def _below(node: etree._Element | None, name: str) -> str:
    return _text(node, f"s:{name}") if node is not None else ""


def _own(node: etree._Element) -> str:
    return (node.text or "").strip()
