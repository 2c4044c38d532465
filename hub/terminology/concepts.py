"""CodeSystem → its codes, texts, properties and hierarchy, read once and kept in little memory.

https://hl7.org/fhir/R4/codesystem.html
The hierarchy is what the concepts' nesting says and what the properties parent, child and subsumedBy say; a concept may have
several parents. Walking it costs what it finds, so no table of all ancestors is made: is-a on a hundred thousand codes takes
milliseconds. What is read here once is kept ready in the store (hub.terminology.ready).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

import msgspec

from hub import fhir_json
from hub.terminology.document import CONCEPT_PROPERTIES, Core, Designations, Notes, gathered, text_of, value_of
from hub.terminology.texts import TextIndex

INCOMPLETE = frozenset({"not-present", "example", "fragment"})


class CodeSystem:
    """Concepts are numbered in the order in which the resource lists them."""

    def __init__(
        self, core: Core, notes: Callable[[], Notes], texts: Callable[[], TextIndex | None] = lambda: None, *, size: int = 0
    ) -> None:
        """`notes` and `texts` are called when something of them is asked for; `size`: bytes of JSON it was read from."""
        head = core.head
        self.url = head.url
        self.version = head.version
        self.name = head.name or head.title or head.url
        self.title = head.title or head.name
        self.language = head.language
        self.status = head.status
        self.completes = head.supplements  # the canonical of the code system that it is a supplement of
        self.supplements: tuple[str, ...] = ()  # canonicals of those that say more of this one's codes
        self.content = head.content
        self.case_sensitive = head.caseSensitive
        self.declared = {declared.code: declared for declared in head.property}
        self.filters = {declared.code: declared.operator for declared in head.filter}
        self.size = size
        self.codes = core.codes
        self.number = dict(zip(core.codes, range(len(core.codes)), strict=True))
        self.displays = core.displays
        self._core = core
        self._first_parent = _numbers(core.first_parents)
        self._more_parents = core.more_parents
        self._read_notes = notes
        self._read_texts = texts

    @classmethod
    def read(cls, body: bytes) -> CodeSystem:
        """Raise Invalid for what is no CodeSystem."""
        core, notes = gathered(body)
        return cls(core, lambda: notes, size=len(body))

    @classmethod
    def of(cls, resource: dict[str, Any]) -> CodeSystem:
        return cls.read(fhir_json.dump(resource))

    @property
    def core(self) -> Core:
        """With all that can be worked out ahead."""
        above, ends, below = array("i"), array("i"), array("i")
        for number, numbers in self.children.items():
            below.extend(numbers)
            above.append(number)
            ends.append(len(below))
        found = {"inactive": self.inactive, "abstract": self.abstract, "above": above, "ends": ends, "below": below}
        return msgspec.structs.replace(self._core, worked_out=True, **{name: _bytes(numbers) for name, numbers in found.items()})

    @cached_property
    def notes(self) -> Notes:
        return self._read_notes()

    @property
    def definitions(self) -> dict[int, str]:
        return self.notes.definitions

    @property
    def designations(self) -> dict[int, Designations]:
        return self.notes.designations

    @property
    def properties(self) -> dict[int, list[dict[str, Any]]]:
        return self.notes.properties

    @property
    def complete(self) -> bool:
        """All its codes are here: one that is not here is none."""
        return self.content not in INCOMPLETE

    def supplemented(self, supplements: Sequence[CodeSystem]) -> CodeSystem:
        """With what others say of its codes beside it: designations and properties. https://hl7.org/fhir/R4/codesystem.html#supplements"""

        def notes() -> Notes:
            own = self.notes
            merged = Notes(own.definitions, dict(own.designations), dict(own.properties))
            for supplement in supplements:
                for target, stated in ((merged.designations, supplement.designations), (merged.properties, supplement.properties)):
                    for number, more in stated.items():
                        if (here := self.find(supplement.codes[number])) is not None:
                            target[here] = [*target.get(here, ()), *more]
            return merged

        made = CodeSystem(self.core, notes, size=self.size)
        made.supplements = tuple(each.canonical for each in supplements)
        for supplement in supplements:
            made.declared = {**supplement.declared, **made.declared}
        return made

    @property
    def canonical(self) -> str:
        return f"{self.url}|{self.version}" if self.version else self.url

    def __len__(self) -> int:
        return len(self.displays)

    def find(self, code: str) -> int | None:
        """The concept's number; case makes no difference only where the code system says so."""
        number = self.number.get(code)
        return self._folded.get(code.casefold()) if number is None and not self.case_sensitive else number

    def parents(self, number: int) -> list[int]:
        first = self._first_parent[number]
        return ([] if first < 0 else [first]) + self._more_parents.get(number, [])

    @cached_property
    def children(self) -> dict[int, array[int]]:
        found: dict[int, array[int]] = {}
        if self._core.worked_out:
            start, below = 0, _numbers(self._core.below)
            for number, end in zip(_numbers(self._core.above), _numbers(self._core.ends), strict=True):
                found[number] = below[start:end]
                start = end
            return found
        for number in range(len(self)):
            for parent in self.parents(number):
                found.setdefault(parent, array("i")).append(number)
        return found

    def descendants(self, number: int) -> dict[int, None]:
        """The concept itself first, then what lies below it, each once."""
        return self._walk(number, lambda at: self.children.get(at, ()))

    def ancestors(self, number: int) -> dict[int, None]:
        """The concept itself first, then what lies above it, each once."""
        return self._walk(number, self.parents)

    @staticmethod
    def _walk(start: int, following: Any) -> dict[int, None]:
        found = {start: None}
        open_ = [start]
        while open_:
            for number in following(open_.pop()):
                if number not in found:
                    found[number] = None
                    open_.append(number)
        return found

    @cached_property
    def texts(self) -> TextIndex:
        return self._read_texts() or TextIndex.of(
            (code, display, *(str(d.get("value", "")) for d in self.designations.get(number, ())))
            for number, (code, display) in enumerate(zip(self.number, self.displays, strict=True))
        )

    @cached_property
    def inactive(self) -> frozenset[int]:
        """https://hl7.org/fhir/R4/codesystem-concept-properties.html"""
        if self._core.worked_out:
            return frozenset(_numbers(self._core.inactive))
        return self._stating("inactive", "true") | self._stating("status", "retired") | self._stating("status", "inactive")

    @cached_property
    def abstract(self) -> frozenset[int]:
        """Not to be chosen by a user."""
        if self._core.worked_out:
            return frozenset(_numbers(self._core.abstract))
        return self._stating("notSelectable", "true") | self._stating("abstract", "true")

    def _stating(self, name: str, value: str) -> frozenset[int]:
        """Whose property of that name, or declared to be it, has the value."""
        codes = {name} | {code for code, declared in self.declared.items() if declared.uri == CONCEPT_PROPERTIES + name}
        return frozenset(n for n in self.properties if any(value in self.values(n, code) for code in codes))

    def values(self, number: int, code: str) -> list[str]:
        """The values of a property as text; a Coding's is its code."""
        stated = (value_of(each) for each in self.properties.get(number, ()) if each.get("code") == code)
        return [text_of(value) for _, value in stated]

    @cached_property
    def _folded(self) -> dict[str, int]:
        return {code.casefold(): number for code, number in self.number.items()}


def _numbers(stated: bytes) -> array[int]:
    found = array("i")
    found.frombytes(stated)
    return found


def _bytes(numbers: Iterable[int]) -> bytes:
    return array("i", numbers).tobytes()
