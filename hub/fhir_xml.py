"""FHIR XML in and out: the same resource as its JSON, value for value.

Elements stand in the order of their definitions, primitives carry `value`, an id or extension of a primitive (`_birthDate` in JSON)
stands inside its element, decimals keep their spelling, narrative is embedded as XHTML. Nothing is read from outside the text:
no DOCTYPE, no entity of its own, no other encoding than UTF-8, no unbounded depth. https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

import copy
import html.entities
import re
from itertools import zip_longest
from operator import attrgetter
from typing import Any

import msgspec
from lxml import etree

from hub.errors import HubError, Kind
from hub.fhir_json import MAX_BYTES, MAX_DEPTH, number_of
from profiles.structures import NONE, Member, Members, members

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
NUMBERS = frozenset({"decimal", "integer", "positiveInt", "unsignedInt"})
SIGNED = frozenset({"integer", "positiveInt"})  # may be written +5, which JSON has not
TRUTH = {"true": True, "false": False}

Json = dict[str, Any]


class BadXml(HubError):
    """The text is not XML that FHIR allows; the message says where, never what."""

    kind = Kind.STRUCTURE


# -- JSON → XML

_spelled: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=str)  # a number keeps its spelling
_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
    | {chr(code): "\ufffd" for code in (*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF)}  # XML has no place for them
)


def from_json(body: bytes, *, pretty: bool = False) -> bytes:
    """A resource's JSON, as the hub keeps it → its XML. A member that its type does not define is left out."""
    resource = _spelled.decode(body)
    lines: Lines = []
    _resource(resource, 0, lines, f' xmlns="{FHIR}"')
    if not pretty:
        return f"{DECLARATION}{''.join([line for _, line in lines])}".encode()
    return "\n".join([DECLARATION, *("  " * depth + line for depth, line in lines), ""]).encode()


Lines = list[tuple[int, str]]
"""What is written: how deep it stands, and the text."""


def _resource(resource: Json, depth: int, lines: Lines, namespace: str = "") -> None:
    kind = resource["resourceType"]
    _element(kind, resource, members(kind), depth, lines, namespace)


def _element(name: str, value: Json, known: Members, depth: int, lines: Lines, more: str = "") -> None:
    start = len(lines)
    for member in _present(value, known):
        if member.attribute:
            more += _attribute(member.name, value.get(member.name))
        elif member.primitive:
            _primitives(member.name, value.get(member.name), value.get(f"_{member.name}"), depth + 1, lines)
        else:
            _content(member, value[member.name], depth + 1, lines)
    if len(lines) == start:
        lines.append((depth, f"<{name}{more}/>"))
        return
    lines.insert(start, (depth, f"<{name}{more}>"))
    lines.append((depth, f"</{name}>"))


def _present(value: Json, known: Members) -> list[Member]:
    if not any(name[0] == "_" for name in value):
        return sorted([known[name] for name in value if name in known], key=_order)
    found = {known[name] for name in (key.removeprefix("_") for key in value) if name in known}
    return sorted([member for member in found if member.primitive or member.name in value], key=_order)


_order = attrgetter("order")


def _attribute(name: str, value: object) -> str:
    return "" if value is None else f' {name}="{_text(value)}"'


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).translate(_ESCAPES)


def _content(member: Member, value: Any, depth: int, lines: Lines) -> None:
    name, kind = member.name, member.type
    for item in value if isinstance(value, list) else [value]:
        if kind == "xhtml":
            lines.append((depth, _narrative(str(item))))
        elif kind == "Resource":
            lines.append((depth, f"<{name}>"))
            _resource(item, depth + 1, lines)
            lines.append((depth, f"</{name}>"))
        elif isinstance(item, dict):
            _element(name, item, members(kind), depth, lines)


