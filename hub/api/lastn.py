"""Observation/$lastn: the latest observations of each code. https://hl7.org/fhir/R4/observation-operation-lastn.html

What counts as one code is what shares a coding; observations of the time at which `max` is reached are all given.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from starlette.responses import Response

from hub import fhir_json
from hub.api.bundles import bundle, found
from hub.api.call import Call
from hub.api.paging import Pairs, operation_pairs, page_link
from hub.api.parameters import parsed
from hub.api.responses import json_answer
from hub.api.shape import Shape
from hub.errors import Invalid, Kind
from hub.search.query import SearchQuery
from hub.security.reads import Reads
from hub.store.port import Version

PATH = "Observation/$lastn"
OWN = frozenset({"max", "_format", "_pretty", "_summary", "_elements"})
NOT_TAKEN = ("_sort", "_count", "_include", "_revinclude", "_total")
AT_ONCE, MOST = 500, 10_000  # observations looked at


async def lastn(call: Call) -> Response:
    pairs = await operation_pairs(call)
    shape = Shape.of(dict(pairs))
    most = _most(dict(pairs).get("max", "1"))
    _check(pairs)
    search = parsed(call, "Observation", [pair for pair in pairs if pair[0] not in OWN])
    query = replace(parsed(call, "Observation", [("_sort", "-date")]).query, criteria=search.query.criteria, count=AT_ONCE)
    asked = f"{PATH}?" + "&".join(f"{name}={value}" for name, value in pairs)
    groups = await call.hub.door.reading(
        call.access, lambda reads: latest(reads, query, most), interaction="operation", type="Observation", asked=asked
    )
    versions = [version for group in groups for version in group.versions]
    shown = () if shape.summary == "count" else versions
    entries = [found(version, call.base, "match", shape.body(version)) for version in shown]
    links = {"self": page_link(call, PATH, pairs)}
    return json_answer(bundle("searchset", entries, links=links, now=call.hub.clock(), total=len(versions)))


def _most(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:9]) <= 1000:
        raise Invalid("max is a number from 1 to 1000", expression=("max",))
    return int(text)


def _check(pairs: Pairs) -> None:
    names = {name.partition(":")[0] for name, _ in pairs}
    if taken := names.intersection(NOT_TAKEN):
        raise Invalid(f"$lastn takes no {min(taken)}", expression=(min(taken),))
    if not names & {"patient", "subject"}:
        raise Invalid("$lastn needs a patient or a subject", kind=Kind.INVALID, expression=("patient",))


@dataclass(slots=True)
class Group:
    """Observations of one code, the latest first."""

    codes: set[str]
    versions: list[Version] = field(default_factory=list)
    last: str = ""  # the time of the last one

    def add(self, version: Version, when: str, most: int) -> None:
        if len(self.versions) < most or (when and when == self.last):
            self.versions.append(version)
            self.last = when


def latest(reads: Reads, query: SearchQuery, most: int) -> list[Group]:
    """Groups in the order of their latest observation. Raise Invalid (too-costly) beyond MOST observations."""
    groups: list[Group] = []
    position, seen = None, 0
    while True:
        page = reads.search(replace(query, after=position))
        for version in page.matches:
            observation = fhir_json.load(version.body)
            _group(groups, codes_of(observation)).add(version, time_of(observation), most)
        seen += len(page.matches)
        if page.next is None:
            return groups
        if seen >= MOST:
            raise Invalid(f"more than {MOST} observations: narrow them by category, code or date", kind=Kind.TOO_COSTLY)
        position = page.next


def _group(groups: list[Group], codes: set[str]) -> Group:
    for group in groups:
        if group.codes & codes:
            group.codes |= codes
            return group
    groups.append(Group(codes))
    return groups[-1]


def codes_of(observation: dict[str, Any]) -> set[str]:
    code = observation.get("code", {})
    codings = {f"{coding.get('system', '')}|{coding['code']}" for coding in code.get("coding", ()) if "code" in coding}
    return codings or {f"text {code.get('text', '')}"}


def time_of(observation: dict[str, Any]) -> str:
    period = observation.get("effectivePeriod", {})
    stated = observation.get("effectiveDateTime") or observation.get("effectiveInstant") or period.get("start")
    return str(stated or "")
