"""What became of each element of a header: `mapped` into a resource, `kept` in the stored file by decision, or `unmapped`.

Kept by decision: how an image was made and how its pixels lie (groups 0018, 0020, 0028 and above), the scanner, private elements.
Unmapped: what is said of a person, an order or a procedure and has no place yet. The file holds all of it.
"""

from __future__ import annotations

from functools import lru_cache

from pydicom.datadict import dictionary_keyword

from mappers.base import Line
from mappers.dicom.header import Header, tag_name

_STUDY, _SERIES, _INSTANCE = "ImagingStudy", "ImagingStudy.series", "ImagingStudy.series.instance"

# Element → where it goes
MAPPED = {
    0x00080005: "the text of all resources", 0x00080016: f"{_INSTANCE}.sopClass", 0x00080018: f"{_INSTANCE}.uid",
    0x00080020: f"{_STUDY}.started", 0x00080030: f"{_STUDY}.started", 0x00080021: f"{_SERIES}.started",
    0x00080031: f"{_SERIES}.started", 0x00080050: f"{_STUDY}.basedOn", 0x00080060: f"{_SERIES}.modality",
    0x00080090: f"{_STUDY}.referrer", 0x00080201: "times with a zone", 0x00081030: f"{_STUDY}.description",
    0x00081032: f"{_STUDY}.procedureCode", 0x0008103E: f"{_SERIES}.description", 0x00081050: f"{_SERIES}.performer",
    0x00081070: f"{_SERIES}.performer", 0x00100010: "Patient.name", 0x00100020: "Patient.identifier",
    0x00100021: "Patient.identifier", 0x00100024: "Patient.identifier", 0x00100030: "Patient.birthDate",
    0x00100040: "Patient.gender", 0x00101000: "Patient.identifier", 0x00101002: "Patient.identifier",
    0x00180015: f"{_SERIES}.bodySite", 0x0020000D: f"{_STUDY}.identifier", 0x0020000E: f"{_SERIES}.uid",
    0x00200011: f"{_SERIES}.number", 0x00200013: f"{_INSTANCE}.number", 0x00200060: f"{_SERIES}.laterality",
    0x00200062: f"{_SERIES}.laterality", 0x00321060: f"{_STUDY}.procedureCode", 0x00400275: f"{_STUDY}.basedOn",
    0x00401002: f"{_STUDY}.reasonCode", 0x00420010: f"{_INSTANCE}.title",
    0x0040A730: "DiagnosticReport, Observation", 0x0040A043: "DiagnosticReport.code",
    0x0040A491: "DiagnosticReport.status", 0x0040A493: "DiagnosticReport.status",
    0x0040A073: "DiagnosticReport.resultsInterpreter", 0x00420012: "DocumentReference.content",
    0x0040B020: "Observation, DiagnosticReport", 0x54000100: "Observation",
}  # fmt: skip

# Said of a person, an order or a procedure: groups whose standard elements count as unmapped unless mapped or listed as kept
_SAID = frozenset({0x0008, 0x0010, 0x0032, 0x0038, 0x0040})
_KEPT = frozenset(
    {
        0x00080008, 0x00080012, 0x00080013, 0x00080014, 0x00080022, 0x00080023, 0x0008002A, 0x00080032, 0x00080033, 0x00080064,
        0x00080068, 0x00080070, 0x00080080, 0x00080081, 0x00081010, 0x00081040, 0x00081090, 0x00081111, 0x00081115, 0x00081140,
        0x00081150, 0x00081155, 0x00082111, 0x00082112, 0x00089215, 0x00101010, 0x00101020, 0x00101030, 0x00400244, 0x00400245,
        0x00400253, 0x0040A040, 0x0040A050, 0x0040A370, 0x0040A372, 0x0040A375, 0x0040A504,
    }
)  # fmt: skip


def lines_of(header: Header) -> tuple[Line, ...]:
    """A line for each element of the top level that holds something, in the order of the file."""
    stated = {tag for tag, element in header.elements.items() if element.value} | header.nested
    return tuple(_line(tag) for tag in sorted(stated))


@lru_cache(4096)  # a stranger's file has any tags
def _line(tag: int) -> Line:
    where = f"{tag_name(tag)} {dictionary_keyword(tag)}" if _is_known(tag) else tag_name(tag)
    if tag in MAPPED:
        return Line(where, "mapped", MAPPED[tag])
    said = tag >> 16 in _SAID and tag & 0xFFFF and tag not in _KEPT and _is_known(tag)
    return Line(where, "unmapped" if said else "kept")


def _is_known(tag: int) -> bool:
    try:
        dictionary_keyword(tag)
    except KeyError:
        return False
    return True
