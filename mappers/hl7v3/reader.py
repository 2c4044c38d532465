"""What V3 messages of the platforms are made of: lists of items (ISO 21090), values as attributes, numbers named by their roots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from connectors.base import SourceRecord
from connectors.xml import Element, attribute, child, children, local
from mappers.base import CannotMap, Change, Issue, MappingContext, Resource
from mappers.datatypes import fhir_date, fhir_datetime
from mappers.identity_keys import local_system, organization_id, resource_id

CN = "2.16.156.10011"
PATIENT, ID_CARD, HEALTH_CARD, EHR, INSURANCE = (f"{CN}.{end}" for end in ("2.5.1.4", "1.3", "1.19", "1.2", "1.15"))
VISIT, OUTPATIENT, INPATIENT = (f"{CN}.{end}" for end in ("2.5.1.9", "1.11", "1.12"))
STAFF, DEPARTMENT, WARD, ROOM, BED = (f"{CN}.{end}" for end in ("1.4", "1.26", "1.27", "1.21", "1.22"))
REQUEST, ORDER, SPECIMEN = (f"{CN}.{end}" for end in ("1.24", "1.28", "1.14"))

LOCAL_KINDS = {"ServiceRequest.code": "item", "Specimen.type": "specimen"}  # as other messages of a facility name its codes


@dataclass
class Message:
    root: Element
    record: SourceRecord
    context: MappingContext
    issues: list[Issue] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    used: dict[Element, str] = field(default_factory=dict)  # element → what it became

    @property
    def facility(self) -> str:
        return self.record.facility or "unknown"

    @property
    def organization(self) -> dict[str, str]:
        return {"reference": f"Organization/{organization_id(self.facility)}"}

    def state(self, resource: Resource, mode: Any = "replace") -> None:
        self.changes.append(Change(resource, mode))

    def note(self, code: str, where: str, detail: str = "", **more: Any) -> None:
        issue = Issue(code, where, detail, **more)
        if issue not in self.issues:
            self.issues.append(issue)

    def local(self, kind: str) -> str:
        return local_system(self.facility, kind)

    # -- elements, marked as used
    def value(self, element: Element | None, *path: str, to: str) -> str:
        """The value of an element as an attribute, or its text."""
        found = child(element, *path) if path else element
        if found is None:
            return ""
        text = attribute(found, "value") or (found.text or "").strip()
        if text:
            self.used[found] = to
        return text

    def code(self, element: Element | None, *path: str, to: str) -> dict[str, Any] | None:
        """A coded value → CodeableConcept in the source's own system, with what the facility's maps add."""
        found = child(element, *path) if path else element
        code, name = attribute(found, "code"), attribute(child(found, "displayName"), "value") or attribute(found, "displayName")
        if found is None or not (code or name):
            return None
        self.used[found] = to
        if (shown := child(found, "displayName")) is not None:
            self.used[shown] = to
        concept: dict[str, Any] = {}
        if code:
            system = attribute(found, "codeSystem")
            uri = f"urn:oid:{system}" if system else self.local(LOCAL_KINDS.get(to, to.rpartition(".")[2].lower()))
            coding = [{"system": uri, "code": code, **({"display": name} if name else {})}]
            coding += [dict(each) for each in self.context.translate(uri, code)]
            concept["coding"] = coding
        return {**concept, "text": name or code}

    def datetime(self, element: Element | None, *path: str, to: str) -> str | None:
        text = self.value(element, *path, to=to)
        if not text:
            return None
        made = fhir_datetime(text, self.context.zone)
        if made is None:
            self.note("invalid-value", path[-1] if path else "time", "no date or time")
        return made

    def date(self, element: Element | None, *path: str, to: str) -> str | None:
        text = self.value(element, *path, to=to)
        return fhir_date(text) if text else None

    def name(self, element: Element | None, *path: str, to: str) -> str:
        """name/item/part@value, or a name as CDA writes it."""
        found = child(element, *path, "name")
        parts = [*items(found), found] if found is not None else []
        for part in parts:
            inner = child(part, "part")
            text = self.value(inner if inner is not None else part, to=to)
            if text:
                return text
        return ""

    def numbers(self, element: Element | None, *, to: str) -> dict[str, str]:
        """Root → extension of an element's ids; those without an extension name nothing."""
        found: dict[str, str] = {}
        for id in children(element, "id"):
            for item in (*items(id), id):
                if attribute(item, "extension") and not attribute(item, "nullFlavor"):
                    found.setdefault(attribute(item, "root"), attribute(item, "extension"))
                    self.used[item] = to
        return found

    def staff(self, element: Element | None, *, to: str) -> dict[str, Any] | None:
        """assignedEntity → a reference by number and name; the number is the facility's own."""
        if element is None:
            return None
        number = self.numbers(element, to=to).get(STAFF, "")
        name = self.name(element, "assignedPerson", to=to)
        reference: dict[str, Any] = {"identifier": {"system": self.local("staff"), "value": number}} if number else {}
        return {**reference, "display": name or number} if name or number else None


def items(element: Element | None) -> list[Element]:
    return children(element, "item")


def below(element: Element | None, name: str) -> Iterator[Element]:
    if element is not None:
        yield from (each for each in element.iter() if local(each) == name)


def subject_of(message: Message, name: str) -> Element:
    """controlActProcess/subject/<name>. Raise CannotMap where it is missing."""
    found = child(message.root, "controlActProcess", "subject", name)
    if found is None:
        raise CannotMap(f"the message has no controlActProcess/subject/{name}")
    return found


def patient_reference(message: Message, number: str) -> dict[str, str]:
    return {"reference": f"Patient/{resource_id('Patient', message.facility, number)}"}
