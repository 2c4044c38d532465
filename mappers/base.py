"""What a mapper gets and what it gives.

Issues are data: what could not be mapped is named and counted, never guessed and never a reason to lose the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from connectors.base import SourceRecord

Resource = dict[str, Any]
"""A FHIR R4 resource as JSON values: decimals are decimal.Decimal."""

Severity = Literal["information", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Issue:
    """Something a person should know about one record. Says where and what kind, never patient data."""

    code: str  # one of ISSUE_CODES
    where: str  # "OBX[3]-3", "v_patient.id_no", "section 48765-2", "(0008,0005)"
    detail: str = ""
    severity: Severity = "warning"
    system: str = ""  # for unmapped-code: the local code system …
    value: str = ""  # … and the code: a code is not patient data
    display: str = ""  # and the source's own name for it


ISSUE_CODES = {
    "unmapped-code": "a code outside the table or ConceptMap that maps it; kept as the source wrote it",
    "invalid-value": "a value that its data type does not allow; kept as text or left out",
    "missing": "something the record should have and has not",
    "not-mapped": "a segment, section or column that nothing maps; the raw record keeps it",
    "charset-repaired": "the declared character set was wrong; the one used is named",
    "moved": "an element stood where its structure does not expect it and was grouped by intent",
    "check-failed": "an identifier whose check digit is wrong; it never drives a match",
    "conflict": "two statements of one record contradict each other",
    "unsupported": "a structure that has no map; the record is kept whole",
}


@dataclass(frozen=True, slots=True)
class Change:
    """What a record says of one resource.

    `replace`: the whole resource is stated (a lab result, a report).
    `patch`: some top-level elements are; None deletes an element, an absent one says nothing (HL7 v2: "" and empty).
    `fill`: as patch, but any patch outranks it: a patient as an ORU, a CDA header or a DICOM file mentions them.
    `union`: one part of a whole that many records state together (ImagingStudy: one instance a record).
    `delete`: the source has deleted it; the resource states no more than its type and id.

    What is stated twice is settled by `Mapped.changed_at`, so the order of arrival never decides.
    """

    resource: Resource  # has resourceType and id
    mode: Literal["replace", "patch", "fill", "union", "delete"] = "replace"


@dataclass(frozen=True, slots=True)
class Attachment:
    """Bytes that become a blob, named by their SHA-256 (hex); a resource refers to them as `Binary/{sha256}`."""

    sha256: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Line:
    """One field, element or column of a record, and what became of it."""

    where: str  # "PID-5", "OBX[3]-5", "section 8716-3, DE04.10.174.00", "v_patient.id_no", "(0010,0010)"
    state: Literal["mapped", "kept", "unmapped"]  # in a resource; only in the kept record, by decision; nothing maps it
    to: str = ""  # where it went: "Patient.name"


@dataclass(frozen=True, slots=True)
class Mapped:
    changes: tuple[Change, ...] = ()
    issues: tuple[Issue, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    changed_at: datetime | None = None  # the source's time of this statement: EVN-2, MSH-7, changed_at, effectiveTime
    ledger: Mapping[str, int] = field(default_factory=dict)  # {"mapped": 40, "kept": 3, "unmapped": 2} fields or elements
    lines: tuple[Line, ...] = ()  # the ledger line by line, where the context asks to `explain`

    @property
    def resources(self) -> tuple[Resource, ...]:
        return tuple(change.resource for change in self.changes)


class CannotMap(Exception):
    """The record as a whole cannot be mapped: it becomes a dead letter with this reason. No patient data in it."""


@dataclass(frozen=True, slots=True)
class MappingContext:
    """What a facility's habits are, as data. Picklable."""

    zone: str = "+08:00"  # of times that state none
    charset: str = ""  # the channel's own default, tried when the record declares none
    code_systems: Mapping[str, str] = field(default_factory=dict)  # a source's name for a code system → its URI
    concept_maps: Mapping[tuple[str, str], tuple[Mapping[str, str], ...]] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # declared row tables by name
    explain: bool = False  # say of each field what became of it: for a person who looks, not for the stream
    strict: bool = False  # what breaks a rule of FHIR beyond its structure is left out, not only told

    def translate(self, system: str, code: str) -> tuple[Mapping[str, str], ...]:
        return self.concept_maps.get((system, code), ())


class Mapper(Protocol):
    """Same record and context in, same Mapped out."""

    def __call__(self, record: SourceRecord, context: MappingContext) -> Mapped:
        """Raise CannotMap with a reason when nothing of the record can be used."""
