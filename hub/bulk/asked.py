"""What a kick-off of `$export` asks for: parameters of an address or of a Parameters resource → Asked.

What is not understood is refused by its name, or left out for a client that prefers handling=lenient.
https://hl7.org/fhir/uv/bulkdata/STU2/export.html#query-parameters
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from hub.api.parameters import pairs_of
from hub.errors import HubError, Invalid
from hub.search.dates import interval
from hub.search.parameters import registry
from hub.search.parse import parse_search
from hub.search.query import AllOf, AnyOf, Condition
from hub.security.access import Access
from profiles.structures import compartments

Pairs = list[tuple[str, str]]
Level = Literal["system", "patient", "group"]

FORMATS = frozenset({"application/fhir+ndjson", "application/ndjson", "ndjson"})
ABOUT_THE_ANSWER = frozenset({"_format", "_pretty"})
MOST_PATIENTS = 10_000  # named one by one
MOST_FILTERS = 50
TRAIL = frozenset({"AuditEvent"})  # exported where it is named, as it is searched
_between_filters = re.compile(r",(?=[A-Z][A-Za-z]+\?)").split
_element = re.compile(r"([A-Z][A-Za-z]+\.)?[a-z][A-Za-z0-9]*").fullmatch
_patient = re.compile(r"(?:Patient/)?([A-Za-z0-9\-.]{1,64})").fullmatch


class Note(msgspec.Struct, frozen=True):
    """What the client is told of beside the files: a warning of the manifest's `error`."""

    code: str
    text: str


class Asked(msgspec.Struct, frozen=True):
    """Kept in the job; criteria stay as they were written."""

    access: Access
    request: str  # the address that was asked
    base: str  # this server's own
    level: Level
    types: tuple[str, ...]
    group: str = ""
    patients: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    filters: dict[str, tuple[str, ...]] = {}  # type → alternatives, each a search
    elements: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()

    def conditions(self, kind: str, now: int, zone: str) -> tuple[Condition, ...]:
        """What a resource of the type must fulfil beside lying in the compartments; it may have changed since. Raise Invalid."""
        found: list[Condition] = []
        if self.since:
            found += _criteria(kind, [("_lastUpdated", f"ge{self.since}")], now, zone, self.base)
        alternatives = [AllOf(_criteria(kind, pairs_of(text), now, zone, self.base)) for text in self.filters.get(kind, ())]
        if alternatives:
            found.append(AnyOf(tuple(alternatives)))
        return tuple(found)


def _criteria(kind: str, pairs: Pairs, now: int, zone: str, base: str) -> tuple[Condition, ...]:
    try:
        query = parse_search(kind, pairs, now=now, zone=zone, base=base).query
    except HubError as error:
        error.expression = ("_typeFilter",)
        raise
    if query.sort or query.includes or not query.criteria:
        raise Invalid("_typeFilter takes search criteria, such as Observation?category=laboratory", expression=("_typeFilter",))
    return query.criteria


