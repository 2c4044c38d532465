"""CDA bytes → an element tree, safely: what XML can do to a reader is refused before it is parsed.

No DOCTYPE, so no entity of any kind; nothing is fetched; depth and size are bounded. Elements lose their namespace once, when the
document is read: vendors leave it out or add their own elements to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from mappers.base import CannotMap

Element = etree._Element
MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 128
MAX_ELEMENTS = 500_000
TOO_MUCH = "the document is deeper than 256 levels or has a text longer than 10,000,000 bytes"  # the parser's own limits
DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
DECLARED = re.compile(rb"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


@dataclass(frozen=True, slots=True)
class Parsed:
    root: Element  # the ClinicalDocument
    repaired: str = ""  # the character set used where the declared one is not that of the bytes


def parse(content: bytes) -> Parsed:
    """Raise CannotMap, saying where and never what."""
    if len(content) > MAX_BYTES:
        raise CannotMap(f"the document has more than {MAX_BYTES} bytes")
    if DECLARED.search(content.replace(b"\x00", b"")):  # zero bytes: the same words in UTF-16
        raise CannotMap("the document has a DOCTYPE; a clinical document needs none")
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
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        if getattr(error, "code", None) == etree.ErrorTypes.ERR_RESOURCE_LIMIT:
            raise CannotMap(TOO_MUCH) from None
        line, column = error.position
        raise CannotMap(f"the document is not well-formed XML: line {line}, column {column}") from None
    except ValueError:
        raise CannotMap("the document is not well-formed XML") from None
    if root.getroottree().docinfo.doctype:  # type: ignore[union-attr]
        raise CannotMap("the document has a DOCTYPE; a clinical document needs none")
    _bounded(root)
    return root


def _other_text(content: bytes) -> str | None:
    """The document as GB18030 text without its declaration, where it says UTF-8, GB2312 or nothing over GBK bytes."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return None
    try:
        return DECLARATION.sub("", content.decode("gb18030"), count=1)
    except UnicodeDecodeError:
        return None


def _clinical_document(root: Element) -> Element:
    """The document itself; inside a SOAP or vendor envelope it is an element, or the text of one (CDATA)."""
    found = next((e for e in root.iter() if local(e) == "ClinicalDocument"), None)
    if found is not None:
        return found
    text = next((e.text for e in root.iter() if e.text and "<ClinicalDocument" in e.text), None)
    if text is None:
        raise CannotMap("there is no ClinicalDocument in the XML")
    if DECLARED.search(text.encode()):
        raise CannotMap("the document has a DOCTYPE; a clinical document needs none")
    inner = _tree(DECLARATION.sub("", text, count=1).strip())
    if local(inner) != "ClinicalDocument":
        raise CannotMap("there is no ClinicalDocument in the XML")
    return inner


def _bounded(root: Element) -> None:
    """Check how deep and how large the tree is; on the way down names lose their namespace."""
    level, depth, count = [root], 0, 0
    while level:
        depth, count = depth + 1, count + len(level)
        if depth > MAX_DEPTH or count > MAX_ELEMENTS:
            raise CannotMap(f"the document is deeper than {MAX_DEPTH} levels or has more than {MAX_ELEMENTS} elements")
        for element in level:
            if isinstance(element.tag, str):
                element.tag = element.tag.rpartition("}")[2]
        level = [child for element in level for child in element]


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
