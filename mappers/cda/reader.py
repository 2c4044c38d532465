"""CDA bytes → an element tree, read as connectors/xml.py reads every stranger's XML.

Elements lose their namespace once, when the document is read: vendors leave it out or add their own elements to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from connectors.charset import fitting
from connectors.xml import Element, NotXml, read_xml
from mappers.base import CannotMap

XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


@dataclass(frozen=True, slots=True)
class Parsed:
    root: Element  # the ClinicalDocument
    repaired: str = ""  # the character set used where the declared one is not that of the bytes


def parse(content: bytes) -> Parsed:
    """Raise CannotMap, saying where and never what."""
    try:
        root, repaired = _tree(content), ""
    except CannotMap:
        text = _other_text(content)
        if text is None:
            raise
        root, repaired = _tree(text), "GB18030"
    return Parsed(_clinical_document(root), repaired)


def _tree(content: bytes | str) -> Element:
    """An element tree without namespaces, its size bounded."""
    try:
        root = read_xml(content)
    except NotXml as error:
        raise CannotMap(f"the document cannot be read: {error}") from None
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
    return root


def _other_text(content: bytes) -> str | None:
    """The document as GB18030 text, where it says UTF-8, GB2312 or nothing over GBK bytes."""
    found = fitting(content, ("utf-8", "gb18030"))
    return found[0] if found and found[1] == "gb18030" else None


def _clinical_document(root: Element) -> Element:
    """The document itself; inside a SOAP or vendor envelope it is an element, or the text of one (CDATA)."""
    found = next((e for e in root.iter() if local(e) == "ClinicalDocument"), None)
    if found is not None:
        return found
    text = next((e.text for e in root.iter() if e.text and "<ClinicalDocument" in e.text), None)
    if text is None:
        raise CannotMap("there is no ClinicalDocument in the XML")
    inner = _tree(text.strip())
    if local(inner) != "ClinicalDocument":
        raise CannotMap("there is no ClinicalDocument in the XML")
    return inner


def local(element: Element) -> str:
    """The element's name; "" for what is no element."""
    tag = element.tag
    return tag if isinstance(tag, str) else ""


def children(element: Element | None, name: str) -> Iterator[Element]:
    if element is not None:
        yield from element.iterchildren(name)


def child(element: Element | None, *path: str) -> Element | None:
    """The first element down a path of names."""
    for name in path:
        element = next(children(element, name), None)
        if element is None:
            return None
    return element


def below(element: Element | None, name: str) -> Iterator[Element]:
    if element is not None:
        yield from (e for e in element.iter(name) if e is not element)


def attribute(element: Element | None, name: str) -> str:
    return "" if element is None else (element.get(name) or "").strip()


def text_of(element: Element | None) -> str:
    """All text below, runs of white space as one blank."""
    return "" if element is None else " ".join("".join(str(part) for part in element.itertext()).split())


@dataclass(frozen=True, slots=True)
class Id:
    """CDA II: an extension inside a root."""

    root: str
    extension: str = ""

    @property
    def text(self) -> str:
        return f"{self.root}^{self.extension}" if self.extension else self.root


# Roots that name a kind of number: without an extension they identify nothing.
KIND_ROOTS = ("2.16.156.10011.", "1.2.156.112635", "2.16.840.1.113883.4.1")


def id_of(element: Element | None) -> Id | None:
    """An id that identifies something. An empty one, a null flavour and a bare kind are none."""
    root, extension = attribute(element, "root"), attribute(element, "extension")
    if element is None or attribute(element, "nullFlavor") or not (root or extension):
        return None
    if not extension and root.startswith(KIND_ROOTS):
        return None
    return Id(root, extension)


def ids(element: Element | None) -> list[Id]:
    return [found for e in children(element, "id") if (found := id_of(e))]
