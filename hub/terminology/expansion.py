"""What a ValueSet contains: for each code system the codes chosen from it, in the order of the definition.

A whole code system costs nothing: its own table of codes stands for it. https://hl7.org/fhir/R4/valueset.html#compositions
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hub.terminology.concepts import CodeSystem
from hub.terminology.document import Designations


@dataclass(frozen=True, slots=True)
class Listed:
    """What a value set itself says of a code that it lists."""

    display: str = ""
    designations: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    system: str
    version: str
    code: str
    display: str
    designations: Designations
    number: int | None  # in `code_system`
    code_system: CodeSystem | None

    @property
    def inactive(self) -> bool:
        return self.code_system is not None and self.number in self.code_system.inactive

    @property
    def abstract(self) -> bool:
        return self.code_system is not None and self.number in self.code_system.abstract


Codes = Mapping[str, Any]


@dataclass(slots=True)
class Part:
    """Codes of one version of one code system. `codes`: in order; the values mean nothing."""

    system: str
    version: str
    code_system: CodeSystem | None
    codes: Codes
    listed: dict[str, Listed] = field(default_factory=dict)

    def member(self, code: str) -> Member:
        said = self.listed.get(code)
        number = self.code_system.find(code) if self.code_system is not None else None
        display = (said.display if said else "") or self._display(number)
        designations = list(said.designations) if said else []
        if self.code_system is not None and number is not None:
            designations += self.code_system.designations.get(number, [])
        return Member(self.system, self.version, code, display, designations, number, self.code_system)

    def _display(self, number: int | None) -> str:
        return self.code_system.displays[number] if self.code_system is not None and number is not None else ""

    def spelled(self, code: str) -> str | None:
        """The code as the value set has it; None if it does not. Case as the code system takes it."""
        if code in self.codes:
            return code
        if self.code_system is None or self.code_system.case_sensitive:
            return None
        number = self.code_system.find(code)
        found = self.code_system.codes[number] if number is not None else None
        return found if found in self.codes else None


PartKey = tuple[str, str]  # system, version


@dataclass(slots=True)
class Expansion:
    """`missing` code systems and `missing_sets` are not loaded, so that not everything it contains is known."""

    url: str = ""
    version: str = ""
    parts: dict[PartKey, Part] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    missing_sets: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()  # code systems of which only a part is loaded: another of their codes may be in it
    active_only: bool = False  # compose.inactive is false
    sources: tuple[str, ...] = ()  # canonical URLs with versions of what it was made from
    definition: dict[str, Any] = field(default_factory=dict)  # the ValueSet

    def __len__(self) -> int:
        return sum(len(part.codes) for part in self.parts.values())

    def pairs(self) -> Iterator[tuple[str, str]]:
        for part in self.parts.values():
            for code in part.codes:
                yield part.system, code

    def unknown(self, system: str) -> tuple[str, ...]:
        """What is missing and may hold codes of `system`; "" stands for any."""
        return tuple(url for url in self.missing if system in ("", url)) + self.missing_sets

    def find(self, system: str, code: str, version: str = "") -> Member | None:
        """`system` "": whichever has the code."""
        for part in self.parts.values():
            if system in ("", part.system) and version in ("", part.version, part.code_system.version if part.code_system else ""):
                spelled = part.spelled(code)
                if spelled is not None:
                    return part.member(spelled)
        return None


def united(parts: Iterator[Part]) -> dict[PartKey, Part]:
    """Each code once, where it first stands."""
    found: dict[PartKey, Part] = {}
    for part in parts:
        key = (part.system, part.version)
        if key not in found:
            found[key] = part
            continue
        before = found[key]
        found[key] = Part(
            part.system,
            part.version,
            before.code_system or part.code_system,
            {**dict.fromkeys(before.codes), **dict.fromkeys(part.codes)},
            {**part.listed, **before.listed},
        )
    return found


def common(part: Part, other: Mapping[PartKey, Part]) -> Part:
    """What is in both. A version that is not stated on one side is any."""
    codes = [
        set(o.codes)
        for o in other.values()
        if o.system == part.system and (o.version == part.version or not o.version or not part.version)
    ]
    both = set().union(*codes)
    return Part(part.system, part.version, part.code_system, {c: None for c in part.codes if c in both}, part.listed)


def without(part: Part, other: Mapping[PartKey, Part]) -> Part:
    gone: set[str] = set()
    for excluded in other.values():
        if excluded.system == part.system and (excluded.version == part.version or not excluded.version or not part.version):
            gone.update(excluded.codes)
    if not gone:
        return part
    return Part(part.system, part.version, part.code_system, {c: None for c in part.codes if c not in gone}, part.listed)
