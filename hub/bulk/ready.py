"""One line of NDJSON → a resource ready to be stored, or why it cannot be: parsed, checked, indexed. Runs beside the hub's process.

What is made here may be overtaken: by another owner than was expected, by parameters that were registered meanwhile. Whoever writes
it looks whether it still holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from hub import fhir_json
from hub.api.call import ID
from hub.api.negotiation import RESOURCE_BYTES
from hub.api.validity import names_profiles
from hub.errors import HubError, Invalid
from hub.search.custom import Custom
from hub.search.entries import Entry
from hub.search.extract import Extractor, patient_of
from hub.search.parameters import published
from hub.security.policy import is_golden
from hub.security.writes import SUBJECTS
from hub.store.content import halves, owned
from hub.store.port import Key, Prepared
from profiles.names import FACILITY_TAG
from profiles.validation import ValidationIssue, refusing, validate

Prepare = Callable[[str, Iterable[Entry]], Any]


class Ready(NamedTuple):
    """What the writer needs; everything in it can be marshalled."""

    line: int  # within the piece, from 0
    prepared: tuple[Any, ...]  # the fields of a Prepared
    tags: tuple[str, ...]  # facilities that the resource was tagged with
    subjects: tuple[str, ...]  # Patients that it is about
    golden: bool
    profiled: bool  # it names profiles, which only the hub can look at
    issues: bytes  # an OperationOutcome of rules that it breaks and that do not keep it out

    @property
    def resource(self) -> Prepared:
        return Prepared._make(self.prepared)

    @property
    def key(self) -> Key:
        return Key(self.prepared[0], self.prepared[1])


class Refused(NamedTuple):
    line: int
    outcome: bytes  # an OperationOutcome


@dataclass(frozen=True)
class Setting:
    """What a run of an import does not change."""

    facility: str  # of the caller; "" for one who writes for every facility
    strict: bool
    customs: tuple[Custom, ...]
    prepare: Prepare

    def extractor(self) -> Extractor:
        return Extractor(published().extended(each for custom in self.customs for each in custom.parameters()))


def outcome_of(issues: Iterable[ValidationIssue]) -> bytes:
    return fhir_json.dump({"resourceType": "OperationOutcome", "issue": [issue.fact() for issue in issues]})


class Preparer:
    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._extractor = setting.extractor()

    def of(self, line: int, text: bytes) -> Ready | Refused:
        try:
            if len(text) > RESOURCE_BYTES:
                raise Invalid(f"a line of more than {RESOURCE_BYTES} bytes")
            return self._ready(line, fhir_json.parse(text))
        except HubError as error:
            return Refused(line, fhir_json.dump(error.outcome()))

    def _ready(self, line: int, resource: dict[str, Any]) -> Ready | Refused:
        issues = validate(resource)
        if issues and (refused := refusing(issues, strict=self._setting.strict)):
            return Refused(line, outcome_of(refused))
        kind, id = resource["resourceType"], resource.get("id")
        if not isinstance(id, str) or not ID.fullmatch(id):
            raise Invalid("a resource to be imported has an id", expression=(f"{kind}.id",))
        tags = _facilities(resource)
        facility = self._setting.facility or (tags[0] if tags else "")
        content = owned(resource, id=id, facility=facility)
        patient = patient_of(content)
        index = self._setting.prepare(kind, self._extractor.entries(content))
        return Ready(
            line,
            (kind, id, facility, patient, *halves(content), index),
            tags,
            subjects_of(resource, patient),
            is_golden(resource),
            names_profiles(resource),
            outcome_of(issues) if issues else b"",
        )


def _facilities(resource: dict[str, Any]) -> tuple[str, ...]:
    meta = resource.get("meta")
    tags = meta.get("tag", ()) if meta else ()
    return tuple(str(tag.get("code", "")) for tag in tags if tag.get("system") == FACILITY_TAG)


def subjects_of(resource: dict[str, Any], patient: str) -> tuple[str, ...]:
    """Ids of the Patients that the resource is about."""
    if resource["resourceType"] == "Patient":
        return ()
    found = {patient: None} if patient else {}
    for name in SUBJECTS:
        stated = resource.get(name)
        for reference in stated if isinstance(stated, list) else (stated,):
            text = reference.get("reference") if isinstance(reference, dict) else None
            if isinstance(text, str) and text.startswith("Patient/"):
                found[text.split("/")[1]] = None
    return tuple(found)
