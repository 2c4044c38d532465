"""ValueSet $expand: an Expansion as a page of a ValueSet. https://hl7.org/fhir/R4/valueset-operation-expand.html"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from hub.clock import instant
from hub.errors import HubError, Kind
from hub.terminology.asked import Asked
from hub.terminology.conditions import CONDITIONS
from hub.terminology.document import Designations
from hub.terminology.expansion import Expansion, Member, Part
from hub.terminology.filters import reading
from hub.terminology.grammars import LANGUAGES
from hub.terminology.texts import line_of, words_of

MAX_EXPANDED = 10_000  # codes in one answer
FEW = 2_000  # codes that are looked through one by one, without an index of all texts of their code system
HEAD = ("id", "url", "version", "name", "title", "status", "experimental", "date", "publisher", "copyright", "immutable")
NAMES = frozenset(
    {"url", "valueSet", "valueSetVersion", "filter", "offset", "count", "includeDesignations", "designation", "includeDefinition"}
    | {"activeOnly", "excludeNested", "excludeNotForUI", "excludePostCoordinated", "displayLanguage", "exclude-system", "property"}
    | {"context", "contextDirection"}
    | CONDITIONS
)
PROPERTY = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ValueSet.expansion.contains.property"


class TooLarge(HubError):
    kind = Kind.TOO_COSTLY


@dataclass(frozen=True, slots=True)
class Wish:
    """How the expansion is to look."""

    words: tuple[str, ...]
    offset: int
    count: int | None
    designations: bool
    wanted: tuple[tuple[str, str], ...]  # designations: (system of their use, code), or ("", language); none: all
    language: str
    active_only: bool
    choosable_only: bool
    definition: bool
    without: tuple[str, ...]
    properties: tuple[str, ...]
    echoed: tuple[tuple[str, str, Any], ...]

    @classmethod
    def of(cls, asked: Asked) -> Wish:
        wanted = tuple(_use_or_language(text) for text in asked.texts("designation"))
        echoed: list[tuple[str, str, Any]] = [(n, "String", asked.text(n)) for n in ("filter", "displayLanguage") if asked.text(n)]
        flags = ("includeDesignations", "activeOnly", "excludeNotForUI", "excludeNested")
        echoed += [(name, "Boolean", asked.flag(name)) for name in flags if name in asked]
        echoed += [(name, "Integer", asked.number(name)) for name in ("offset", "count") if name in asked]
        return cls(
            words=tuple(words_of(asked.text("filter"))),
            offset=asked.number("offset") or 0,
            count=asked.number("count"),
            designations=asked.flag("includeDesignations") or bool(wanted),
            wanted=wanted,
            language=asked.text("displayLanguage"),
            active_only=asked.flag("activeOnly"),
            choosable_only=asked.flag("excludeNotForUI"),
            definition=asked.flag("includeDefinition"),
            without=tuple(asked.texts("exclude-system")),
            properties=tuple(asked.texts("property")),
            echoed=tuple(echoed),
        )


def expanded(expansion: Expansion, wish: Wish, now: int) -> dict[str, Any]:
    """Raise TooLarge for more codes than one answer holds; a client then asks for pages or by a filter."""
    chosen = [(part, list(_codes(part, wish))) for part in expansion.parts.values() if not _excluded(part, wish)]
    total = sum(len(codes) for _, codes in chosen)
    last = total if wish.count is None else min(total, wish.offset + wish.count)
    if last - wish.offset > MAX_EXPANDED:
        raise TooLarge(f"the expansion has {total} codes, an answer at most {MAX_EXPANDED}: ask by filter, or by offset and count")
    kept = HEAD if not wish.definition else (*HEAD, "compose")
    resource = {"resourceType": "ValueSet", "status": "active"}
    resource |= {name: expansion.definition[name] for name in kept if name in expansion.definition}
    parameter = [{"name": name, f"value{kind}": value} for name, kind, value in wish.echoed]
    parameter += [{"name": "version", "valueUri": source} for source in expansion.sources if "|" in source]
    systems = [part.code_system for part in expansion.parts.values() if part.code_system is not None]
    supplements = dict.fromkeys(each for system in systems for each in system.supplements)
    parameter += [{"name": "used-supplement", "valueUri": canonical} for canonical in supplements]
    parameter += [{"name": "used-fragment", "valueUri": system} for system in expansion.partial]
    made: dict[str, Any] = {
        "identifier": f"urn:uuid:{uuid.uuid4()}",
        "timestamp": instant(now),
        "total": total,
        "offset": wish.offset,
    }
    if parameter:
        made["parameter"] = parameter
    wanted = islice(((part, code) for part, codes in chosen for code in codes), wish.offset, max(last, wish.offset))
    contains = [_entry(part.member(code), wish) for part, code in wanted]
    if contains:
        made["contains"] = contains
    return {**resource, "expansion": made}


def _excluded(part: Part, wish: Wish) -> bool:
    return any(text.partition("|")[0] == part.system for text in wish.without)


def _codes(part: Part, wish: Wish) -> Iterator[str]:
    system = part.code_system
    out = frozenset[int]()
    if system is not None:
        out = (system.inactive if wish.active_only else out) | (system.abstract if wish.choosable_only else out)
    found = _matching(part, wish.words) if wish.words else part.codes
    if not out or system is None:
        yield from found
    else:
        yield from (code for code in found if system.find(code) not in out)


def _matching(part: Part, words: tuple[str, ...]) -> Iterator[str]:
    system = part.code_system
    if system is None or len(part.codes) <= FEW:
        yield from (code for code in part.codes if _holds(part.member(code), words))
        return
    numbers = system.texts.matching(words)
    if part.codes is system.number:
        codes = system.codes
        yield from (codes[number] for number in sorted(numbers))
        return
    for code in part.codes:
        number = system.find(code)
        if number in numbers or ((code in part.listed or number is None) and _holds(part.member(code), words)):
            yield code


def _holds(member: Member, words: tuple[str, ...]) -> bool:
    line = line_of((member.code, member.display, *(str(each.get("value", "")) for each in member.designations)))
    return all(word in line for word in words)


def _entry(member: Member, wish: Wish) -> dict[str, Any]:
    entry: dict[str, Any] = {"system": member.system} if member.system else {}
    if member.version:
        entry["version"] = member.version
    if member.abstract:
        entry["abstract"] = True
    if member.inactive:
        entry["inactive"] = True
    entry["code"] = member.code
    if display := in_language(member, wish.language):
        entry["display"] = display
    if wish.designations and (shown := [d for d in member.designations if _wished(d, wish.wanted)]):
        entry["designation"] = shown
    if wish.properties and (stated := list(_properties(member, wish.properties))):
        entry["extension"] = stated
    return entry


def _use_or_language(token: str) -> tuple[str, str]:
    """urn:ietf:bcp:47|en, or the use of a designation: http://snomed.info/sct|900000000000003001."""
    system, _, code = token.rpartition("|")
    return ("" if system == LANGUAGES else system), code


