"""SCP-ECG (EN 1064 / ANSI/AAMI EC71, versions 1 and 2) → Ecg.

A record is a checksum, a length and sections, which section 0 points to: 1 who and when, 2 to 6 the signal, 7 measurements, 8 the
machine's statements. A section whose checksum is wrong is left out and named: a curve that may be wrong is worse than none.
"""

from __future__ import annotations

import struct
from binascii import crc_hqx
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from mappers.base import Issue
from mappers.dicom.charset import TextDecoder, decoder_for
from mappers.dicom.datatypes import zone_offset
from mappers.ecg.model import LEAD_NUMBERS, Ecg, EcgError, Measurement, Samples, Subject, as_measured, in_order, with_derived
from mappers.ecg.scp_signal import Beats, HuffmanTable, beats, decoded, expanded, huffman_tables, stored_count, with_beats, zones_of

MAX_BYTES = 64 * 1024 * 1024
MAX_LEADS, MAX_SAMPLES = 64, 5_000_000  # samples of all leads together: 12 leads of 13 minutes at 500 a second
_HEADER = 16  # checksum, number, length, version, protocol, reserved
_POINTER = 10
_SIGNATURE = b"SCPECG"
_UNMEASURED = frozenset({0, 29999, 29998, 19999, 999, -999})
_SEX = {1: "M", 2: "F"}


def is_scp(content: bytes) -> bool:
    """The signature stands in the reserved bytes of section 0; records before version 1.3 have none but point the same way."""
    if content[16:22] == _SIGNATURE:
        return True
    return len(content) >= 32 and struct.unpack_from("<I", content, 2)[0] == len(content) and content[8:10] == b"\0\0"


def ecg_from_scp(content: bytes, *, charset: str = "", zone: str = "+08:00") -> Ecg:
    """Read an SCP-ECG record. Raise EcgError if nothing of its signal can be read."""
    issues: list[Issue] = []
    sections = _sections(content, issues)
    person = _Person.of(sections.get(1, b""), charset, sections.get(8, b""))
    rate, leads = _leads(sections, issues)
    return Ecg(
        leads=in_order(with_derived(leads)),
        sampling_rate=rate,
        started=person.started(zone, issues),
        measurements=_measurements(sections.get(7, b"")),
        statements=tuple(dict.fromkeys(filter(None, map(person.text, _statements(sections.get(8, b"")))))),
        subject=person.subject,
        filters=person.filters,
        device=person.device,
        issues=(*person.issues, *issues),
    )


def _sections(content: bytes, issues: list[Issue]) -> dict[int, bytes]:
    """Section number → its content without header."""
    if not 32 <= len(content) <= MAX_BYTES:
        raise EcgError(f"an SCP-ECG record of {len(content)} bytes")
    checksum, length = struct.unpack_from("<HI", content)
    if length > len(content):
        issues.append(Issue("invalid-value", "record length", f"{length} bytes stated, {len(content)} there"))
    elif checksum and crc_hqx(content[2:length], 0xFFFF) != checksum:
        issues.append(Issue("check-failed", "record checksum", "the sections' own checksums decide"))
    pointers = struct.unpack_from("<I", content, 10)[0]
    if not _HEADER + _POINTER <= pointers <= len(content) - 6:
        raise EcgError(f"section 0 of {pointers} bytes")
    found: dict[int, bytes] = {}
    for at in range(6 + _HEADER, 6 + pointers - _POINTER + 1, _POINTER):
        number, size, index = struct.unpack_from("<HII", content, at)
        if size <= _HEADER or number in found or number == 0:
            continue
        section = _section(content, number, size, index - 1, issues)
        if section is not None:
            found[number] = section
    return found


def _section(content: bytes, number: int, size: int, at: int, issues: list[Issue]) -> bytes | None:
    if at < 6 or at + size > len(content):
        issues.append(Issue("invalid-value", f"section {number}", f"{size} bytes from {at + 1}, the record has {len(content)}"))
        return None
    checksum, stated, length = struct.unpack_from("<HHI", content, at)
    if stated != number or not _HEADER <= length <= size + 1:
        issues.append(Issue("invalid-value", f"section {number}", "its header is not the one that section 0 points to"))
        return None
    if checksum and crc_hqx(content[at + 2 : at + length], 0xFFFF) != checksum:
        issues.append(Issue("check-failed", f"section {number}", "checksum wrong: left out", "error"))
        return None
    return content[at + _HEADER : at + length]


Steps = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Lead:
    name: str
    start: int  # sample number of the first, from 0
    count: int


def _lead_definitions(section: bytes) -> tuple[bool, list[_Lead]]:
    """Section 3: whether reference beats were subtracted, and the leads in the order of the data."""
    if len(section) < 2:
        raise EcgError("no lead definition (section 3)")
    count, flags = section[0], section[1]
    if not 0 < count <= MAX_LEADS or len(section) < 2 + 9 * count:
        raise EcgError(f"section 3: {count} leads in {len(section)} bytes")
    leads = []
    for number in range(count):
        start, end, code = struct.unpack_from("<IIB", section, 2 + 9 * number)
        if not 0 < end - start + 1 <= MAX_SAMPLES:
            raise EcgError(f"section 3: a lead from sample {start} to {end}")
        leads.append(_Lead(LEAD_NUMBERS.get(code, f"lead {code}"), max(start - 1, 0), end - start + 1))
    if (samples := sum(lead.count for lead in leads)) > MAX_SAMPLES:
        raise EcgError(f"section 3: {samples} samples; the limit is {MAX_SAMPLES}")
    return bool(flags & 1), leads


