"""$everything of a Patient, of all Patients or of an Encounter: a record from every facility that the caller may see, page by page.

https://hl7.org/fhir/R4/patient-operation-everything.html, https://hl7.org/fhir/R4/encounter-operation-everything.html
The compartments of all linked Patients, or of the encounter, are walked type by type; what a page refers to outside them
(facilities, practitioners, locations, medications, the encounter's patient) stands beside it. `_type` says what of this is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from starlette.responses import Response

from hub import fhir_json
from hub.api.bundles import bundle, found
from hub.api.call import Call
from hub.api.compartment import condition_of, itself
from hub.api.paging import MAX_COUNT, Pairs, count_of, operation_pairs, page_link, position_of
from hub.api.responses import json_answer
from hub.api.walk import walk
from hub.errors import Invalid
from hub.search.parameters import registry
from hub.search.parse import parse_search
from hub.search.query import AllOf, AnyOf, Condition, Criterion, ReferenceValue, SearchQuery
from hub.security.reads import Reads
from hub.store.port import Key, Version
from profiles.structures import compartments

KNOWN = frozenset({"_type", "_since", "_count", "_format", "_pretty"})
OF_PATIENT = KNOWN | {"start", "end"}
BESIDE = frozenset({"Organization", "Practitioner", "PractitionerRole", "Location", "Medication", "Device"})
NOT_RECORDS = frozenset({"AuditEvent", "Provenance"})
DEFAULT_COUNT = 100

CARE_DATES = (
    "date",
    "period",
    "authored",
    "authoredon",
    "authored-on",
    "issued",
    "recorded-date",
    "occurrence",
    "started",
    "effective",
    "effective-time",
    "whenhandedover",
    "created",
    "sent",
    "onset-date",
)
"""Parameters that say when care took place, the best first: for `start` and `end`."""


async def of_patient(call: Call) -> Response:
    return await _everything(call, Whose("Patient", call.request.path_params["id"]), OF_PATIENT)


async def of_all_patients(call: Call) -> Response:
    return await _everything(call, Whose("Patient"), OF_PATIENT)


async def of_encounter(call: Call) -> Response:
    return await _everything(call, Whose("Encounter", call.request.path_params["id"]), KNOWN)


class Whose(NamedTuple):
    type: str
    id: str = ""  # "" is everybody whom the caller may see

    @property
    def key(self) -> Key | None:
        return Key(self.type, self.id) if self.id else None

    @property
    def path(self) -> str:
        return f"{self.type}/{self.id}/$everything" if self.id else f"{self.type}/$everything"


async def _everything(call: Call, whose: Whose, known: frozenset[str]) -> Response:
    pairs = await operation_pairs(call)
    stated = _once(pairs, known)
    position = position_of(call, whose.path, pairs)
    count = min(MAX_COUNT, max(1, count_of(stated.get("_count"), DEFAULT_COUNT)))
    types = _types([value for name, value in pairs if name == "_type"])
    record = _Record(whose, types, _since(call, stated), _Care.of(call, stated))

    def work(reads: Reads) -> tuple[list[Version], list[Version], str | None]:
        if whose.key is not None:
            reads.read(whose.key)
        page = walk(reads, list(record.queries(reads, count)), count, position)
        return [version for version in page.matches if record.shows(version.type)], record.beside(reads, page.matches), page.next

    asked = f"{whose.path}?" + "&".join(f"{name}={value}" for name, value in pairs)
    matches, beside, following = await call.hub.door.reading(
        call.access, work, interaction="operation", key=whose.key, type=whose.type, asked=asked
    )
    return _answer(call, whose.path, pairs, matches, beside, following, first=position is None)


def _once(pairs: Pairs, known: frozenset[str]) -> dict[str, str]:
    """Only `_type` may be given more than once. Raise Invalid."""
    stated = dict(pairs)
    if unknown := sorted(set(stated) - known):
        raise Invalid(f"$everything takes {', '.join(sorted(known))}, not {unknown[0][:64]}", expression=(unknown[0][:64],))
    for name in stated:
        if name != "_type" and sum(each == name for each, _ in pairs) > 1:
            raise Invalid(f"{name} is given once", expression=(name,))
    return stated


def _answer(
    call: Call,
    path: str,
    pairs: Pairs,
    matches: list[Version],
    beside: list[Version],
    following: str | None,
    *,
    first: bool,
) -> Response:
    links = {"self": page_link(call, path, pairs)}
    if following is not None:
        links["next"] = page_link(call, path, pairs, following)
    entries = [found(version, call.base, "match") for version in matches]
    entries += [found(version, call.base, "include") for version in beside]
    total = len(matches) if first and following is None else None
    return json_answer(bundle("searchset", entries, links=links, now=call.hub.clock(), total=total))


class _Care:
    """`start` and `end`: when care took place. A record that says no date is part of it."""

    def __init__(self, call: Call, bounds: tuple[tuple[str, str], ...]) -> None:
        self._call = call
        self._bounds = bounds

    @classmethod
    def of(cls, call: Call, stated: dict[str, str]) -> _Care:
        """Raise Invalid for what is no date."""
        bounds = tuple((prefix, stated[name]) for name, prefix in (("start", "ge"), ("end", "le")) if name in stated)
        care = cls(call, bounds)
        care.conditions("Observation")
        return care

    def conditions(self, kind: str) -> tuple[Condition, ...]:
        code = next((code for code in CARE_DATES if _is_date(kind, code)), "")
        if not code or not self._bounds:
            return ()
        pairs = [(code, f"{prefix}{text}") for prefix, text in self._bounds]
        within = _criteria(self._call, kind, pairs)
        return (AnyOf((Criterion(code, "date", (), "missing", missing=True), AllOf(within))),)


def _is_date(kind: str, code: str) -> bool:
    parameter = registry().get(kind, code)
    return parameter is not None and parameter.type == "date"


class _Record:
    """Whose record, and which part of it."""

    def __init__(self, whose: Whose, types: frozenset[str], since: tuple[Condition, ...], care: _Care) -> None:
        self._whose = whose
        self._types = types
        self._since = since
        self._care = care
        self._outside = BESIDE if whose.type == "Patient" else BESIDE | {"Patient", "EpisodeOfCare"}

    def queries(self, reads: Reads, count: int) -> Iterator[SearchQuery]:
        own = self._whose.type
        for kind in (own, *sorted(set(compartments()[own]) - {own})):
            if self._walked(kind, reads):
                within = self._itself(reads) if kind == own else self._within(reads, kind)
                when = () if kind == own else self._care.conditions(kind)
                if within is not None:
                    yield SearchQuery(kind, (*within, *when, *self._since), count=count)

    def shows(self, kind: str) -> bool:
        return not self._types or kind in self._types

    def _walked(self, kind: str, reads: Reads) -> bool:
        """What is shown, and all of it where something that it refers to is asked for."""
        readable = reads.scope.types is None or kind in reads.scope.types
        return readable and kind not in NOT_RECORDS and (self.shows(kind) or bool(self._types & self._outside))

    def _itself(self, reads: Reads) -> tuple[Condition, ...]:
        return () if self._whose.key is None else (itself(reads, self._whose.key),)

    def _within(self, reads: Reads, kind: str) -> tuple[Condition, ...] | None:
        """Of the parameters that touch a compartment the one that means the patient: who acted in it has no record there."""
        if self._whose.type != "Patient":
            return (condition_of(reads, Key(*self._whose), kind),)
        codes = compartments()["Patient"][kind]
        known = [code for code in ("patient", "subject", *codes) if code in codes and registry().get(kind, code)]
        if not known:
            return None
        if not self._whose.id:
            code = "patient" if registry().get(kind, "patient") else known[0]  # a subject may be a group, too
            return (Criterion(code, "reference", (), "missing", missing=False),)
        references = tuple(ReferenceValue("Patient", patient) for patient in reads.person(self._whose.id))
        return (Criterion(known[0], "reference", references),)

    def beside(self, reads: Reads, matches: Sequence[Version]) -> list[Version]:
        """What the records of this page refer to outside the compartment, once each."""
        types = frozenset(kind for kind in self._outside if self.shows(kind))
        present = {Key(version.type, version.id) for version in matches}
        wanted: dict[Key, None] = {}
        for version in matches if types else ():
            wanted.update((key, None) for key in _references(fhir_json.load(version.body)) if key.type in types)
        return reads.read_many([key for key in wanted if key not in present][:MAX_COUNT])


def _types(stated: Sequence[str]) -> frozenset[str]:
    """() is every type."""
    types = frozenset(kind for text in stated for kind in text.split(",") if kind)
    if types - registry().types:
        raise Invalid("_type lists resource types of FHIR R4", expression=("_type",))
    return types


def _since(call: Call, stated: dict[str, str]) -> tuple[Condition, ...]:
    return _criteria(call, "Patient", [("_lastUpdated", f"ge{stated['_since']}")]) if "_since" in stated else ()


def _criteria(call: Call, kind: str, pairs: Pairs) -> tuple[Condition, ...]:
    return parse_search(kind, pairs, now=call.hub.clock(), zone=call.hub.county.zone).query.criteria


def _references(value: Any) -> Iterator[Key]:
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str) and reference.count("/") == 1:
            yield Key(*reference.split("/"))
        for content in value.values():
            yield from _references(content) if isinstance(content, (dict, list)) else ()
    else:
        for item in value:
            yield from _references(item) if isinstance(item, (dict, list)) else ()
