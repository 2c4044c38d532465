"""What one message has yielded so far: changes, issues, attachments. The parts of the mapper write into it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from mappers.base import Attachment, Change, Issue, MappingContext, Resource, Severity
from mappers.datatypes import fhir_date, fhir_datetime, fhir_instant
from mappers.hl7v2.message import Message, Segment
from mappers.hl7v2.stated import stated_zone
from mappers.identity_keys import local_system, organization_id

Mode = Literal["replace", "patch", "fill", "union", "delete"]
_FIELD = re.compile(r"(?P<name>\w{3})\[(?P<number>\d{1,6})\]-(?P<field>\d{1,3})")  # PID[1]-8


@dataclass(slots=True)
class Draft:
    message: Message
    facility: str
    context: MappingContext
    trigger: str = ""
    mode: Mode = "fill"  # how the message states its patient and its visit
    changes: list[Change] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    attachments: dict[str, Attachment] = field(default_factory=dict)
    patient: dict[str, Any] = field(default_factory=dict)  # reference to whom the message is about
    patient_key: tuple[str, ...] = ()
    encounter: dict[str, Any] | None = None
    visit_key: tuple[str, ...] = ()
    account: dict[str, Any] | None = None
    declared: dict[tuple[str, int], str] = field(default_factory=dict)  # where a declared table took a segment's field
    memory: dict[tuple[str | None, ...], dict[str, Any]] | None = None  # see mappers.hl7v2.remembered
    zone: str = ""  # of times that state none

    def __post_init__(self) -> None:
        self.zone = self.zone or stated_zone(self.message, self.context.zone)

    def turn_to(self, message: Message) -> None:
        """From here on speak of the patient of a part of the message (`Message.part`)."""
        self.message = message
        self.patient, self.patient_key, self.encounter, self.visit_key, self.account = {}, (), None, (), None

    @property
    def organization(self) -> dict[str, Any]:
        return {"reference": f"Organization/{organization_id(self.facility)}"}

    def state(self, resource: Resource, mode: Mode = "replace") -> None:
        self.changes.append(Change(resource, mode))

    def note(self, code: str, where: str, detail: str = "", severity: Severity = "warning", **coded: str) -> None:
        self.issues.append(Issue(code, where, detail, severity, **coded))

    def attach(self, content: bytes, content_type: str) -> str:
        """Keep bytes as a blob behind a Binary of this patient; → its name, `Binary/{sha256}`."""
        name = hashlib.sha256(content).hexdigest()
        if name not in self.attachments:
            self.attachments[name] = Attachment(name, content_type, content)
            self.state({"resourceType": "Binary", "id": name, "contentType": content_type, "securityContext": self.patient})
        return f"Binary/{name}"

    # -------------------------------------------------- values that are checked where they are read

    def datetime(self, segment: Segment, number: int, component: int = 1) -> str | None:
        text = segment.value(number, component)
        return self._checked(text, fhir_datetime(text, self.zone) if text else None, segment, number)

    def instant(self, segment: Segment, number: int) -> str | None:
        text = segment.value(number)
        if text and fhir_datetime(text, self.zone) is None:
            self.refuse(segment, number)
            self.note("invalid-value", f"{segment.where}-{number}", "not a time")
        return fhir_instant(text, self.zone) if text else None

    def date(self, segment: Segment, number: int) -> str | None:
        text = segment.value(number)
        return self._checked(text, fhir_date(text) if text else None, segment, number)

    def _checked(self, text: str, result: str | None, segment: Segment, number: int) -> str | None:
        if text and result is None:
            self.refuse(segment, number)
            self.note("invalid-value", f"{segment.where}-{number}", f"not a date: {len(text)} characters")
        return result

    def refuse(self, segment: Segment, number: int) -> None:
        """What the field holds could not be used: the ledger counts it as unmapped. An issue says why."""
        segment.refused |= 1 << number

    def translate(self, table: dict[str, str], code: str, where: str, system: str) -> str | None:
        """A code through a table of the standard; one that is not in it is left out and noted."""
        result = table.get(code) or table.get(code.upper())
        if code and result is None:
            self._refuse_at(where)
            self.note("unmapped-code", where, f"not in {system}", system=system, value=code[:16])
        return result

    def _refuse_at(self, where: str) -> None:
        if place := _FIELD.fullmatch(where):
            for segment in self.message.segments(place["name"]):
                if segment.number == int(place["number"]):
                    self.refuse(segment, int(place["field"]))

    def local(self, kind: str) -> str:
        return local_system(self.facility, kind)
