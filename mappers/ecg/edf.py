"""EDF and EDF+ (continuous) → Ecg: what recording boxes and research files are in.

https://www.edfplus.info/specs/edf.html and edfplus.html. Signals that name no ECG lead are left out; annotations are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np

from mappers.base import Issue
from mappers.dicom.datatypes import zone_offset
from mappers.ecg.model import LEADS, Ecg, EcgError, Samples, Subject, in_order

MAX_SIGNALS, MAX_SAMPLES = 512, 50_000_000
_HEAD, _SIGNAL_HEAD = 256, 256
_MICROVOLTS = {"uv": 1.0, "µv": 1.0, "mv": 1000.0, "v": 1_000_000.0, "nv": 0.001}
_NAMES = {name.lower(): name for name in LEADS}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
# The fields that stand for each signal, all of one kind together: name and width
_FIELDS = (
    ("label", 16), ("transducer", 80), ("dimension", 8), ("physical_min", 8), ("physical_max", 8), ("digital_min", 8),
    ("digital_max", 8), ("filters", 80), ("samples", 8), ("reserved", 32),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Signal:
    lead: str  # "" for what is no ECG lead
    samples: int  # in a data record
    start: int  # its first sample in a data record
    factor: float  # µV of one step
    offset: float  # µV of digital zero
    filters: str


def is_edf(content: bytes) -> bool:
    """Version 0, padded with blanks, and a header length that is a number."""
    return content[:8] == b"0       " and content[184:192].strip().isdigit()


def ecg_from_edf(content: bytes, *, charset: str = "", zone: str = "+08:00") -> Ecg:
    """Raise EcgError if the file is cut within its header or holds no ECG lead."""
    head = _text(content[:_HEAD])
    count, duration = _integer(head[252:256], "number of signals"), _number(head[244:252], "duration of a data record")
    if not 0 < count <= MAX_SIGNALS or duration <= 0 or len(content) < _HEAD + count * _SIGNAL_HEAD:
        raise EcgError(f"{count} signals in a header of {len(content)} bytes")
    if head[192:197] == "EDF+D":
        raise EcgError("a recording with gaps (EDF+D)")
    issues: list[Issue] = []
    signals = list(_signals(content, count))
    leads, rate = _leads(content, signals, _integer(head[236:244], "number of data records"), duration, count, issues)
    return Ecg(
        leads=in_order(leads),
        sampling_rate=rate,
        started=_started(head, zone),
        subject=_subject(content[8:88], charset),
        filters=next((signal.filters for signal in signals if signal.lead and signal.filters), ""),
        issues=tuple(issues),
    )


def _signals(content: bytes, count: int) -> Iterator[_Signal]:
    columns: dict[str, list[str]] = {}
    at = _HEAD
    for name, width in _FIELDS:
        columns[name] = [_text(content[at + n * width : at + (n + 1) * width]).strip() for n in range(count)]
        at += width * count
    start = 0
    for n in range(count):
        row = {name: values[n] for name, values in columns.items()}
        samples = _integer(row["samples"], "samples of a data record")
        if not 0 <= samples <= MAX_SAMPLES:
            raise EcgError(f"a data record of {samples} samples")
        yield _signal(row, samples, start)
        start += samples


def _signal(row: dict[str, str], samples: int, start: int) -> _Signal:
    unit = _MICROVOLTS.get(row["dimension"].lower(), 0.0)
    lead = _lead(row["label"]) if unit else ""
    if not lead:
        return _Signal("", samples, start, 0.0, 0.0, "")
    low, high = _number(row["digital_min"], "digital minimum"), _number(row["digital_max"], "digital maximum")
    physical = _number(row["physical_min"], "physical minimum"), _number(row["physical_max"], "physical maximum")
    if high == low:
        raise EcgError("a signal without a range")
    factor = (physical[1] - physical[0]) / (high - low) * unit
    return _Signal(lead, samples, start, factor, physical[0] * unit - low * factor, row["filters"])


def _lead(label: str) -> str:
    """'ECG II', 'EKG V1', 'II': the standard texts of EDF+ and what boxes write."""
    return _NAMES.get(re.sub(r"^(ECG|EKG|LEAD)[ _-]+", "", label.strip(), flags=re.IGNORECASE).lower(), "")


def _leads(
    content: bytes, signals: list[_Signal], records: int, duration: float, count: int, issues: list[Issue]
) -> tuple[dict[str, Samples], float]:
    wanted = [signal for signal in signals if signal.lead and signal.samples]
    if not wanted:
        raise EcgError("no signal that names an ECG lead")
    width = sum(signal.samples for signal in signals)
    begin = _HEAD + count * _SIGNAL_HEAD
    held = (len(content) - begin) // (2 * width)
    if held < 1:
        raise EcgError("no whole data record")
    if records > held:
        issues.append(Issue("invalid-value", "number of data records", f"{records} stated, {held} there"))
    records = held if records < 0 else min(records, held)  # -1: the box did not know when it began
    data = np.frombuffer(content, "<i2", records * width, begin).reshape(records, width)
    most = max(signal.samples for signal in wanted)
    leads: dict[str, Samples] = {}
    for signal in wanted:
        if signal.samples != most:
            issues.append(Issue("not-mapped", f"lead {signal.lead}", "another sampling rate than the others"))
            continue
        steps = data[:, signal.start : signal.start + signal.samples].reshape(-1)
        leads[signal.lead] = (steps * signal.factor + signal.offset).astype(np.float32)
    return leads, round(most / duration, 6)


def _started(head: str, zone: str) -> str:
    """The header's date has two digits of a year (1985 to 2084); EDF+ states all four."""
    stated = re.match(r"Startdate (\d{2})-([A-Z]{3})-(\d{4})", head[88:168])
    day, month, year = (int(part) if part.isdecimal() else 0 for part in (head[168:170], head[171:173], head[174:176]))
    year += 1900 if year >= 85 else 2000
    if stated and stated[2] in _MONTHS:
        day, month, year = int(stated[1]), _MONTHS.index(stated[2]) + 1, int(stated[3])
    clock = head[176:184].replace(".", "")
    try:
        at = datetime.strptime(f"{year:04}{month:02}{day:02}{clock}", "%Y%m%d%H%M%S")  # noqa: DTZ007  the zone is the site's
    except ValueError:
        return ""
    return f"{at.isoformat()}{zone_offset(zone)}"


def _subject(field: bytes, charset: str) -> Subject:
    """EDF+: number, sex, birth date, name, parted by blanks, X for what is not known; an EDF's free text names nobody surely."""
    text = field.decode(charset, "replace") if charset in ("gbk", "gb18030", "utf-8") else _text(field)
    parts = [("" if part == "X" else part) for part in text.split()]
    if len(parts) < 4 or parts[1] not in ("", "M", "F"):
        return Subject()
    return Subject(parts[0].replace("_", " "), parts[3].replace("_", " "), parts[1], _birth(parts[2]))


def _birth(text: str) -> str:
    day, _, rest = text.partition("-")
    month, _, year = rest.partition("-")
    try:
        return date(int(year), _MONTHS.index(month.upper()) + 1, int(day)).strftime("%Y%m%d")
    except ValueError:
        return ""


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise EcgError(f"{name} is no number") from None
    if not np.isfinite(value):
        raise EcgError(f"{name} is no number")
    return value


def _integer(text: str, name: str) -> int:
    return int(_number(text, name))
