"""The body of a document: its sections, and in each the clinical statements of its entries with their nesting kept.

WS/T 500: an observation's code is DEnn.nn.nnn.nn; values are ST, CD, REAL, PQ, TS, INT, BL, MO; what belongs to a statement stands
below it in entryRelationship COMP. The same reader serves C-CDA, whose statements have templates and codes of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from connectors.xml import Element
from mappers.cda.catalogue import folded, label_means, measures, section_labels, value_names, words
from mappers.cda.codes import CN, mended_root
from mappers.cda.reader import XSI_TYPE, attribute, below, child, children, local, text_of

DIAGNOSIS = re.compile(r"DE05\.(01\.02[14]|10\.130)")  # a reader wants the code beside the name
DATA_ELEMENT = re.compile(
    r"\s*(?:DE(?P<major>\d{2})[._](?P<minor>\d{1,2})[._](?P<item>\d{3})|(?P<front>HDSD\d{2}\.\d{2}\.\d{3}))(?:[._]\d{1,3})*\s*",
    re.I,
)
TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?")
LOINC_CODE = re.compile(r"\d{1,5}-\d")
STATEMENTS = frozenset({"observation", "procedure", "substanceAdministration", "act", "supply", "encounter", "observationMedia"})
# What stands inside a statement and is not one: who, when and with what
NOT_INSIDE = frozenset({"code", "value", "text", "author", "performer", "consumable", "effectiveTime", "reference", "section"})
ABSENT = frozenset({"", "-", "--", "—", "/", "N/A", "NULL", "null"})  # what vendors write for nothing; NA is sodium


@dataclass(frozen=True, slots=True)
class Statement:
    """One clinical statement: mostly an observation."""

    element: Element
    what: str  # its element's name
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
    group: Element | None = None  # the organizer or entry it stands in
    children: tuple[Statement, ...] = field(default=())

    @property
    def says_something(self) -> bool:
        return bool(self.coded or self.value or self.display)

    @property
    def negated(self) -> bool:
        return attribute(self.element, "negationInd") == "true"

    @property
    def when(self) -> str:
        return self.time or self.low or self.high

    def within(self, code: str) -> Statement | None:
        return next((found for found in self.walk() if found.code == code), None)

    def walk(self) -> Iterator[Statement]:
        yield self
        for found in self.children:
            yield from found.walk()


@dataclass(frozen=True, slots=True)
class Section:
    element: Element
    code: str  # LOINC, by its code or by its label; "" if neither says
    stated: str  # the code as it stands
    label: str
    title: str  # as the document writes it; ""
    statements: tuple[Statement, ...]
    flat: tuple[Statement, ...]  # those and all below them
    groups: Mapping[Element, tuple[Statement, ...]]  # organizer or entry → all that stands in it
    contradicts: bool = False  # its label means another section than its code

    @property
    def name(self) -> str:
        return self.code or self.stated or self.label or self.title or "?"

    def every(self) -> Iterator[Statement]:
        return iter(self.flat)

    def beside(self, found: Statement) -> tuple[Statement, ...]:
        """What stands in the same organizer or entry, itself included."""
        return self.groups.get(found.group, ()) if found.group is not None else ()


def _label(code: Element | None) -> str:
    return attribute(child(code, "qualifier", "name"), "displayName") or attribute(code, "displayName")


def _bare(value: Element | None) -> str:
    if attribute(value, "representation") == "B64":
        return ""  # bytes, which `media` keeps
    stated = attribute(value, "value") or text_of(child(value, "originalText")) or text_of(value)
    return "" if stated.strip() in ABSENT or attribute(value, "nullFlavor") else stated


def _value(element: Element, name: str = "value") -> Element | None:
    """The value; a form that has none keeps its words in text."""
    found = child(element, name)
    return found if found is not None else child(element, "text")


def _statement(element: Element, group: Element | None) -> Statement:
    code, value, time = child(element, "code"), _value(element), child(element, "effectiveTime")
    bare, coded, display = _bare(value), attribute(value, "code"), attribute(value, "displayName")
    coded, display = ("" if text in ABSENT else text for text in (coded, display))
    unit = attribute(value, "unit") or attribute(value, "currency")
    return Statement(
        element,
        local(element),
        data_element(attribute(code, "code")),
        _label(code),
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
        group,
        tuple(_read(found, group) for found in _nearest(element)),
    )


def _read(element: Element, group: Element | None) -> Statement:
    return _participant(element, group) if local(element) == "playingEntity" else _statement(element, group)


def _participant(element: Element, group: Element | None) -> Statement:
    """A substance as front sheets state it: playingEntity with a data element as its code and its name as desc."""
    code = child(element, "code")
    bare = _bare(child(element, "desc")) or _bare(child(element, "name"))
    return Statement(element, "observation", data_element(attribute(code, "code")), _label(code), "ST", bare, bare, group=group)


def is_statement(element: Element) -> bool:
    name = local(element)
    return name in STATEMENTS or (name == "playingEntity" and _is_coded(element))


def _is_coded(element: Element) -> bool:
    return bool(data_element(attribute(child(element, "code"), "code")))


def data_element(code: str) -> str:
    """DE04.10.186.00 → DE04.10.186; also where a dot is an underscore or a zero is missing. "" for any other code."""
    match = DATA_ELEMENT.fullmatch(code)
    if match is None:
        return ""
    return match["front"].upper() if match["front"] else f"DE{match['major']}.{match['minor']:0>2}.{match['item']}"


def _nearest(element: Element) -> Iterator[Element]:
    """The statements right below an element, whatever vendors call what lies between."""
    for inner in element:
        name = local(inner)
        if not name or name in NOT_INSIDE:
            continue
        if is_statement(inner):
            yield inner
        else:
            yield from _nearest(inner)


def _tops(section: Element) -> Iterator[tuple[Element, Element]]:
    """The outermost statements of a section with the organizer or entry around each; not of its sub-sections."""
    stack: list[tuple[Element, Element]] = [(entry, entry) for entry in children(section, "entry")][::-1]
    while stack:
        element, group = stack.pop()
        if is_statement(element):
            yield element, group
            continue
        if local(element) == "organizer":
            group = element
        stack.extend((inner, group) for inner in reversed(element) if local(inner) and local(inner) not in NOT_INSIDE)


def statements_of(section: Element) -> tuple[Statement, ...]:
    return tuple(_read(element, group) for element, group in _tops(section))


def sections_of(holder: Element | None) -> list[Element]:
    return [section for component in children(holder, "component") for section in children(component, "section")]


def body_sections(root: Element) -> list[Element]:
    """Those of structuredBody; of documents that leave it out, those of the document itself."""
    return sections_of(child(root, "component", "structuredBody")) or sections_of(root)


def read_sections(root: Element, *, by_label: bool) -> tuple[Section, ...]:
    """Every section in the document's order, inner ones after the one around them. `by_label`: Chinese documents."""
    found: list[Section] = []
    stack = body_sections(root)[::-1]
    while stack:
        element = stack.pop()
        stack.extend(reversed(sections_of(element)))
        found.append(_section(element, by_label=by_label))
    return tuple(found)


