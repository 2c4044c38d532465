"""HL7 aECG (Annotated ECG, December 2003) → Ecg.

Sequences: GLIST says when samples were taken (head, increment), SLIST what they are (origin + digit × scale).
A document type declaration is refused: nothing outside the file is ever read.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from lxml import etree

from mappers.base import Issue
from mappers.datatypes import decimal_of
from mappers.dicom.datatypes import datetime_from_dt
from mappers.ecg.model import Ecg, EcgError, Measurement, Samples, Subject, as_measured, in_order
from mappers.ecg.xml import root_of

_V3 = {"v": "urn:hl7-org:v3"}
_LEAD = "MDC_ECG_LEAD_"
MAX_DIGITS = 8_000_000  # characters of one lead: half an hour at 1000 a second
_CODES = {
    "MDC_ECG_HEART_RATE": "heart_rate",
    "MDC_ECG_TIME_PD_RR": "rr_interval",
    "MDC_ECG_TIME_PD_P": "p_duration",
    "MDC_ECG_TIME_PD_PR": "pr_interval",
    "MDC_ECG_TIME_PD_QRS": "qrs_duration",
    "MDC_ECG_TIME_PD_QT": "qt_interval",
    "MDC_ECG_TIME_PD_QTc": "qtc_interval",
    "MDC_ECG_ANGLE_P_FRONT": "p_axis",
    "MDC_ECG_ANGLE_QRS_FRONT": "qrs_axis",
    "MDC_ECG_ANGLE_T_FRONT": "t_axis",
    "MINDRAY_ECG_P_AXIS": "p_axis",
    "MINDRAY_ECG_QRS_AXIS": "qrs_axis",
    "MINDRAY_ECG_T_AXIS": "t_axis",
}
_STATEMENT = "MDC_ECG_INTERPRETATION_STATEMENT"
_SECONDS = {"s": 1.0, "ms": 0.001, "us": 0.000001}
_MICROVOLTS = {"uV": 1.0, "mV": 1000.0, "V": 1_000_000.0, "nV": 0.001}


def ecg_from_aecg(content: bytes, *, zone: str = "+08:00") -> Ecg:
    """Read an aECG. Raise EcgError if it holds no waveform that can be read."""
    root = _parse(content)
    series = root.find("v:component/v:series", _V3)
    if series is None:
        raise EcgError("no series")
    issues: list[Issue] = []
    rate, leads = _sequences(series)
    return Ecg(
        leads=in_order(leads),
        sampling_rate=rate,
        started=_started(root, series, zone),
        measurements=_measurements(root, issues),
        statements=tuple(dict.fromkeys(filter(None, (_text(node) for node in _annotated(root, _STATEMENT))))),
        subject=_subject(root),
        device=" ".join(dict.fromkeys(filter(None, map(_text, series.findall(".//v:seriesAuthor//v:manufacturerModelName", _V3))))),
        record_id=_record_id(root),
        issues=tuple(issues),
    )


def _record_id(root: etree._Element) -> str:
    own = root.find("v:id", _V3)
    return "^".join(filter(None, (own.get("root", ""), own.get("extension", "")))) if own is not None else ""


def _parse(content: bytes) -> etree._Element:
    root = root_of(content)
    if root.tag != "{urn:hl7-org:v3}AnnotatedECG":
        raise EcgError("no AnnotatedECG")
    return root


def _sequences(series: etree._Element) -> tuple[float, dict[str, Samples]]:
    leads: dict[str, Samples] = {}
    rate = 0.0
    for sequence in series.findall("v:component/v:sequenceSet/v:component/v:sequence", _V3):
        code, value = _code(sequence), sequence.find("v:value", _V3)
        if value is None:
            continue
        if code.startswith(_LEAD):
            leads.setdefault(_lead(code), _samples(value))
        elif (increment := value.find("v:increment", _V3)) is not None:
            seconds = _number(increment) * _SECONDS.get(increment.get("unit", ""), 0)
            rate = 1 / seconds if seconds > 0 else rate
    if not rate or not leads:
        raise EcgError("no leads, or no sampling rate")
    return round(rate, 6), leads


def _lead(code: str) -> str:
    name = code.removeprefix(_LEAD)
    return {"AVR": "aVR", "AVL": "aVL", "AVF": "aVF"}.get(name.upper(), name)


def _samples(value: etree._Element) -> Samples:
    scale, origin = value.find("v:scale", _V3), value.find("v:origin", _V3)
    factor = _MICROVOLTS.get(scale.get("unit", ""), 0.0) if scale is not None else 0.0
    if scale is None or not factor:
        raise EcgError("a lead that is not in volts")
    base = _number(origin) * _MICROVOLTS.get(origin.get("unit", ""), 1.0) if origin is not None else 0.0
    stated = value.findtext("v:digits", "", _V3)
    if len(stated) > MAX_DIGITS:
        raise EcgError(f"a lead of {len(stated)} characters; the limit is {MAX_DIGITS}")
    try:
        digits = np.array(stated.split(), dtype=np.float64)
    except ValueError:
        raise EcgError("a digit that is no number") from None
    return (digits * (_number(scale) * factor) + base).astype(np.float32)


def _number(node: etree._Element) -> float:
    try:
        return float(node.get("value", ""))
    except ValueError:
        raise EcgError("a quantity that is no number") from None


def _code(node: etree._Element) -> str:
    code = node.find("v:code", _V3)
    return code.get("code", "") if code is not None else ""


def _annotated(root: etree._Element, wanted: str) -> list[etree._Element]:
    nodes = root.findall(".//v:annotation", _V3)
    return [value for node in nodes if _code(node) == wanted and (value := node.find("v:value", _V3)) is not None]


def _text(node: etree._Element) -> str:
    return (node.text or node.get("displayName") or node.get("code") or "").strip()


def _measurements(root: etree._Element, issues: list[Issue]) -> tuple[Measurement, ...]:
    found: dict[str, Decimal] = {}
    for code, kind in _CODES.items():
        for value in _annotated(root, code)[:1]:
            number = decimal_of(value.get("value", ""))
            if number is None:
                issues.append(Issue("invalid-value", code, "not a number"))
                continue
            found.setdefault(kind, number * 1000 if value.get("unit") == "s" else number)
    return as_measured(found)


def _started(root: etree._Element, series: etree._Element, zone: str) -> str:
    for node in (series, root):
        for part in ("low", "center", "high"):
            time = node.find(f"v:effectiveTime/v:{part}", _V3)
            if time is not None and (value := datetime_from_dt(time.get("value", ""), zone)):
                return value
    return ""


def _subject(root: etree._Element) -> Subject:
    trial = root.find(".//v:trialSubject", _V3)
    if trial is None:
        return Subject()
    number, gender = trial.find("v:id", _V3), trial.find(".//v:administrativeGenderCode", _V3)
    birth = trial.find(".//v:birthTime", _V3)
    return Subject(
        number=(number.get("extension", "") if number is not None else "") or trial.findtext(".//v:PatientID", "", _V3).strip(),
        name=" ".join((trial.findtext(".//v:name", "", _V3)).split()),
        sex=gender.get("code", "").removeprefix("UN") if gender is not None else "",  # UN: undifferentiated
        birth_date=birth.get("value", "")[:8] if birth is not None else "",
    )
