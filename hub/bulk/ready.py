"""One line of NDJSON → a resource ready to be stored, or why it cannot be: parsed, checked, indexed. Runs beside the hub's process.

What is made here may be overtaken: by another owner than was expected, by parameters that were registered meanwhile. Whoever writes
it looks whether it still holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from hub import fhir_json
from hub.errors import HubError, Invalid
from hub.search.custom import Custom
from hub.search.entries import Entry
from hub.search.extract import Extractor
from hub.search.parameters import published
from hub.security.labels import compartment_of
from hub.security.subjects import subjects_of
from hub.store.compartments import patient_in
from hub.store.content import halves, owned
from hub.store.port import Key, Prepared
from profiles.names import FACILITY_TAG, GOLDEN, HUB_TAG
from profiles.validation import ValidationIssue, refusing, validate
from profiles.validation.profile import names_profiles

LONGEST = 16 << 20  # bytes of a line
_id = re.compile(r"[A-Za-z0-9\-.]{1,64}").fullmatch
Prepare = Callable[[str, Iterable[Entry]], Any]


class Ready(NamedTuple):
    """What the writer needs; everything in it can be marshalled."""

    line: int  # within the piece, from 0
    prepared: tuple[Any, ...]  # the fields of a Prepared
    tags: tuple[str, ...]  # facilities that the resource was tagged with
    subjects: tuple[str, ...]  # Patients that it ties itself to
    golden: bool
    profiled: bool  # it may name profiles, which only the hub can look at
    issues: bytes  # an OperationOutcome of rules that it breaks and that do not keep it out

    @property
    def resource(self) -> Prepared:
        return Prepared(*self.prepared)

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
            if len(text) > LONGEST:
                raise Invalid(f"a line of more than {LONGEST} bytes")
            return self._ready(line, fhir_json.parse(text))
        except HubError as error:
            return Refused(line, fhir_json.dump(error.outcome()))

    def _ready(self, line: int, resource: dict[str, Any]) -> Ready | Refused:
        issues = validate(resource)
        if issues and (refused := refusing(issues, strict=self._setting.strict)):
            return Refused(line, outcome_of(refused))
        kind, id = resource["resourceType"], resource.get("id")
        if not isinstance(id, str) or not _id(id):
            raise Invalid("a resource to be imported has an id", expression=(f"{kind}.id",))
        meta = resource.get("meta") or {}
        tags = _codes(meta, FACILITY_TAG)
        facility = self._setting.facility or (tags[0] if tags else "")
        content = owned(resource, id=id, facility=facility)
        compartment = compartment_of(content)
        index = self._setting.prepare(kind, self._extractor.entries(content))
        return Ready(
            line,
            (kind, id, facility, compartment, *halves(content), index),
            tags,
            subjects_of(resource, patient_in(compartment)),
            kind == "Patient" and GOLDEN in _codes(meta, HUB_TAG),
            names_profiles(resource),
            outcome_of(issues) if issues else b"",
        )


def _codes(meta: dict[str, Any], system: str) -> tuple[str, ...]:
    return tuple(str(tag.get("code", "")) for tag in meta.get("tag", ()) if tag.get("system") == system)