def _primitives(name: str, value: Any, beside: Any, depth: int, lines: Lines) -> None:
    """Values and what stands beside them (`_name`), paired by position."""
    if beside is None and not isinstance(value, list):
        lines.append((depth, f"<{name}{_attribute('value', value)}/>"))
        return
    values = value if isinstance(value, list) else [value]
    besides = beside if isinstance(beside, list) else [beside]
    for item, extra in zip_longest(values, besides):
        if isinstance(extra, dict):
            _element(name, extra, members("Element"), depth, lines, _attribute("value", item))
        elif item is not None:
            lines.append((depth, f"<{name}{_attribute('value', item)}/>"))


_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)([A-Za-z][A-Za-z0-9]*);")


def _narrative(text: str) -> str:
    """The div as it is if it is well formed; HTML's own entities become characters; anything else becomes plain text."""
    named = _ENTITY.sub(lambda found: html.entities.html5.get(f"{found[1]};", found[0]), text)
    try:
        div = etree.fromstring(named.encode(), _parser())
    except (etree.XMLSyntaxError, ValueError):
        div = None
    if div is not None and div.tag == f"{{{XHTML}}}div":
        return etree.tostring(div, encoding="unicode", with_tail=False)
    return f'<div xmlns="{XHTML}">{text.translate(_ESCAPES)}</div>'


# -- XML → JSON

