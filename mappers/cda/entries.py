"""Entries of a WS/T 500 section: observations coded by data element (卫生信息数据元目录), as a flat list with their nesting kept.

Handbook: the code is DEnn.nn.nnn.nn; values are ST, CD, REAL, PQ, TS, INT, BL; children stand in entryRelationship COMP; vendors
write one code twice, so a rule may ask for the display name as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from mappers.cda.reader import XSI_TYPE, Element, attribute, below, child, children, local, text_of

DIAGNOSIS = re.compile(r"DE05\.(01\.024|10\.130)")  # a reader wants the code beside the name
DATA_ELEMENT = re.compile(r"((?:DE|HDSD)\d{2}\.\d{2}\.\d{3})(?:\.\d{2})?")


@dataclass(frozen=True, slots=True)
class Item:
    """One coded observation."""

    element: Element
    code: str  # DE04.01.119, without the part that counts its use; "" when not coded by data element
    label: str  # the vendor's display name of the code
    kind: str  # ST, CD, PQ, …
    text: str  # what a person reads of the value
    value: str  # the bare value: @value, or the text of an ST
    coded: str = ""  # CD: the code …
    system: str = ""  # … its OID …
    display: str = ""  # … and its name
    unit: str = ""
    time: str = ""  # effectiveTime/@value
    low: str = ""
    high: str = ""
    children: tuple[Item, ...] = field(default=())

    def within(self, code: str) -> Item | None:
        return next((item for item in self.walk() if item.code == code), None)

    def walk(self) -> Iterator[Item]:
        yield self
        for item in self.children:
            yield from item.walk()


def _item(element: Element) -> Item:
    code = child(element, "code")
    stated = attribute(code, "code")
    match = DATA_ELEMENT.fullmatch(stated)
    label = attribute(child(code, "qualifier", "name"), "displayName") or attribute(code, "displayName")
    value, time = child(element, "value"), child(element, "effectiveTime")
    bare = attribute(value, "value") or text_of(value)
    coded, display = attribute(value, "code"), attribute(value, "displayName")
    unit = attribute(value, "unit")
    return Item(
        element,
        match[1] if match else "",
        label,
        attribute(value, XSI_TYPE).rpartition(":")[2],
        display or (f"{bare}{unit}" if bare else coded),
        bare,
        coded,
        attribute(value, "codeSystem"),
        display,
        unit,
        attribute(time, "value"),
        attribute(child(time, "low"), "value"),
        attribute(child(time, "high"), "value"),
        tuple(_item(found) for relation in children(element, "entryRelationship") for found in children(relation, "observation")),
    )


def _tops(section: Element) -> Iterator[Element]:
    """The outermost observations of a section's entries, through organizers, acts and the like; not of its sub-sections."""
    stack = [entry for entry in section if local(entry) == "entry"][::-1]
    while stack:
        element = stack.pop()
        if local(element) == "observation":
            yield element
        elif local(element) != "section":
            stack.extend(reversed([e for e in element if isinstance(e.tag, str)]))


def items_of(section: Element) -> list[Item]:
    return [_item(element) for element in _tops(section)]


def every(items: list[Item]) -> Iterator[Item]:
    for item in items:
        yield from item.walk()


def lines(items: list[Item]) -> list[tuple[str, str]]:
    return [(item.label, spoken(item)) for item in every(items)]


def spoken(item: Item) -> str:
    if item.kind == "BL":
        return {"true": "是", "false": "否"}.get(item.value.lower(), item.value)
    if item.kind == "CD" and item.display and item.coded and DIAGNOSIS.match(item.code):
        return f"{item.display}（{item.coded}）"
    return item.text


def organizers(section: Element) -> list[Element]:
    return [e for entry in children(section, "entry") for e in below(entry, "organizer")]
