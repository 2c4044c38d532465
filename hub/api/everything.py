"""Patient/{id}/$everything: a person's record from every facility that the caller may see, page by page.

https://hl7.org/fhir/R4/patient-operation-everything.html
All linked Patients' compartments are walked in turn, type by type; what a page refers to outside them (facilities, practitioners,
locations, medications) stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from hub import fhir_json
from hub.api.bundles import bundle, found
from hub.api.call import Call
from hub.api.paging import MAX_COUNT, count_of, page_link, position_of, query_pairs
from hub.api.responses import json_answer
from hub.errors import Invalid
from hub.search.parameters import patient_compartment, registry
from hub.search.parse import parse_search
from hub.search.query import Condition, Criterion, ReferenceValue, SearchQuery, TokenValue
from hub.security.reads import Reads
from hub.store.port import Key, Version

KNOWN = frozenset({"_type", "_since", "_count", "_format", "_pretty"})
BESIDE = frozenset({"Organization", "Practitioner", "PractitionerRole", "Location", "Medication", "Device"})
NOT_RECORDS = frozenset({"AuditEvent", "Provenance"})
DEFAULT_COUNT = 100


async def everything(call: Call) -> Response:
    key = Key("Patient", call.request.path_params["id"])
    pairs = query_pairs(call)
    stated = dict(pairs)
    if unknown := sorted(set(stated) - KNOWN):
        raise Invalid(f"$everything takes _type, _since and _count, not {unknown[0][:64]}")
    path = f"Patient/{key.id}/$everything"
    position = position_of(call, path, pairs)
    count = max(1, count_of(stated.get("_count"), DEFAULT_COUNT))
    since = _since(call, stated["_since"]) if "_since" in stated else ()
    walk = _Walk(key, _types(stated.get("_type", "")), since, count)
    asked = f"{path}?" + "&".join(f"{name}={value}" for name, value in pairs)
    work = call.hub.door.reading(
        call.access, lambda reads: walk.page(reads, position), interaction="operation", key=key, asked=asked
    )
    matches, beside, following = await work
    links = {"self": page_link(call, path, pairs)}
    if following is not None:
        links["next"] = page_link(call, path, pairs, following)
    entries = [found(version, call.base, "match") for version in matches]
    entries += [found(version, call.base, "include") for version in beside]
    total = len(matches) if position is None and following is None else None
    return json_answer(bundle("searchset", entries, links=links, now=call.hub.clock(), total=total))


class _Walk:
    def __init__(self, key: Key, types: frozenset[str] | None, since: tuple[Condition, ...], count: int) -> None:
        self._key = key
        self._types = types
        self._since = since
        self._count = min(count, MAX_COUNT)

    def page(self, reads: Reads, position: str | None) -> tuple[list[Version], list[Version], str | None]:
        """(records, what they refer to, position of the next page). Raise NotFound for a patient the caller may not see."""
        reads.read(self._key)
        steps = list(self._steps(reads))
        first, after = _parsed(position)
        matches: list[Version] = []
        for number in range(first, len(steps)):
            while len(matches) < self._count:
                page = reads.search(replace(steps[number], count=self._count - len(matches), after=after))
                matches += page.matches
                after = page.next
                if after is None:
                    break
            if after is not None:
                return matches, _beside(reads, matches), f"{number}:{after}"
            if len(matches) >= self._count and number + 1 < len(steps):
                return matches, _beside(reads, matches), f"{number + 1}:"
        return matches, _beside(reads, matches), None

    def _steps(self, reads: Reads) -> Iterator[SearchQuery]:
        patients = reads.person(self._key.id)
        ids = Criterion("_id", "token", tuple(TokenValue(None, patient) for patient in patients))
        references = tuple(ReferenceValue("Patient", patient) for patient in patients)
        for kind in ("Patient", *sorted(patient_compartment())):
            if not self._asked(kind, reads):
                continue
            if kind == "Patient":
                yield SearchQuery("Patient", (ids, *self._since), count=self._count)
            elif code := _subject_code(kind):
                yield SearchQuery(kind, (Criterion(code, "reference", references), *self._since), count=self._count)

    def _asked(self, kind: str, reads: Reads) -> bool:
        readable = reads.scope.types is None or kind in reads.scope.types
        return readable and kind not in NOT_RECORDS and (self._types is None or kind in self._types)


def _subject_code(kind: str) -> str:
    """The parameter that says whose record it is: of several that touch the compartment the one that means the patient."""
    codes = patient_compartment()[kind]
    known = [code for code in ("patient", "subject", *codes) if code in codes and registry().get(kind, code)]
    return known[0] if known and kind != "Patient" else ""


def _types(text: str) -> frozenset[str] | None:
    types = frozenset(filter(None, text.split(",")))
    if types - registry().types:
        raise Invalid("_type lists resource types of FHIR R4", expression=("_type",))
    return types or None


def _since(call: Call, text: str) -> tuple[Condition, ...]:
    pairs = [("_lastUpdated", f"ge{text}")]
    return parse_search("Patient", pairs, now=call.hub.clock(), zone=call.hub.county.zone).query.criteria


def _parsed(position: str | None) -> tuple[int, str | None]:
    number, _, after = (position or "0:").partition(":")
    return int(number), after or None


def _beside(reads: Reads, matches: list[Version]) -> list[Version]:
    """What the records of this page refer to outside the compartment, once each."""
    present = {Key(version.type, version.id) for version in matches}
    wanted: dict[Key, None] = {}
    for version in matches:
        wanted.update((key, None) for key in _references(fhir_json.load(version.body)) if key.type in BESIDE)
    return reads.read_many([key for key in wanted if key not in present][:MAX_COUNT])


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