class Reader:
    """Reads the parameters of one kick-off."""

    def __init__(self, level: Level, readable: frozenset[str] | None, *, lenient: bool) -> None:
        self._level = level
        self._lenient = lenient
        self._readable = registry().types if readable is None else registry().types & readable
        self._offered = self._readable & in_patient_compartment() if level != "system" else self._readable
        self.types: list[str] = []
        self.patients: list[str] = []
        self.since = ""
        self.until = ""
        self.filters: dict[str, tuple[str, ...]] = {}
        self.elements: list[str] = []
        self.notes: list[Note] = []

    def read(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Raise Invalid for what is unknown, malformed or not offered."""
        for name, value in pairs:
            if name in ABOUT_THE_ANSWER:
                continue
            take = TAKEN.get(name)
            if take is None or (name == "patient" and self._level == "system"):
                self._leave_out(name, f"{name[:64]} is no parameter of this export")
                continue
            take(self, value)
        if self.types and not set(self.filters) <= set(self.types):
            self._leave_out("_typeFilter", "_typeFilter is about a type that _type does not name")

    def chosen(self) -> tuple[str, ...]:
        """The types to export; without `_type` all that this caller may read, and those of `_typeFilter` alone with none."""
        if self.types:
            return tuple(dict.fromkeys(self.types))
        return tuple(sorted(self._offered - TRAIL))

    def _leave_out(self, name: str, why: str) -> None:
        if not self._lenient:
            raise Invalid(why, expression=(name[:64],))
        self.notes.append(Note("not-supported", why))

    def take_format(self, value: str) -> None:
        if value.replace(" ", "+") not in FORMATS:
            self._leave_out("_outputFormat", "_outputFormat is application/fhir+ndjson")

    def take_since(self, value: str) -> None:
        self.since = _instant("_since", value)

    def take_until(self, value: str) -> None:
        self.until = _instant("_until", value)

    def take_types(self, value: str) -> None:
        for kind in filter(None, value.split(",")):
            if kind in self._offered:
                self.types.append(kind)
            else:
                self._leave_out("_type", "_type names what is no resource type, or is not exported here to this caller")

    def take_filters(self, value: str) -> None:
        for text in _between_filters(value):
            kind, _, criteria = text.partition("?")
            if kind not in self._offered or not criteria:
                self._leave_out("_typeFilter", "_typeFilter is Type?criteria of a type that is exported here to this caller")
                continue
            self.filters[kind] = (*self.filters.get(kind, ()), criteria)
            if sum(map(len, self.filters.values())) > MOST_FILTERS:
                raise Invalid(f"more than {MOST_FILTERS} of _typeFilter", expression=("_typeFilter",))

    def take_elements(self, value: str) -> None:
        for element in filter(None, (each.strip() for each in value.split(","))):
            if not _element(element):
                raise Invalid("_elements lists elements: name, or Patient.name", expression=("_elements",))
            self.elements.append(element)

    def take_patients(self, value: str) -> None:
        for reference in filter(None, value.split(",")):
            match = _patient(reference)
            if match is None:
                raise Invalid("patient refers to a Patient: Patient/4711", expression=("patient",))
            self.patients.append(match[1])
        if len(self.patients) > MOST_PATIENTS:
            raise Invalid(f"more than {MOST_PATIENTS} patients are exported as a Group", expression=("patient",))


TAKEN: dict[str, Callable[[Reader, str], None]] = {
    "_outputFormat": Reader.take_format,
    "_since": Reader.take_since,
    "_until": Reader.take_until,
    "_type": Reader.take_types,
    "_typeFilter": Reader.take_filters,
    "_elements": Reader.take_elements,
    "patient": Reader.take_patients,
}


def _instant(name: str, stated: str) -> str:
    value = stated.replace(" ", "+")  # of an offset whose plus was not encoded
    try:
        interval(value)
    except ValueError:
        value = ""
    if "T" not in value:
        raise Invalid(f"{name} is an instant such as 2026-05-01T00:00:00+08:00", expression=(name,))
    return value


def in_patient_compartment() -> frozenset[str]:
    return frozenset(kind for kind, codes in compartments()["Patient"].items() if codes) | {"Patient"}


def pairs_in(parameters: dict[str, Any]) -> Pairs:
    """The parameters of a POST. https://hl7.org/fhir/R4/parameters.html"""
    stated = parameters.get("parameter", [])
    if parameters.get("resourceType") != "Parameters" or not isinstance(stated, list):
        raise Invalid("$export is sent a Parameters resource")
    pairs: Pairs = []
    for each in stated:
        value = next((value for name, value in each.items() if name.startswith("value")), None) if isinstance(each, dict) else None
        if isinstance(value, dict):
            value = value.get("reference")
        if not isinstance(value, str):
            raise Invalid("each parameter has a name and a value")
        pairs.append((str(each.get("name", "")), value))
    return pairs
