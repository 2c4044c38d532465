"""XML from strangers, the one way in: no DOCTYPE and so no entity, nothing fetched, depth and size bounded."""

from __future__ import annotations

import re

from lxml import etree

from connectors.charset import behind_mark, fitting

Element = etree._Element
MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 128
MAX_ELEMENTS = 500_000
TYPE_DECLARED = "a DOCTYPE is not accepted"
TOO_MUCH = "deeper than 256 levels, or a text longer than 10,000,000 bytes"  # the parser's own limits
_DOCTYPE = re.compile(r"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
_DOCTYPE_BYTES = re.compile(_DOCTYPE.pattern.encode(), re.IGNORECASE)
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>\s*")
_ENCODING = re.compile(rb"^\s*<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._\-]+)", re.IGNORECASE)
_CHINESE = frozenset({"gb2312", "gbk", "gb18030", "gb_2312-80", "cp936"})


class NotXml(Exception):
    """Says what is wrong, never what was sent."""


def text_of_bytes(content: bytes) -> str:
    """Strictly decoded: as declared, else UTF-8, else GB18030, for vendors declare UTF-8 over GBK bytes. Raise NotXml."""
    if (marked := behind_mark(content)) is not None:
        return _decoded(marked[0], (marked[1],))
    match = _ENCODING.match(content)
    declared = match[1].decode("ascii").lower() if match else "utf-8"
    first = "gb18030" if declared in _CHINESE else declared
    return _decoded(content, tuple(dict.fromkeys((first, "utf-8", "gb18030"))))


def _decoded(content: bytes, names: tuple[str, ...]) -> str:
    found = fitting(content, names)
    if found is None:
        raise NotXml("the bytes are in no known character set")
    return found[0]


def without_declaration(text: str) -> str:
    return _DECLARATION.sub("", text.lstrip("\ufeff \t\r\n"), count=1)


def read_xml(content: bytes | str, *, long_texts: bool = False) -> Element:
    """Raise NotXml. `long_texts`: such as a waveform's, of more than 10,000,000 bytes."""
    if len(content) > MAX_BYTES:
        raise NotXml(f"more than {MAX_BYTES} bytes")
    if _declares_type(content):
        raise NotXml(TYPE_DECLARED)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=long_texts, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(without_declaration(content).encode() if isinstance(content, str) else content, parser)
    except etree.XMLSyntaxError as error:
        if getattr(error, "code", None) == etree.ErrorTypes.ERR_RESOURCE_LIMIT:
            raise NotXml(TOO_MUCH) from None
        line, column = error.position
        raise NotXml(f"not well-formed XML: line {line}, column {column}") from None
    except ValueError:
        raise NotXml("not well-formed XML") from None
    if root.getroottree().docinfo.doctype:  # type: ignore[union-attr]  # in an encoding in which the words above were not seen
        raise NotXml(TYPE_DECLARED)
    _bounded(root)
    return root


def _declares_type(content: bytes | str) -> bool:
    if isinstance(content, str):
        return _DOCTYPE.search(content) is not None
    return _DOCTYPE_BYTES.search(content.replace(b"\x00", b"")) is not None  # zero bytes: the same words in UTF-16


def _bounded(root: Element) -> None:
    level, depth, count = [root], 0, 0
    while level:
        depth, count = depth + 1, count + len(level)
        if depth > MAX_DEPTH or count > MAX_ELEMENTS:
            raise NotXml(f"deeper than {MAX_DEPTH} levels or more than {MAX_ELEMENTS} elements")
        level = [child for element in level for child in element]


def local(element: Element) -> str:
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def child(element: Element | None, *path: str) -> Element | None:
    """The first element down a path of local names, whatever their namespace."""
    for name in path:
        element = next((each for each in element if local(each) == name), None) if element is not None else None
        if element is None:
            return None
    return element


def children(element: Element | None, name: str) -> list[Element]:
    return [each for each in element if local(each) == name] if element is not None else []


def attribute(element: Element | None, name: str) -> str:
    return (element.get(name) or "").strip() if element is not None else ""