@dataclass(frozen=True, slots=True)
class _Coded:
    """Section 5 or 6: how its samples are coded, and each lead's bytes."""

    nanovolts: int  # of one step
    interval: int  # µs
    differences: int
    bimodal: bool
    data: tuple[bytes, ...]


def _coded(section: bytes, leads: int, number: int) -> _Coded | None:
    if len(section) < 6 + 2 * leads:
        return None
    nanovolts, interval, differences, bimodal = struct.unpack_from("<HHBB", section)
    if not nanovolts or not interval:
        raise EcgError(f"section {number}: no step or no sampling interval")
    lengths = struct.unpack_from(f"<{leads}H", section, 6)
    at, data = 6 + 2 * leads, []
    for length in lengths:
        data.append(section[at : at + length])
        at += length
    if at > len(section):
        raise EcgError(f"section {number}: {at} bytes stated, {len(section)} there")
    return _Coded(nanovolts, interval, differences, bimodal == 1, tuple(data))


def _leads(sections: Mapping[int, bytes], issues: list[Issue]) -> tuple[float, dict[str, Samples]]:
    subtracted, defined = _lead_definitions(sections.get(3, b""))
    if 6 not in sections:
        raise EcgError("no rhythm data (section 6)")
    rhythm = _coded(sections[6], len(defined), 6)
    if rhythm is None:
        raise EcgError("section 6 is cut off")
    tables = huffman_tables(sections.get(2, b""))
    located = beats(sections.get(4, b""))
    reference = _coded(sections.get(5, b""), len(defined), 5) if subtracted or rhythm.bimodal else None
    if subtracted and reference is None:
        raise EcgError("reference beats were subtracted, and section 5 holds none")
    interval = reference.interval if reference else rhythm.interval
    rate = max(rhythm.interval // interval, 1)
    if rhythm.interval != rate * interval:
        raise EcgError(f"samples every {rhythm.interval} µs over beats of {interval} µs")
    leads: dict[str, Samples] = {}
    for number, lead in enumerate(defined):
        signal = _signal(rhythm, rhythm.data[number], lead, tables, located, rate)
        if subtracted and reference:
            signal = with_beats(signal, _reference(reference, number, tables, located, rhythm.nanovolts), located, lead.start)
        missing = int(np.isnan(signal).sum())
        if missing:
            issues.append(Issue("invalid-value", f"section 6, lead {lead.name}", f"{missing} of {lead.count} samples are missing"))
        leads[lead.name] = (signal * (rhythm.nanovolts / 1000)).astype(np.float32)
    return round(1_000_000 / interval, 6), leads


def _signal(coded: _Coded, data: bytes, lead: _Lead, tables: tuple[HuffmanTable, ...], located: Beats, rate: int) -> Steps:
    """One lead's samples at the full rate, in steps; NaN where the data ended."""
    zones = zones_of(lead.count, located if coded.bimodal else Beats(), lead.start)
    stored = decoded(data, tables, stored_count(zones, rate), coded.differences)
    if rate > 1:
        return expanded(stored, zones, rate)
    whole = np.full(lead.count, np.nan)
    whole[: len(stored)] = stored
    return whole


def _reference(coded: _Coded, number: int, tables: tuple[HuffmanTable, ...], located: Beats, nanovolts: int) -> Steps:
    """The reference beat in steps of the rhythm data."""
    count = located.length_ms * 1000 // coded.interval
    beat = decoded(coded.data[number], tables, count, coded.differences).astype(np.float64)
    return beat * (coded.nanovolts / nanovolts)


def _measurements(section: bytes) -> tuple[Measurement, ...]:
    """Section 7: intervals from the onsets and offsets (ms) of the first reference beat, axes in degrees."""
    if len(section) < 6:
        return ()
    references, spikes, rr, _ = struct.unpack_from("<BBHH", section)
    found: dict[str, int] = {} if rr in _UNMEASURED else {"rr_interval": rr}
    if references and len(section) >= 22:
        p_on, p_off, qrs_on, qrs_off, t_off, *axes = struct.unpack_from("<5H3h", section, 6)
        spans = {
            "p_duration": (p_on, p_off),
            "pr_interval": (p_on, qrs_on),
            "qrs_duration": (qrs_on, qrs_off),
            "qt_interval": (qrs_on, t_off),
        }
        for kind, (begin, end) in spans.items():
            if begin not in _UNMEASURED - {0} and end not in _UNMEASURED and end > begin:
                found[kind] = end - begin
        found |= {kind: axis for kind, axis in zip(("p_axis", "qrs_axis", "t_axis"), axes, strict=True) if -360 <= axis <= 360}
    at = 6 + 16 * references + 10 * spikes  # 4 bytes when and how high, 6 what kind
    if len(section) >= at + 2:
        at += 2 + struct.unpack_from("<H", section, at)[0]  # the type of each QRS
        if len(section) >= at + 6:
            ventricular, _, qtc = struct.unpack_from("<HHH", section, at)
            found |= {
                kind: value for kind, value in (("heart_rate", ventricular), ("qtc_interval", qtc)) if value not in _UNMEASURED
            }
    return as_measured({kind: Decimal(value) for kind, value in found.items()})


def _statements(section: bytes) -> list[bytes]:
    """Section 8: confirmed, date, time, how many, and of each its number, length and text."""
    if len(section) < 9:
        return []
    at, texts = 9, []
    for _ in range(section[8]):
        if len(section) - at < 3:
            break
        (length,) = struct.unpack_from("<H", section, at + 1)
        texts.append(section[at + 3 : at + 3 + length])
        at += 3 + length
    return texts


@dataclass(frozen=True, slots=True)
class _Person:
    """Section 1, whose character set is decided from all the record's text: carts in China write GBK under Latin-1."""

    fields: Mapping[int, bytes]
    declared: str
    evidence: tuple[bytes, ...] = ()
    issues: list[Issue] = field(default_factory=list)

    @classmethod
    def of(cls, section: bytes, charset: str, statements: bytes) -> _Person:
        fields: dict[int, bytes] = {}
        issues: list[Issue] = []
        at = 0
        while len(section) - at >= 3:
            tag, length = struct.unpack_from("<BH", section, at)
            if tag == 255:
                break
            if length > len(section) - at - 3:
                issues.append(
                    Issue("invalid-value", f"section 1, tag {tag}", f"{length} bytes stated, {len(section) - at - 3} left")
                )
                break
            fields.setdefault(tag, section[at + 3 : at + 3 + length])
            at += 3 + length
        texts = tuple(fields[tag].rstrip(b"\0") for tag in (0, 1, 3, 16, 20, 22) if tag in fields)
        person = cls(fields, charset, (*texts, *_statements(statements)), issues)
        if repaired := person._decoder().repaired:
            issues.append(Issue("charset-repaired", "section 1", repaired))
        return person

    def _decoder(self) -> TextDecoder:
        return decoder_for([] if self.declared else ["ISO_IR 100"], self.evidence, self.declared)

    def text(self, value: bytes) -> str:
        return self._decoder().decode(value.split(b"\0")[0]).strip()

    @property
    def subject(self) -> Subject:
        family, given = (self.text(self.fields.get(tag, b"")) for tag in (0, 1))
        sex = self.fields.get(8, b"\0")[:1]
        return Subject(
            number=self.text(self.fields.get(2, b"")),
            name=f"{family}^{given}" if given else family,
            sex=_SEX.get(sex[0] if sex else 0, ""),
            birth_date=self._date(5).replace("-", ""),
        )

    def _date(self, tag: int) -> str:
        value = self.fields.get(tag, b"")
        if len(value) < 4:
            return ""
        try:
            return date(*struct.unpack_from("<HBB", value)).isoformat()
        except ValueError:
            return ""

    def started(self, zone: str, issues: list[Issue]) -> str:
        """Tags 25 and 26, in the zone that tag 34 states or the site's."""
        day, clock = self._date(25), self.fields.get(26, b"")
        if not day:
            issues.append(Issue("missing", "section 1, tag 25", "no date of acquisition"))
            return ""
        try:
            at = time(*clock[:3]) if len(clock) >= 3 else None
        except ValueError:
            at = None
        return f"{day}T{at.isoformat()}{self._zone(zone)}" if at else day

    def _zone(self, zone: str) -> str:
        stated = self.fields.get(34, b"")
        minutes = struct.unpack_from("<h", stated)[0] if len(stated) >= 2 else 0x7FFF
        if abs(minutes) > 14 * 60:
            return zone_offset(zone)
        return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"

    @property
    def device(self) -> str:
        """Tag 14: the model, and the manufacturer as the last of its texts."""
        value = self.fields.get(14, b"")
        model = self.text(value[8:14])
        names = [self.text(part) for part in value[36:].split(b"\0")] if len(value) > 36 else []
        maker = names[4] if len(names) > 4 else ""
        return " ".join(part for part in (maker, model) if part and part.lower() != "unknown")

    @property
    def filters(self) -> str:
        """Tags 27 (high pass, 1/100 Hz), 28 (low pass, Hz), 29 (notch)."""
        low, high, kinds = (self.fields.get(tag, b"") for tag in (27, 28, 29))
        parts = []
        if len(low) >= 2 and len(high) >= 2 and any(high[:2]):  # 0: not stated
            parts.append(f"{struct.unpack_from('<H', low)[0] / 100:g}-{struct.unpack_from('<H', high)[0]} Hz")
        notch = kinds[0] if kinds else 0
        parts += [f"notch {hertz} Hz" for bit, hertz in ((1, 60), (2, 50)) if notch & bit]
        return ", ".join(parts)
