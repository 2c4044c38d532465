"""The terminology operations over HTTP, at a type and at an instance, by GET and POST.

https://hl7.org/fhir/R4/terminology-service.html
Whoever may read the type may ask; every question leaves an AuditEvent. What is not loaded is 404, what is too large too-costly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from starlette.responses import Response

from hub.api.call import Call
from hub.api.responses import json_answer
from hub.errors import Invalid, NotAllowed, NotFound
from hub.security.reads import Reads
from hub.store.port import Key
from hub.terminology import expand as expanding
from hub.terminology import lookup as looking
from hub.terminology import translate as translating
from hub.terminology import validate as validating
from hub.terminology.asked import Asked
from hub.terminology.closure import NAMES, Closures
from hub.terminology.concepts import CodeSystem
from hub.terminology.conditions import Conditions
from hub.terminology.expansion import Expansion
from hub.terminology.grammars import GRAMMARS
from hub.terminology.maps import CodeMap
from hub.terminology.service import Terminology, complete
from hub.terminology.sources import Found, found_in

T = TypeVar("T")
Work = Callable[[Terminology, Found | None], T]
"""`Found`: the instance that the address names; None at the level of the type."""


async def expand(call: Call) -> Response:
    asked = await Asked.of(call, expanding.NAMES)
    wish = expanding.Wish.of(asked)

    def work(terminology: Terminology, found: Found | None) -> dict[str, Any]:
        return expanding.expanded(complete(_value_set(terminology, found, asked)), wish, call.hub.clock())

    return await _answered(call, "ValueSet", "expand", asked, work)


async def lookup(call: Call) -> Response:
    asked = await Asked.of(call, looking.LOOKUP)
    (system, version, code, _), *_rest = asked.codings()

    def work(terminology: Terminology, _: Found | None) -> dict[str, Any]:
        if system in GRAMMARS and terminology.code_system(system, version) is None:
            return looking.by_grammar(system, code)
        loaded = _system(terminology, system, version)
        return looking.looked_up(loaded, code, language=asked.text("displayLanguage"), properties=asked.texts("property"))

    return await _answered(call, "CodeSystem", "lookup", asked, work)


async def subsumes(call: Call) -> Response:
    asked = await Asked.of(call, looking.SUBSUMES)
    (a_system, a_version, a_code, _), (b_system, b_version, b_code, _) = asked.side("A"), asked.side("B")

    def work(terminology: Terminology, found: Found | None) -> dict[str, Any]:
        if (a_system, a_version) != (b_system, b_version):
            raise Invalid("both codes are of one code system, and of one version")
        loaded = terminology.read_code_system(found) if found else _system(terminology, a_system, a_version)
        if a_system not in ("", loaded.url):
            raise Invalid("the codes are of another code system")
        return looking.subsumption(loaded, a_code, b_code)

    return await _answered(call, "CodeSystem", "subsumes", asked, work)


async def validate_in_value_set(call: Call) -> Response:
    asked = await Asked.of(call, validating.IN_VALUE_SET)
    codings = asked.codings()
    abstract = "abstract" not in asked or asked.flag("abstract")

    def work(terminology: Terminology, found: Found | None) -> dict[str, Any]:
        expansion = _value_set(terminology, found, asked)
        if expansion is None:
            raise NotFound("this value set is not loaded here")
        language = asked.text("displayLanguage")
        verdicts = (validating.in_value_set(expansion, coding, language=language, abstract=abstract) for coding in codings)
        return validating.best(verdicts).answer()

    return await _answered(call, "ValueSet", "validate-code", asked, work)


async def validate_in_code_system(call: Call) -> Response:
    asked = await Asked.of(call, validating.IN_CODE_SYSTEM)
    codings = asked.codings()
    abstract = "abstract" not in asked or asked.flag("abstract")
    language = asked.text("displayLanguage")

    def work(terminology: Terminology, found: Found | None) -> dict[str, Any]:
        inline = asked.resource("codeSystem", "CodeSystem")
        given = CodeSystem.of(inline) if inline else terminology.read_code_system(found) if found else None

        def verdict(coding: tuple[str, str, str, str]) -> validating.Verdict:
            url, version = asked.text("url") or coding[0], asked.text("version") or coding[1]
            if given is None and url in GRAMMARS:
                return validating.by_grammar(url, coding[2])
            own = given.url if given is not None else url
            if coding[0] not in ("", own):
                return validating.Verdict(False, "the coding is of another code system")
            loaded = given or _system(terminology, url, version)
            return validating.in_code_system(loaded, coding, language=language, abstract=abstract)

        return validating.best(map(verdict, codings)).answer()

    return await _answered(call, "CodeSystem", "validate-code", asked, work)


async def translate(call: Call) -> Response:
    asked = await Asked.of(call, translating.NAMES)
    codings = asked.codings()
    direction = translating.Direction(
        asked.text("source").partition("|")[0],
        asked.text("target").partition("|")[0],
        asked.text("targetsystem"),
        asked.flag("reverse"),
        translating.dependencies(asked.parts("dependency")),
    )
    if not all(system for system, *_ in codings):
        raise Invalid("a code is translated with its system")

    def work(terminology: Terminology, found: Found | None) -> dict[str, Any]:
        maps = _maps(terminology, found, asked, {system for system, *_ in codings}, direction)
        return translating.translated(maps, codings, direction, terminology.concept_map)

    return await _answered(call, "ConceptMap", "translate", asked, work)


async def closure(call: Call) -> Response:
    asked = await Asked.of(call, NAMES)

    def work(terminology: Terminology, _: Found | None) -> dict[str, Any]:
        return Closures(call.hub.store, terminology, call.access).answered(asked, call.hub.clock())

    return await _answered(call, "ConceptMap", "closure", asked, work)


def _value_set(terminology: Terminology, found: Found | None, asked: Asked) -> Expansion | None:
    if found is not None:
        return terminology.read_value_set(found)
    inline = asked.resource("valueSet", "ValueSet")
    if inline is not None:
        return terminology.composed(inline)
    if "url" not in asked and "context" in asked:
        return terminology.value_set(terminology.bound(asked.text("context")))
    return terminology.value_set(asked.needed("url"), asked.text("valueSetVersion"))


def _system(terminology: Terminology, url: str, version: str) -> CodeSystem:
    if not url:
        raise Invalid("the operation needs the code system: system, or a coding with one")
    loaded = terminology.code_system(url, version)
    if loaded is None:
        raise NotFound("this code system is not loaded here")
    return loaded


def _maps(
    terminology: Terminology, found: Found | None, asked: Asked, systems: set[str], direction: translating.Direction
) -> list[CodeMap]:
    inline = asked.resource("conceptMap", "ConceptMap")
    if found is not None or inline:
        return [CodeMap.of(inline) if inline else terminology.read_concept_map(found)]  # type: ignore[arg-type]
    if url := asked.text("url"):
        named = terminology.concept_map(url, asked.text("conceptMapVersion"))
        if named is None:
            raise NotFound("this concept map is not loaded here")
        return [named]
    maps = {id(m): m for system in sorted(systems) for m in terminology.concept_maps(system, reverse=direction.reverse)}
    return [each for each in maps.values() if direction.fits(each)]


async def _answered(call: Call, type: str, operation: str, asked: Asked, work: Work[dict[str, Any]]) -> Response:
    id = call.request.path_params.get("id")
    key = Key(type, id) if id is not None else None
    conditions = Conditions.of(asked, call.hub.county.zone)
    terminology = call.hub.terminology.under(conditions)

    def run(reads: Reads) -> dict[str, Any]:
        if reads.scope.types is not None and type not in reads.scope.types:
            raise NotAllowed(f"this role may not read {type}")
        found = found_in(reads.read(key)) if key is not None else None
        if found is not None:
            conditions.check(found.updated)
        return work(terminology, found)

    about = asked.text("url")
    path = f"{type}/{id}/${operation}" if id else f"{type}/${operation}"
    address = f"{path}?url={about}" if about else path
    made = await call.hub.door.reading(call.access, run, action="E", interaction="operation", key=key, type=type, asked=address)
    return json_answer(made)


OPERATIONS = (
    ("ValueSet", "expand", expand, True),
    ("ValueSet", "validate-code", validate_in_value_set, True),
    ("CodeSystem", "lookup", lookup, False),
    ("CodeSystem", "validate-code", validate_in_code_system, True),
    ("CodeSystem", "subsumes", subsumes, True),
    ("ConceptMap", "translate", translate, True),
)
"""Type, operation, what answers it, whether it also works on one resource."""

TERMINOLOGY_ROUTES = (
    ("POST", "/fhir/$closure", closure, False),
    ("POST", "/fhir/ConceptMap/$closure", closure, False),
    *(
        (method, f"/fhir/{type}{level}/${operation}", run, False)
        for type, operation, run, instance in OPERATIONS
        for level in (("", "/{id}") if instance else ("",))
        for method in ("GET", "POST")
    ),
)
