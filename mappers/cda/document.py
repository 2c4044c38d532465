"""One document on its way to FHIR: what it is, what was made of it, and which of its elements were used for what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from connectors.base import SourceRecord
from connectors.xml import Element
from mappers.base import Change, Issue, MappingContext, Resource
from mappers.cda.catalogue import DocumentType, document_types
from mappers.cda.codes import mended_root, system_uri
from mappers.cda.entries import Section
from mappers.cda.reader import attribute, child, ids, local
from mappers.datatypes import fhir_datetime, instant
from mappers.identity_keys import organization_id, resource_id

VER_STATUS = "http://terminology.hl7.org/CodeSystem/{}"
# What a resource of a withdrawn document says of itself: status, or for these another element
WITHDRAWN_STATUS = {
    "Condition": ("verificationStatus", "condition-ver-status", "clinicalStatus"),
    "AllergyIntolerance": ("verificationStatus", "allergyintolerance-verification", "clinicalStatus"),
}
NO_STATUS = frozenset({"Specimen", "Medication", "Practitioner", "PractitionerRole", "Patient", "Encounter"})
MAX_ISSUES_OF_A_KIND = 200


@dataclass(slots=True)
class Document:
    root: Element
    record: SourceRecord
    context: MappingContext
    facility: str
    issues: list[Issue] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    code: str = ""  # C00nn or Wnn; "" for a document of another family
    key: tuple[str, ...] = ()
    patient_key: tuple[str, str] = ("", "")  # namespace and number
    patient_resource: Resource = field(default_factory=dict)
    encounter: Resource | None = None
    sections: tuple[Section, ...] = ()
    entries: dict[Element, dict[str, None]] = field(default_factory=dict)  # section → the resources its entries became, in order
    used: dict[Element, str] = field(default_factory=dict)  # element → what it became
    counts: dict[tuple[str, ...], int] = field(default_factory=dict)
    procedures: dict[Element, Resource] = field(default_factory=dict)  # procedure element → its resource
    observed_at: str = ""  # when a visit was, where it is not when it was written down
    anchors: dict[str, Element] = field(default_factory=dict)  # ID → element of the narrative
    staff: set[str] = field(default_factory=set)  # ids of Practitioner and PractitionerRole that are stated already
    staff_names: dict[str, set[str]] = field(default_factory=dict)  # staff number → the names it stands with

    @property
    def kind(self) -> DocumentType | None:
        return document_types().get(self.code)

    @property
    def patient_id(self) -> str:
        return resource_id("Patient", *self.patient_key)

    @property
    def patient(self) -> dict[str, str]:
        return {"reference": f"Patient/{self.patient_id}"}

    @property
    def organization(self) -> dict[str, str]:
        return {"reference": f"Organization/{organization_id(self.facility)}"}

    @property
    def encounter_reference(self) -> dict[str, str] | None:
        return {"reference": f"Encounter/{self.encounter['id']}"} if self.encounter else None

    @property
    def withdrawn(self) -> bool:
        """One vendor states add, change and delete as version 0, 1 and -1."""
        return attribute(child(self.root, "versionNumber"), "value") == "-1"

    @property
    def recorded_at(self) -> str:
        """When its author wrote it, as the document says; else when it was made."""
        written = attribute(child(self.root, "author", "time"), "value")
        return written or attribute(child(self.root, "effectiveTime"), "value")

    def note(self, code: str, where: str, detail: str = "", **more: str) -> None:
        """Say something once."""
        issue = Issue(code, where, detail, **more)  # type: ignore[arg-type]
        if len(self.issues) < MAX_ISSUES_OF_A_KIND and issue not in self.issues:
            self.issues.append(issue)

    def use(self, to: str, *elements: Element | None) -> None:
        for element in elements:
            if element is not None:
                self.used[element] = to

    def link(self, element: Element, resource: Resource) -> None:
        """The resource is an entry of the section that its element stands in."""
        section = next((e for e in element.iterancestors() if local(e) == "section"), None)
        if section is not None:
            self.entries.setdefault(section, {})[f"{resource['resourceType']}/{resource['id']}"] = None

    def add(self, resource: Resource, *, at: Element | None = None, mode: str = "replace") -> Resource:
        """State a resource of this document; `at`: the entry it comes from."""
        kind = resource["resourceType"]
        if self.withdrawn and kind in WITHDRAWN_STATUS:
            name, system, instead_of = WITHDRAWN_STATUS[kind]
            resource.pop(instead_of, None)
            resource[name] = {"coding": [{"system": VER_STATUS.format(system), "code": "entered-in-error"}]}
        elif self.withdrawn and kind not in NO_STATUS:
            resource["status"] = "entered-in-error"
        self.changes.append(Change(resource, mode))  # type: ignore[arg-type]
        if at is not None:
            self.link(at, resource)
        return resource

    def anchor(self, name: str) -> Element | None:
        """The element of this ID, which a reference points to."""
        if not self.anchors:
            self.anchors = {identity: e for e in self.root.iter() if (identity := e.get("ID"))} or {"": self.root}
        return self.anchors.get(name)

    def number(self, root: str) -> str:
        """A report, request, prescription or specimen number: it stands among the patient's ids."""
        found = ids(child(self.root, "recordTarget", "patientRole"))
        return next((number.extension for number in found if number.root == root and number.extension), "")

    def time(self, text: str) -> str | None:
        return fhir_datetime(text, self.context.zone) if text else None

    def period(self, start: str | None, end: str | None) -> dict[str, str]:
        """Period of two dateTimes; one that ends before it begins has its start alone."""
        if start and end and self._is_before(end, start):
            self.note("conflict", "effectiveTime", "a time that ends before it begins; its end is left out")
            end = None
        return {**({"start": start} if start else {}), **({"end": end} if end else {})}

    def _is_before(self, one: str, other: str) -> bool:
        """As far as both are stated: a day is not before an hour of it."""
        shorter = min(len(one), len(other))
        if shorter <= len("2024-05-06"):
            return one[:shorter] < other[:shorter]
        first, second = (instant(text, self.context.zone) for text in (one, other))
        return first is not None and second is not None and first < second

    def id(self, resource_type: str, *more: str) -> str:
        """The id of a resource that only this document states."""
        return resource_id(resource_type, self.facility, *self.key, *more)

    def nth(self, *key: str) -> str:
        """How many of this key there were: names what occurs several times, in the document's own order."""
        self.counts[key] = self.counts.get(key, 0) + 1
        return str(self.counts[key])

    def uri(self, root: str) -> str:
        if root and mended_root(root) != root:
            self.note("invalid-value", "codeSystem", "an OID with a digit too many; read without it", severity="information")
        return system_uri(root, self.facility)

    def of_document(self, resource: Resource) -> Resource:
        """With the visit, where the document names one."""
        if self.encounter_reference:
            resource["encounter"] = self.encounter_reference
        return resource


def coding(system: str, code: str, display: str = "") -> dict[str, Any]:
    """A CodeableConcept of one code."""
    return {"coding": [{"system": system, "code": code, **({"display": display} if display else {})}]}
