"""Is a coded value of the value set that a profile binds it to? https://hl7.org/fhir/R4/terminologies.html#strength"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import msgspec

from profiles import structures
from profiles.validation.issues import Place, Severity
from profiles.validation.tables import codes_of

Codes = Callable[[str, str, str], "bool | None"]
"""(value set, system, code) → whether it holds the code; None where the value set is not known. System "": any."""


def binding_issue(binding: dict[str, Any], kind: str, value: Any, codes: Codes) -> tuple[Severity, str] | None:
    """required breaks, extensible is told, what nobody can look up is said to be not checked."""
    strength, value_set = binding.get("strength"), str(binding.get("valueSet", "")).partition("|")[0]
    if strength not in ("required", "extensible") or not value_set:
        return None
    stated = list(_codings(kind, value))
    if not stated:
        return (
            None if kind != "CodeableConcept" or strength != "required" else ("error", "no coding, and the value set is required")
        )
    answers = [_holds(value_set, system, code, codes) for system, code in stated]
    if True in answers:
        return None
    if None in answers:
        return "information", f"the code is not checked: nothing here knows the value set {value_set[:200]}"
    if strength == "required":
        return "error", "the code is none of the required value set"
    return "warning", "the code is none of the value set; another is allowed only where none of it fits"


def _holds(value_set: str, system: str, code: str, codes: Codes) -> bool | None:
    listed = codes_of(value_set)
    if listed is None:
        return codes(value_set, system, code)
    return code in listed.get(system, ()) if system else any(code in found for found in listed.values())


def _codings(kind: str, value: Any) -> Iterator[tuple[str, str]]:
    if kind in ("code", "uri", "string", "canonical") and isinstance(value, str):
        yield "", value
    elif kind in ("Coding", "Quantity") and isinstance(value, dict) and "code" in value:
        yield str(value.get("system", "")), str(value["code"])
    elif kind == "CodeableConcept" and isinstance(value, dict):
        for coding in value.get("coding", ()):
            if "code" in coding:
                yield str(coding.get("system", "")), str(coding["code"])


# -- the definitions' own extensible bindings


class Coded(NamedTuple):
    place: Place
    type: str
    value: Any
    binding: dict[str, Any]


@cache
def _extensible() -> dict[str, str]:
    """Element → the value set that its code is taken from where one fits."""
    return msgspec.json.decode((files("profiles.r4") / "extensible.json").read_bytes(), type=dict[str, str])


def coded_in(value: dict[str, Any], kind: str, place: Place | str) -> Iterator[Coded]:
    """At any depth."""
    for name, member in structures.members(kind).items():
        found = value.get(name)
        for number, each in enumerate(found) if isinstance(found, list) else [(-1, found)]:
            at = (place, name, number)
            value_set = _extensible().get(f"{kind}.{member.element}")
            if value_set and each is not None:
                yield Coded(at, member.type, each, {"strength": "extensible", "valueSet": value_set})
            if isinstance(each, dict):
                yield from coded_in(each, str(each["resourceType"]) if member.type == "Resource" else member.type, at)
