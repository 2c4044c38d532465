"""$validate-code: is this a code of the code system, is it one of the value set, and is that what it is called?

https://hl7.org/fhir/R4/valueset-operation-validate-code.html  https://hl7.org/fhir/R4/codesystem-operation-validate-code.html
The answer to a question that can be answered is 200 with `result`; what was asked about never stands in the message.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hub.search.folding import fold
from hub.terminology.asked import Coding, parameters
from hub.terminology.concepts import CodeSystem
from hub.terminology.conditions import CONDITIONS
from hub.terminology.document import Designations
from hub.terminology.expand import display_in
from hub.terminology.expansion import Expansion
from hub.terminology.grammars import GRAMMARS

COMMON = frozenset({"code", "system", "coding", "codeableConcept", "display", "displayLanguage", "abstract", "date"})
IN_VALUE_SET = COMMON | CONDITIONS | {"url", "valueSet", "valueSetVersion", "systemVersion", "context"}
IN_CODE_SYSTEM = (COMMON - {"system"}) | {"url", "codeSystem", "version"}


@dataclass(frozen=True, slots=True)
class Verdict:
    good: bool
    message: str = ""
    display: str = ""
    known: tuple[str, ...] = field(default=())  # texts that the code goes by

    def answer(self) -> dict[str, Any]:
        return parameters(
            ("result", "Boolean", self.good), ("message", "String", self.message), ("display", "String", self.display)
        )


def best(verdicts: Iterable[Verdict]) -> Verdict:
    """Of several codings one that is right is enough."""
    found = list(verdicts)
    return next((verdict for verdict in found if verdict.good), found[0])


def in_value_set(expansion: Expansion, asked: Coding, *, language: str = "", abstract: bool = True) -> Verdict:
    system, version, code, display = asked
    member = expansion.find(system, code, version)
    if member is None:
        return _absent(expansion, system, code)
    if member.abstract and not abstract:
        return Verdict(False, "the code is abstract: it groups others and is not chosen itself", member.display)
    own = member.code_system.language if member.code_system is not None else ""
    return _called(member.display, member.designations, display, (language, own), inactive=member.inactive)


def _absent(expansion: Expansion, system: str, code: str) -> Verdict:
    unknown = expansion.unknown(system)
    if any(GRAMMARS[url](code) for url in unknown if url in GRAMMARS):
        return Verdict(True)
    if missing := [url for url in unknown if url not in GRAMMARS]:
        return Verdict(False, f"this cannot be told here: the value set draws on {missing[0][:200]}, which is not loaded")
    if system in expansion.partial or (not system and expansion.partial):
        return Verdict(False, "the code is not in the part of its code system that is loaded here")
    return Verdict(False, "the code is not in the value set")


def in_code_system(system: CodeSystem, asked: Coding, *, language: str = "", abstract: bool = True) -> Verdict:
    _, _, code, display = asked
    number = system.find(code)
    if number is None:
        part = " that is loaded here" if system.content in ("fragment", "example") else ""
        return Verdict(False, f"the code is not in the code system{part}")
    if number in system.abstract and not abstract:
        return Verdict(False, "the code is abstract: it groups others and is not chosen itself", system.displays[number])
    designations = system.designations.get(number, [])
    languages = (language, system.language)
    return _called(system.displays[number], designations, display, languages, inactive=number in system.inactive)


def by_grammar(url: str, code: str) -> Verdict:
    good = GRAMMARS[url](code)
    return Verdict(good, "" if good else "the code is not one of this grammar")


def _called(display: str, designations: Designations, stated: str, languages: tuple[str, str], *, inactive: bool) -> Verdict:
    """Case, width and runs of spaces make no difference to a display. `languages`: wished for, and of the display itself."""
    known = {fold(text) for text in (display, *(str(each.get("value", "")) for each in designations)) if text}
    shown = display_in(display, designations, languages[0], own=languages[1])
    if stated and known and fold(stated) not in known:
        return Verdict(False, "the code is right; the display is not one of its texts", shown)
    return Verdict(True, "the code is no longer in use" if inactive else "", shown)