def _section(element: Element, *, by_label: bool) -> Section:
    code, title = child(element, "code"), text_of(child(element, "title"))
    stated, label = attribute(code, "code"), attribute(code, "displayName")
    own = stated if LOINC_CODE.fullmatch(stated) else ""
    named = next((means for text in (label, title) if text and (means := label_means().get(folded(text)))), "") if by_label else ""
    contradicts = bool(own and named and own != named and own in section_labels())
    meant = named if contradicts else own or named
    statements = statements_of(element)
    flat = tuple(every(statements))
    return Section(element, meant, stated, label, title, statements, flat, _grouped(flat), contradicts)


def _grouped(flat: Iterable[Statement]) -> dict[Element, tuple[Statement, ...]]:
    groups: dict[Element, list[Statement]] = {}
    for found in flat:
        if found.group is not None:
            groups.setdefault(found.group, []).append(found)
    return {group: tuple(found) for group, found in groups.items()}


def every(statements: Iterable[Statement]) -> Iterator[Statement]:
    for statement in statements:
        yield from statement.walk()


def first(statements: Iterable[Statement], *codes: str) -> Statement | None:
    """The first that says something, by the codes in their order."""
    flat = [statement for statement in statements if statement.says_something]
    return next((found for code in codes for found in flat if found.code == code), None)


# ---------------------------------------------------------------- what a person reads of them


def lines(statements: Iterable[Statement]) -> list[tuple[str, str]]:
    """Labels and values; of a statement without a value, what it names. Without a label, the catalogue's name."""
    return [(found.label or element_name(found.code), spoken(found)) for found in every(statements)]


def element_name(code: str) -> str:
    measure = measures().get(code)
    return measure.name if measure else words().get(code, "")


def spoken(found: Statement) -> str:
    if found.what == "observationMedia":
        return "（附件）"
    if found.what != "observation":
        return _described(found.element)
    if found.kind == "BL":
        return {"true": "是", "false": "否"}.get(found.value.lower(), found.value)
    if found.kind == "CD" and found.display and found.coded and DIAGNOSIS.match(found.code):
        return f"{found.display}（{found.coded}）"
    if found.kind == "TS" and (moment := TIME.fullmatch(found.value)):
        day, clock = "-".join(moment.groups()[:3]), ":".join(part for part in moment.groups()[3:] if part)
        return f"{day} {clock}".strip()
    if found.coded and not found.display:
        return value_names().get(mended_root(found.system).removeprefix(f"{CN}."), {}).get(found.coded, found.text)
    return found.text


def _described(element: Element) -> str:
    """A procedure or a medication in a line: names, amounts, people."""
    parts = [attribute(child(element, "code"), "displayName") or attribute(child(element, "code"), "code")]
    for name in ("manufacturedProduct", "assignedPerson", "playingEntity"):
        for inner in below(element, name):
            if local(inner) != "playingEntity" or not _is_coded(inner):
                parts.append(
                    " ".join(text for e in inner.iter("name", "code") if (text := text_of(e) or attribute(e, "displayName")))
                )
    parts.append(attribute(child(element, "routeCode"), "displayName"))
    for name in ("doseQuantity", "rateQuantity"):
        amount = child(element, name)
        parts.append(f"{attribute(amount, 'value')}{attribute(amount, 'unit')}")
    return " ".join(dict.fromkeys(part for part in parts if part and part not in ABSENT))
