"""DICOM values → FHIR data types: DA and TM → date and dateTime, PN → HumanName, CS of the Patient module → gender.

https://dicom.nema.org/medical/dicom/current/output/chtml/part05/sect_6.2.html
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

_DA = re.compile(r"(\d{4})[.\-]?(\d{2})[.\-]?(\d{2})")  # 2004.01.19 is what ACR-NEMA wrote
_TM = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?")
_OFFSET = re.compile(r"([+\-])(\d{2}):?(\d{2})")

GENDER = {"M": "male", "F": "female", "O": "other"}  # (0010,0040)
REPRESENTATION = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"


def fhir_date(value: str) -> str:
    """DA → date; empty if it is none."""
    match = _DA.fullmatch(value.strip())
    if not match:
        return ""
    try:
        return date(int(match[1]), int(match[2]), int(match[3])).isoformat()
    except ValueError:
        return ""


def fhir_datetime(day: str, clock: str, zone: str) -> str:
    """DA and TM → dateTime. Without minutes only the day is known: FHIR has no dateTime of an hour alone."""
    on = fhir_date(day)
    match = _TM.fullmatch(clock.strip())
    if not on or not match or match[2] is None or int(match[1]) > 23 or int(match[2]) > 59 or int(match[3] or 0) > 59:
        return on
    fraction = f".{match[4]}" if match[4] and match[4].strip("0") else ""
    return f"{on}T{match[1]}:{match[2]}:{match[3] or '00'}{fraction}{zone_offset(zone)}"


def datetime_from_dt(value: str, zone: str) -> str:
    """DT → dateTime with the precision it has; its own offset goes before the site's zone."""
    text = value.strip()
    match = re.fullmatch(r"(\d{4})(\d{2})?(\d{2})?(\d{2,6}(?:\.\d{1,6})?)?([+\-]\d{4})?", text)
    if not match:
        return ""
    year, month, day, clock, offset = match.groups()
    if day:
        return fhir_datetime(year + month + day, clock or "", offset or zone)
    return f"{year}-{month}" if month and 1 <= int(month) <= 12 else year


def zone_offset(zone: str) -> str:
    """'+0800', '+08:00' or 'Z' → what FHIR writes."""
    match = _OFFSET.fullmatch(zone.strip())
    if not match:
        return "Z" if zone.strip() == "Z" else "+08:00"
    return f"{match[1]}{match[2]}:{match[3]}"


def instant(day: str, clock: str, zone: str) -> datetime | None:
    """DA and TM as an aware time; None unless both are known to the minute."""
    text = fhir_datetime(day, clock, zone)
    if "T" not in text:
        return None
    offset = _OFFSET.search(text[19:])
    shift = timedelta(hours=int(offset[2]), minutes=int(offset[3])) * (-1 if offset[1] == "-" else 1) if offset else timedelta()
    fraction = re.search(r"\.(\d+)", text)
    microsecond = int(fraction[1].ljust(6, "0")) if fraction else 0
    at = time(int(text[11:13]), int(text[14:16]), int(text[17:19]), microsecond, timezone(shift))
    return datetime.combine(date.fromisoformat(text[:10]), at)


def human_names(person_name: str) -> list[dict[str, Any]]:
    """PN → HumanName: the ideographic group is the official name, a spelt one beside it says that it is the spelling.

    PS3.5 6.2.1: alphabetic=ideographic=phonetic, each family^given^middle^prefix^suffix.
    """
    groups = [group.strip(" ^") for group in person_name.split("=")][:3]
    codes = ("ABC", "IDE", "SYL")
    stated = [(code, group) for code, group in zip(codes, groups, strict=False) if group]
    if len(stated) == 1:
        return [{"use": "official", **_parts(stated[0][1])}]
    names = []
    for code, group in sorted(stated, key=lambda pair: pair[0] != "IDE"):
        use = "official" if code == "IDE" else "usual"
        names.append({"extension": [{"url": REPRESENTATION, "valueCode": code}], "use": use, **_parts(group)})
    return names


def _parts(group: str) -> dict[str, Any]:
    family, given, middle, prefix, suffix, *_ = [*(part.strip() for part in group.split("^")), "", "", "", "", ""]
    spoken = [part for part in (prefix, family, given, middle, suffix) if part]
    text = ("" if _is_chinese("".join(spoken)) else " ").join(spoken)
    name: dict[str, Any] = {"text": text}
    if "^" in group:  # without a delimiter nobody knows where the family name ends
        if family:
            name["family"] = family
        if given or middle:
            name["given"] = [part for part in (given, middle) if part]
        if prefix:
            name["prefix"] = [prefix]
        if suffix:
            name["suffix"] = [suffix]
    return name


def _is_chinese(text: str) -> bool:
    return any("\u3400" <= char <= "\u9fff" or ord(char) > 0xFFFF for char in text)