_ENCODING = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([^"']*)["']""")
_DIGITS = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_pis=True,
    )


def parse(text: bytes) -> Json:
    """One resource's XML → what its JSON says, numbers spelled as they came. Raise BadXml."""
    root = _root(text)
    name = etree.QName(root)
    if name.namespace != FHIR:
        raise BadXml(f"the root element is not in the namespace {FHIR}")
    return _resource_of(root, 1)


def _root(text: bytes) -> etree._Element:
    if len(text) > MAX_BYTES:
        raise BadXml(f"more than {MAX_BYTES} bytes", kind=Kind.TOO_LONG)
    declared = _ENCODING.match(text[:200].removeprefix(b"\xef\xbb\xbf"))
    if b"\0" in text or (declared and declared[1].lower() not in (b"utf-8", b"us-ascii")):
        raise BadXml("FHIR XML is sent in UTF-8")
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise BadXml("a document type declaration is not allowed")
    try:
        return etree.fromstring(text, _parser())
    except etree.XMLSyntaxError as error:
        line, column = error.position
        raise BadXml(f"not well-formed XML at line {line}, column {column}") from None


def _resource_of(element: etree._Element, depth: int) -> Json:
    kind = _name(element, "")
    if members(kind) is NONE or "id" not in members(kind) or "meta" not in members(kind):
        raise BadXml("an element that should be a resource is no resource type of FHIR R4")
    return {"resourceType": kind, **_object(element, kind, kind, depth)}


def _name(element: etree._Element, path: str) -> str:
    """The local name of an element of FHIR's. Raise BadXml for another namespace."""
    namespace, _, name = str(element.tag).rpartition("}")
    if namespace != f"{{{FHIR}":
        raise BadXml("an element is not in FHIR's namespace", expression=(path,) if path else ())
    return name


def _object(element: etree._Element, kind: str, path: str, depth: int, *, ignore: str = "") -> Json:
    """Attributes and children by the members of their type."""
    if depth > MAX_DEPTH:
        raise BadXml(f"nested deeper than {MAX_DEPTH} levels")
    known = members(kind)
    made: Json = {}
    for attribute, value in element.attrib.items():
        name = str(attribute)
        if name == ignore or name.startswith("{http://www.w3.org/2001/XMLSchema-instance}"):
            continue
        if name not in known or not known[name].attribute:
            raise BadXml("an attribute that this element does not have", expression=(path,))
        made[name] = value
    _no_text(element.text, path)
    for child in element:
        _no_text(child.tail, path)
        if isinstance(child.tag, str):  # not a comment
            _add(made, child, known, path, depth)
    return _closed(made)


def _no_text(text: str | None, path: str) -> None:
    if text and not text.isspace():
        raise BadXml("text where FHIR has elements only", expression=(path,))


class _Pairs(list[tuple[Any, Any]]):
    """Values of a repeating primitive, each with what stands beside it, until all are read."""


def _add(made: Json, child: etree._Element, known: Members, path: str, depth: int) -> None:
    if str(child.tag) == f"{{{XHTML}}}div" and "div" in known:
        if "div" in made:
            raise BadXml(f"{path}.div stands twice", expression=(f"{path}.div",))
        made["div"] = _div(child)
        return
    member = known.get(_name(child, path))
    if member is None or member.attribute or member.type == "xhtml":
        raise BadXml(f"{path} has no element {etree.QName(child).localname[:64]!r}", expression=(path,))
    below = f"{path}.{member.name}"
    if not member.many and (member.name in made or f"_{member.name}" in made):
        raise BadXml(f"{below} stands twice", expression=(below,))
    if member.primitive:
        _add_primitive(made, member, child, below, depth)
    elif member.many:
        made.setdefault(member.name, []).append(_complex(child, member, below, depth))
    else:
        made[member.name] = _complex(child, member, below, depth)


def _complex(child: etree._Element, member: Member, path: str, depth: int) -> Json:
    if member.type != "Resource":
        return _object(child, member.type, path, depth + 1)
    inside = [found for found in child if isinstance(found.tag, str)]
    for text in (child.text, *(found.tail for found in child)):
        _no_text(text, path)
    if len(inside) != 1 or child.attrib:
        raise BadXml(f"{path} holds one resource", expression=(path,))
    return _resource_of(inside[0], depth + 2)


def _add_primitive(made: Json, member: Member, child: etree._Element, path: str, depth: int) -> None:
    value = child.get("value")
    typed = None if value is None else _typed(value, member.type)
    beside = _object(child, "Element", path, depth + 1, ignore="value") or None
    if value is None and beside is None:
        raise BadXml(f"{path} has neither a value nor an extension", expression=(path,))
    if member.many:
        made.setdefault(member.name, _Pairs()).append((typed, beside))
        return
    if typed is not None:
        made[member.name] = typed
    if beside is not None:
        made[f"_{member.name}"] = beside


def _typed(value: str, kind: str) -> Any:
    """As JSON has it; what is no number or truth value stays text, and the validation names it."""
    if kind == "boolean":
        return TRUTH.get(value, value)
    if kind in SIGNED and value[:1] == "+":
        value = value[1:]
    return number_of(value) if kind in NUMBERS and _DIGITS.fullmatch(value) else value


def _div(element: etree._Element) -> str:
    """The div with the namespaces that it uses and no other; in JSON XHTML's has no prefix."""
    div = copy.deepcopy(element)
    div.tail = None
    if any(found.prefix and found.tag.startswith(f"{{{XHTML}}}") for found in div.iter("*")):
        div = _without_prefix(div)
    etree.cleanup_namespaces(div)
    return etree.tostring(div, encoding="unicode")


_PLAIN: dict[Any, str] = {None: XHTML}


def _without_prefix(div: etree._Element) -> etree._Element:
    """Elements take the prefix of where they are put."""
    made = etree.Element(div.tag, nsmap=_PLAIN)
    made.attrib.update(div.attrib)
    made.text, made.tail = div.text, div.tail
    made.extend([_without_prefix(found) if isinstance(found.tag, str) else found for found in list(div)])
    return made


def _closed(made: Json) -> Json:
    """Pairs become the two arrays of JSON; one that would hold nothing but null is left out."""
    if not any(type(value) is _Pairs for value in made.values()):
        return made
    closed: Json = {}
    for name, value in made.items():
        if type(value) is not _Pairs:
            closed[name] = value
            continue
        values, besides = ([pair[side] for pair in value] for side in (0, 1))
        if any(item is not None for item in values):
            closed[name] = values
        if any(item is not None for item in besides):
            closed[f"_{name}"] = besides
    return closed
