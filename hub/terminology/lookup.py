"""CodeSystem $lookup and $subsumes: what a code is, and how two codes lie to one another.

https://hl7.org/fhir/R4/codesystem-operation-lookup.html  https://hl7.org/fhir/R4/codesystem-operation-subsumes.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from hub.errors import NotFound
from hub.terminology.asked import parameters
from hub.terminology.concepts import CodeSystem
from hub.terminology.document import value_of
from hub.terminology.expand import display_in, same_language
from hub.terminology.grammars import GRAMMARS

LOOKUP = frozenset({"code", "system", "version", "coding", "date", "displayLanguage", "property"})
SUBSUMES = frozenset({"codeA", "codeB", "system", "version", "codingA", "codingB"})
Stated = tuple[str, str, Any]


def concept(system: CodeSystem, code: str) -> int:
    """Raise NotFound for a code that the code system does not have."""
    number = system.find(code)
    if number is None:
        raise NotFound("the code system has no such code")
    return number


def looked_up(system: CodeSystem, code: str, *, language: str = "", properties: Iterable[str] = ()) -> dict[str, Any]:
    number = concept(system, code)
    wished = frozenset(properties)
    designations = system.designations.get(number, [])
    display = display_in(system.displays[number], designations, language, own=system.language)
    languages = [each.removeprefix("lang.") for each in wished if each.startswith("lang.")] or [language]
    shown = not wished or "designation" in wished or languages != [language]
    return parameters(
        ("name", "String", system.name),
        ("version", "String", system.version),
        ("display", "String", display or system.codes[number]),
        *(_designations(system, number, languages) if shown else ()),
        *(("property", "part", parts) for code, parts in _properties(system, number) if not wished or code in wished),
    )


def by_grammar(system: str, code: str) -> dict[str, Any]:
    """A code that is an expression stands for itself. Raise NotFound for what is none."""
    if not GRAMMARS[system](code):
        raise NotFound("the code is not one of this grammar")
    return parameters(("name", "String", system), ("display", "String", code))


def _designations(system: CodeSystem, number: int, languages: list[str]) -> Iterator[Stated]:
    for each in system.designations.get(number, ()):
        if all(languages) and not any(same_language(str(each.get("language", "")), language) for language in languages):
            continue
        yield (
            "designation",
            "part",
            [(n, k, each.get(n)) for n, k in (("language", "Code"), ("use", "Coding"), ("value", "String"))],
        )


def _properties(system: CodeSystem, number: int) -> Iterator[tuple[str, list[Stated]]]:
    codes = system.codes
    if definition := system.definitions.get(number):
        yield "definition", [("code", "Code", "definition"), ("value", "String", definition)]
    yield "inactive", [("code", "Code", "inactive"), ("value", "Boolean", number in system.inactive)]
    for name, others in (("parent", system.parents(number)), ("child", system.children.get(number, ()))):
        for other in others:
            yield name, [("code", "Code", name), ("value", "Code", codes[other]), ("description", "String", system.displays[other])]
    for stated in system.properties.get(number, ()):
        code, (kind, value) = str(stated.get("code", "")), value_of(stated)
        if code not in ("parent", "child", "inactive") and kind:
            declared = system.declared.get(code)
            described = declared.description if declared is not None else ""
            yield code, [("code", "Code", code), ("value", kind.removeprefix("value"), value), ("description", "String", described)]


def subsumption(system: CodeSystem, code_a: str, code_b: str) -> dict[str, Any]:
    a, b = concept(system, code_a), concept(system, code_b)
    if a == b:
        outcome = "equivalent"
    elif a in system.ancestors(b):
        outcome = "subsumes"
    else:
        outcome = "subsumed-by" if b in system.ancestors(a) else "not-subsumed"
    return parameters(("outcome", "Code", outcome))
