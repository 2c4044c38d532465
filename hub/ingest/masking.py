"""What of a record identifies a person or says what was found in them, and how it is shown to those who only mend interfaces.

What is not known to be harmless is masked: a Z segment, a column that nobody described. https://hl7.org/fhir/R4/security.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "•"
SHOWN = 2  # last characters of a number: enough to tell two apart on one screen

ALL = frozenset(range(1, 1000))
_NONE: frozenset[int] = frozenset()

# Segment → fields that are about a person. HL7 v2.5.1 chapters 3, 4, 6, 7
PRIVATE_FIELDS: Mapping[str, frozenset[int]] = {
    **dict.fromkeys(("MSH", "EVN", "SFT", "UAC", "MSA", "ERR", "DSC", "FHS", "BHS", "BTS", "FTS", "QAK", "TQ1", "ROL"), _NONE),
    **dict.fromkeys(("RXR", "FT1", "SCH", "AIG", "AIL", "AIS", "RGS"), _NONE),
    "PV1": frozenset({5, 18, 19, 50}),
    "PV2": frozenset({3, 12}),
    "ORC": frozenset({20}),
    "OBR": frozenset({13, 14}),
    "OBX": frozenset({5, 13, 17}),
    "SPM": frozenset({14}),
    "DG1": frozenset({3, 4}),
    "AL1": frozenset({3, 5}),
    "RXA": frozenset({9}),
    "RXE": frozenset({7}),
    "RXO": frozenset({6, 7}),
    "TXA": frozenset({12, 16, 25}),
}
"""Every other segment (PID, NK1, IN1, GT1, MRG, NTE, Z…) is masked wholly …"""

COUNTED = frozenset({"PID", "NK1", "IN1", "IN3", "GT1", "NTE", "PR1", "ACC", "IAM"})
"""… but for the first field of these, which only counts them."""


def private_field(segment: str, field: int) -> bool:
    private = PRIVATE_FIELDS.get(segment)
    return not (field == 1 and segment in COUNTED) if private is None else field in private


# Columns that name things, not people: codes, times, organisations, states
_PUBLIC_COLUMN = re.compile(
    r"(^|_)(code|codes|type|status|state|flag|time|at|unit|units|dept|department|org|organization|facility|version|seq|qty|dose"
    r"|freq|route|system|mark|method|specimen|device|modality|class|category|changed|updated|created|deleted)$"
)
_PRIVATE_COLUMN = re.compile(r"birth|death|name_of|patient|contact|phone|tel|addr|id_|card|person|guardian")


def private_column(name: str) -> bool:
    return _PRIVATE_COLUMN.search(name.lower()) is not None or _PUBLIC_COLUMN.search(name.lower()) is None


# Attributes of CDA that say how, not whose; displayName is a code's name
PUBLIC_ATTRIBUTES = frozenset(
    {"classCode", "moodCode", "typeCode", "code", "codeSystem", "codeSystemName", "displayName", "root", "type", "unit"}
    | {"nullFlavor", "version", "encoding", "standalone", "schemaLocation", "determinerCode", "contextControlCode", "use", "ID"}
    | {"templateId", "typeId", "realmCode", "mediaType", "representation", "inversionInd", "contextConductionInd", "negationInd"}
)
PUBLIC_CDA = frozenset({"languageCode", "realmCode", "templateId", "typeId", "confidentialityCode", "caption", "th"})

_PRIVATE_GROUPS = frozenset({0x0010, 0x0032, 0x0038, 0x0040})
_PRIVATE_TAGS = frozenset({0x00080050, 0x00080090, 0x00081048, 0x00081050, 0x00081070, 0x00204000})


def private_element(tag: int, vr: str) -> bool:
    """A DICOM element: patients, requests, persons' names, free text, everything private (odd groups)."""
    group = tag >> 16
    return group in _PRIVATE_GROUPS or tag in _PRIVATE_TAGS or group % 2 == 1 or vr in {"PN", "LT", "ST", "UT"}


def masked(value: str) -> str:
    """As long as the value, so that an empty field still looks empty; delimiters and line ends stay."""
    return "".join(character if character in "^~&\\|\r\n" else MASK for character in value)


def masked_number(number: str) -> str:
    """A number of which the end stays: ••••11."""
    if len(number) <= SHOWN + 1:
        return MASK * len(number)
    return MASK * min(len(number) - SHOWN, 6) + number[-SHOWN:]


# Elements of FHIR that hold what a record says of a person; codes, status, times and references stay
_PRIVATE_ELEMENTS = frozenset({"name", "telecom", "address", "birthDate", "photo", "contact", "deceasedDateTime", "text", "div"})
_PRIVATE_VALUES = frozenset({"data", "title", "note", "conclusion", "valueString", "comment", "multipleBirthInteger"})
_PERSONS = frozenset({"Patient", "RelatedPerson", "Person"})


def masked_resource(resource: Mapping[str, Any]) -> dict[str, Any]:
    """The same resource, its shape kept, without what identifies the person or was measured in them."""
    person = resource.get("resourceType") in _PERSONS

    def walk(value: Any, name: str, hidden: bool) -> Any:
        hidden = hidden or name in _PRIVATE_VALUES or (name.startswith("value") and name not in {"valueSet", "value"})
        hidden = hidden or (person and name in _PRIVATE_ELEMENTS) or name in {"text", "div"}
        if isinstance(value, dict):
            return {key: walk(each, key, hidden or (name == "identifier" and key == "value")) for key, each in value.items()}
        if isinstance(value, list):
            return [walk(each, name, hidden) for each in value]
        return _hidden(value, name) if hidden else value

    return {name: walk(value, name, False) for name, value in resource.items()}


_SHAPE = frozenset({"system", "code", "unit", "use", "comparator", "contentType", "status", "url", "reference"})


def _hidden(value: Any, name: str) -> Any:
    return value if name in _SHAPE or isinstance(value, bool) else MASK * 3
