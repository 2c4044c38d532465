"""A CodeSystem's JSON → its concepts in the order of their numbers, and what they have in little memory.

https://hl7.org/fhir/R4/codesystem.html
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec

from hub.errors import Invalid

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
    language: str = ""
    status: str = ""
    content: str = "complete"
    caseSensitive: bool = True
    valueSet: str = ""
    supplements: str = ""
    property: list[Property] = []
    filter: list[Filter] = []
    concept: list[Concept] = []


class Core(msgspec.Struct, array_like=True):
    """Codes and displays by number, and the hierarchy: numbers as bytes of 32 bits."""

    head: Document  # without its concepts
    codes: list[str]
    displays: list[str]
    first_parents: bytes
    more_parents: dict[int, list[int]]
    worked_out: bool = False  # what follows
    inactive: bytes = b""
    abstract: bytes = b""
    above: bytes = b""  # those that have something below them,
    ends: bytes = b""  # where what lies below each ends
    below: bytes = b""  # in this


class Notes(msgspec.Struct, array_like=True):
    """What some concepts have, by number."""

    definitions: dict[int, str] = {}
    designations: dict[int, Designations] = {}
    properties: dict[int, list[dict[str, Any]]] = {}


_decoder = msgspec.json.Decoder(Document, float_hook=Decimal)


class _Gathering:
    """A document's concepts in the order of their numbers; the first of several with one code counts."""

    def __init__(self, document: Document) -> None:
        self.number: dict[str, int] = {}
        self.displays: list[str] = []
        self.notes = Notes({}, {}, {})
        self.first_parents = array("i")
        self.more_parents: dict[int, list[int]] = {}
        parents, children = _relating(document)
        above: list[tuple[int, str]] = []
        below: list[tuple[int, str]] = []
        for concept, parent in _in_order(document.concept):
            if concept.code in self.number or not concept.code:
                continue
            number = self._add(concept, parent)
            for each in concept.property:
                if (code := each.get("code")) in parents:
                    above.append((number, text_of(value_of(each)[1])))
                elif code in children:
                    below.append((number, text_of(value_of(each)[1])))
        for number, value in above:
            self._link(number, self.number.get(value))
        for number, value in below:
            if (child := self.number.get(value)) is not None:
                self._link(child, number)

    def _add(self, concept: Concept, parent: str) -> int:
        number = len(self.displays)
        self.number[concept.code] = number
        self.displays.append(concept.display)
        self.first_parents.append(self.number.get(parent, -1))
        if concept.definition:
            self.notes.definitions[number] = concept.definition
        if concept.designation:
            self.notes.designations[number] = concept.designation
        if concept.property:
            self.notes.properties[number] = concept.property
        return number

    def _link(self, number: int, parent: int | None) -> None:
        known = self.more_parents.get(number, ())
        if parent is None or parent in (number, self.first_parents[number]) or parent in known:
            return
        if self.first_parents[number] < 0:
            self.first_parents[number] = parent
        else:
            self.more_parents.setdefault(number, []).append(parent)


def gathered(body: bytes) -> tuple[Core, Notes]:
    """Raise Invalid for what is no CodeSystem."""
    try:
        document = _decoder.decode(body)
    except msgspec.MsgspecError:
        raise Invalid("this is no CodeSystem of R4") from None
    found = _Gathering(document)
    head = msgspec.structs.replace(document, concept=[])
    core = Core(head, list(found.number), found.displays, found.first_parents.tobytes(), found.more_parents)
    return core, found.notes


def _relating(document: Document) -> tuple[set[str], set[str]]:
    """Codes of the properties that name a parent, and of those that name a child."""
    declared = {each.code: each.uri.removeprefix(CONCEPT_PROPERTIES) for each in document.property}
    parents = {code for code, name in declared.items() if name == "parent"}
    return parents | PARENTS, {code for code, name in declared.items() if name == "child"} | {"child"}


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
