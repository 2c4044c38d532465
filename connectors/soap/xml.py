"""XML from strangers: no DOCTYPE and so no entity, nothing fetched, depth and size bounded."""

from __future__ import annotations

import codecs
import re

from lxml import etree

Element = etree._Element
MAX_DEPTH = 128
MAX_ELEMENTS = 500_000
_DOCTYPE = re.compile(r"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>\s*")
_ENCODING = re.compile(rb"^\s*<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._\-]+)", re.IGNORECASE)
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_CHINESE = frozenset({"gb2312", "gbk", "gb18030", "gb_2312-80", "cp936"})


class NotXml(Exception):
    """Says what is wrong, never what was sent."""


def text_of_bytes(content: bytes) -> str:
    """Strictly decoded: as declared, else UTF-8, else GB18030, for vendors declare UTF-8 over GBK bytes. Raise NotXml."""
    for mark, codec in _MARKS:
        if content.startswith(mark):
            return _decoded(content[len(mark) :], (codec,))
    match = _ENCODING.match(content)
    declared = match[1].decode("ascii").lower() if match else "utf-8"
    first = "gb18030" if declared in _CHINESE else declared
    return _decoded(content, tuple(dict.fromkeys((first, "utf-8", "gb18030"))))


def _decoded(content: bytes, names: tuple[str, ...]) -> str:
    for name in names:
        try:
            return content.decode(name)
        except (UnicodeDecodeError, LookupError):
            continue
    raise NotXml("the bytes are in no known character set")


def without_declaration(text: str) -> str:
    return _DECLARATION.sub("", text.lstrip("\ufeff \t\r\n"), count=1)


def read_xml(text: str) -> Element:
    """Raise NotXml."""
    if _DOCTYPE.search(text):
        raise NotXml("a DOCTYPE is not accepted")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(without_declaration(text).encode(), parser)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        raise NotXml(f"not well-formed XML: line {line}, column {column}") from None
    except ValueError:
        raise NotXml("not well-formed XML") from None
    _bounded(root)
    return root


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
