"""CodeSystem → its codes, texts, properties and hierarchy, read once and kept in little memory.

https://hl7.org/fhir/R4/codesystem.html
The hierarchy is what the concepts' nesting says and what the properties parent, child and subsumedBy say; a concept may have
several parents. Walking it costs what it finds, so no table of all ancestors is made: is-a on a hundred thousand codes takes
milliseconds.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import cached_property
from typing import Any

import msgspec

from hub import fhir_json
from hub.terminology.texts import TextIndex

Designations = list[dict[str, Any]]
CONCEPT_PROPERTIES = "http://hl7.org/fhir/concept-properties#"
PARENTS = frozenset({"parent", "subsumedBy"})


class Concept(msgspec.Struct):
    code: str = ""
    display: str = ""
    definition: str = ""
    designation: Designations = []
    property: list[dict[str, Any]] = []
    concept: list[Concept] = []


class Property(msgspec.Struct):
    code: str
    type: str = "string"
    uri: str = ""
    description: str = ""


class Filter(msgspec.Struct):
    code: str
    operator: list[str] = []


class Document(msgspec.Struct):
    """What a terminology service needs of a CodeSystem."""

    url: str = ""
    version: str = ""
    name: str = ""
    title: str = ""
    status: str = ""
    content: str = "complete"
    caseSensitive: bool = True
    valueSet: str = ""
    property: list[Property] = []
    filter: list[Filter] = []
    concept: list[Concept] = []


_decoder = msgspec.json.Decoder(Document, float_hook=Decimal)


class CodeSystem:
    """Concepts are numbered in the order in which the resource lists them."""

    def __init__(self, document: Document, *, size: int = 0) -> None:
        self.url = document.url
        self.version = document.version
        self.name = document.name or document.title or document.url
        self.title = document.title or document.name
        self.status = document.status
        self.content = document.content
        self.case_sensitive = document.caseSensitive
        self.declared = {declared.code: declared for declared in document.property}
        self.filters = {declared.code: declared.operator for declared in document.filter}
        self.size = size  # bytes of JSON it was read from
        self.number: dict[str, int] = {}
        self.displays: list[str] = []
        self.definitions: dict[int, str] = {}
        self.designations: dict[int, Designations] = {}
        self.properties: dict[int, list[dict[str, Any]]] = {}
        self._first_parent = array("i")
        self._more_parents: dict[int, list[int]] = {}
        self._fill(document.concept)

    @classmethod
    def read(cls, body: bytes) -> CodeSystem:
        return cls(_decoder.decode(body), size=len(body))

    @classmethod
    def of(cls, resource: dict[str, Any]) -> CodeSystem:
        return cls.read(fhir_json.dump(resource))

    def __len__(self) -> int:
        return len(self.displays)

    @cached_property
    def codes(self) -> list[str]:
        return list(self.number)

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
        return TextIndex(
            (code, display, *(str(d.get("value", "")) for d in self.designations.get(number, ())))
            for number, (code, display) in enumerate(zip(self.number, self.displays, strict=True))
        )

    @cached_property
    def inactive(self) -> frozenset[int]:
        """https://hl7.org/fhir/R4/codesystem-concept-properties.html"""
        return frozenset(
            number
            for number in self.properties
            if "true" in self.values(number, "inactive") or "retired" in self.values(number, "status")
        )

    @cached_property
    def abstract(self) -> frozenset[int]:
        """Not to be chosen by a user."""
        codes = {declared.code for declared in self.declared.values() if declared.uri == CONCEPT_PROPERTIES + "notSelectable"}
        codes |= {"notSelectable", "abstract"}
        return frozenset(n for n in self.properties if any("true" in self.values(n, code) for code in codes))

    def values(self, number: int, code: str) -> list[str]:
        """The values of a property as text; a Coding's is its code."""
        stated = (value_of(each) for each in self.properties.get(number, ()) if each.get("code") == code)
        return [text_of(value) for _, value in stated]

    @cached_property
    def _folded(self) -> dict[str, int]:
        return {code.casefold(): number for code, number in self.number.items()}

    def _fill(self, concepts: list[Concept]) -> None:
        children: list[tuple[int, str]] = []
        above: list[tuple[int, str]] = []
        for concept, parent in _in_order(concepts):
            if concept.code in self.number or not concept.code:
                continue
            number = len(self.displays)
            self.number[concept.code] = number
            self.displays.append(concept.display)
            self._first_parent.append(self.number.get(parent, -1))
            if concept.definition:
                self.definitions[number] = concept.definition
            if concept.designation:
                self.designations[number] = concept.designation
            if concept.property:
                self.properties[number] = concept.property
                stated = [(str(each.get("code", "")), text_of(value_of(each)[1])) for each in concept.property]
                above += [(number, value) for code, value in stated if code in PARENTS]
                children += [(number, value) for code, value in stated if code == "child"]
        for number, value in above:
            self._link(number, self.number.get(value))
        for number, value in children:
            if (below := self.number.get(value)) is not None:
                self._link(below, number)

    def _link(self, number: int, parent: int | None) -> None:
        if parent is None or parent == number or parent in self.parents(number):
            return
        if self._first_parent[number] < 0:
            self._first_parent[number] = parent
        else:
            self._more_parents.setdefault(number, []).append(parent)


def _in_order(concepts: Iterable[Concept], parent: str = "") -> Iterator[tuple[Concept, str]]:
    """Each concept before those within it, with the code of the one it lies in."""
    for concept in concepts:
        yield concept, parent
        if concept.concept:
            yield from _in_order(concept.concept, concept.code)


def value_of(stated: dict[str, Any]) -> tuple[str, Any]:
    """valueCode: "x" → ("valueCode", "x"), of a property, a parameter or an extension."""
    return next(((name, value) for name, value in stated.items() if name.startswith("value")), ("", ""))


def text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value.get("code", "")) if isinstance(value, dict) else str(value)