def _wished(designation: dict[str, Any], wanted: tuple[tuple[str, str], ...]) -> bool:
    use = designation.get("use") or {}
    language = str(designation.get("language", ""))
    stated = (str(use.get("system", "")), str(use.get("code", "")))
    return not wanted or any(each == stated if each[0] else same_language(language, each[1]) for each in wanted)


def _properties(member: Member, codes: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    system, number = member.code_system, member.number
    if system is None or number is None:
        return
    for code in codes:
        for value in reading(system, code)(number):
            parts = [{"url": "code", "valueCode": code}, {"url": "value", "valueString": value}]
            yield {"url": PROPERTY, "extension": parts}


def same_language(stated: str, wished: str) -> bool:
    """zh is answered by zh-CN, and zh-CN by zh where nothing closer is stated."""
    stated, wished = stated.lower(), wished.lower()
    return bool(stated) and (stated == wished or stated.startswith(wished + "-") or wished.startswith(stated + "-"))


def in_language(member: Member, language: str) -> str:
    own = member.code_system.language if member.code_system is not None else ""
    return display_in(member.display, member.designations, language, own=own)


def display_in(display: str, designations: Designations, language: str, *, own: str = "") -> str:
    """The designation in that language; the display where there is none, or where it is in that language itself.

    `own`: the language of the display. The exact language goes before a related one, what is no synonym before what may be one.
    """
    if not language or (display and f"{own}-".lower().startswith(f"{language}-".lower())):
        return display
    known = [each for each in designations if same_language(str(each.get("language", "")), language)]
    known.sort(key=lambda each: (str(each.get("language", "")).lower() != language.lower(), _other_use(each)))
    return str(known[0].get("value", display)) if known else display


def _other_use(designation: dict[str, Any]) -> bool:
    use = designation.get("use") or {}
    return str(use.get("code", "display")) != "display"
