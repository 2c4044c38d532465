# ruff: noqa: ARG001, ARG005  every conversion has the one signature that the table needs
"""What `as = "…"` means: a cell of a row → the value of a FHIR element.

A conversion gives None when the cell does not hold what it should; it then says so, and the raw row keeps the cell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any

from mappers.base import Issue, MappingContext
from mappers.datatypes import (
    Mark,
    fhir_date,
    fhir_datetime,
    fhir_instant,
    fold_unit,
    identifiers_from_id_number,
    parse_quantity,
    reference_range,
    split_mark,
)
from mappers.datatypes import recognition_mark as mark_extension
from mappers.identity_keys import local_system, organization_id, reference
from profiles.names import DICOM_UID, GENDER_CN, IDENTIFIER_TYPE, SOURCE_GENDER

if TYPE_CHECKING:
    from mappers.rows.tables import Element

# Names of code systems that a table may use instead of a URI; a context's own go first.
SYSTEMS = {
    "icd-10-cn": "urn:oid:2.16.156.10011.2.3.3.11",  # ICD-10, the Chinese clinical edition or not: the source does not say
    "tcm": "urn:oid:2.16.156.10011.2.3.3.14",  # GB/T 15657 diseases and syndromes of Chinese medicine
    "gender": GENDER_CN,
    "route": "urn:oid:2.16.156.10011.2.3.1.158",  # CV06.00.102
    "frequency": "urn:oid:2.16.156.10011.2.3.1.267",  # CV06.00.228
    "order-type": "urn:oid:2.16.156.10011.2.3.1.268",  # CV06.00.229
    "health-card": "urn:oid:2.16.156.10011.1.19",
    "ehr-no": "urn:oid:2.16.156.10011.1.2",
    "act": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
    "snomed": "http://snomed.info/sct",
    "discharge": "http://terminology.hl7.org/CodeSystem/discharge-disposition",
    "condition-category": "http://terminology.hl7.org/CodeSystem/condition-category",
    "condition-clinical": "http://terminology.hl7.org/CodeSystem/condition-clinical",
    "condition-ver-status": "http://terminology.hl7.org/CodeSystem/condition-ver-status",
    "observation-category": "http://terminology.hl7.org/CodeSystem/observation-category",
    "interpretation": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
    "diagnostic-service": "http://terminology.hl7.org/CodeSystem/v2-0074",
    "timing": "http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation",
}
FLAGS = {"1": True, "y": True, "t": True, "true": True, "是": True, "0": False, "n": False, "f": False, "false": False, "否": False}
MEASURE = re.compile(r"(?P<number>(?:<=|>=|[<>≤≥＜＞])?\s*[+-]?\d{1,12}(?:\.\d{1,12})?)\s*(?P<unit>[^\d\s.].{0,30})?")
MARKED_NAMES = ("item_name",)
INTERPRETATION = {"↑": "H", "↓": "L", "↑↑": "HH", "↓↓": "LL", "h": "H", "l": "L", "hh": "HH", "ll": "LL", "n": "N", "a": "A"}


@dataclass(slots=True)
class Row:
    """One row on its way to FHIR: its cells as text, and what was noted about it."""

    view: str
    facility: str
    cells: Mapping[str, str]  # lower-case column → text; "" for NULL and for a column that is not there
    context: MappingContext
    maps: Mapping[str, Mapping[str, str]]
    issues: list[Issue] = field(default_factory=list)
    theirs: Mapping[str, str] = field(default_factory=dict)  # column as its rule calls it → as the source does
    used: dict[str, str] = field(default_factory=dict)  # column → the element that its cell went into

    def filled(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in columns if self.value(name))

    def value(self, name: str) -> str:
        """A cell; `a+b` is both together, where both hold something."""
        if "+" not in name:
            return self.cells.get(name, "")
        parts = [self.cells.get(part, "") for part in name.split("+")]
        return "|".join(parts) if all(parts) else ""

    def first(self, columns: tuple[str, ...]) -> str:
        return next((text for name in columns if (text := self.value(name))), "")

    def name_of(self, columns: tuple[str, ...]) -> str:
        """Where a value stood, by the source's own name: the column that holds it, else the first that could."""
        return self.where(next(iter((*self.filled(columns), *columns)), "?"))

    def where(self, column: str) -> str:
        return f"{self.view}." + "+".join(self.theirs.get(name, name) for name in column.split("+"))

    def note(self, code: str, columns: tuple[str, ...], detail: str = "", **more: str) -> None:
        self.issues.append(Issue(code, self.name_of(columns), detail, **more))  # type: ignore[arg-type]

    def system(self, name: str) -> str:
        if name.startswith("local:"):
            return local_system(self.facility, name.removeprefix("local:"))
        return self.context.code_systems.get(name) or SYSTEMS.get(name, name)


Convert = Callable[[Row, "Element", str], Any]


@dataclass(frozen=True, slots=True)
class Conversion:
    convert: Convert
    needs: tuple[str, ...] = ()
    says: str = ""


def plain(value: Any) -> str:
    """A JSON value of a row as text; a decimal keeps its digits."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value).strip()


def _checked(says: str, read: Callable[[Row, str], Any]) -> Convert:
    def convert(row: Row, element: Element, text: str) -> Any:
        value = read(row, text)
        if value is None:
            row.note("invalid-value", element.column or element.columns, f"not {says}")
        return value

    return convert


def _mapped(row: Row, element: Element, text: str) -> str | None:
    """A code by its named map. An empty cell takes the default; an unknown code is left out and named."""
    if not text:
        return element.default or None
    table = row.maps[element.map]
    found = table.get(text) or table.get(text.lower())
    if found is None:
        row.note("unmapped-code", element.column, f"not in map.{element.map}", system=f"map.{element.map}", value=text)
    return found


def _coding(row: Row, element: Element, text: str) -> dict[str, str] | None:
    code = _mapped(row, element, text) if element.map else text or element.default
    return {"system": row.system(element.system), "code": code} if code else None


def _concept(row: Row, element: Element, text: str) -> dict[str, Any] | None:
    """The source's own code and words, and the codes they translate to: an unmapped code is kept."""
    words = row.first(element.text)
    codings: list[dict[str, str]] = []
    if text:
        coding = {"system": row.system(element.system), "code": text, **({"display": words} if words else {})}
        codings = [coding, *(dict(found) for found in row.context.translate(coding["system"], text))]
    return {**({"coding": codings} if codings else {}), **({"text": words or text} if words or text else {})} or None


def named(row: Row, names: str, code: str) -> str:
    """A code in words, by a map of names; the code itself where it has none."""
    table = row.maps.get(names, {})
    return table.get(code) or table.get(code.lower()) or code


def _coded(row: Row, element: Element, text: str) -> dict[str, Any] | None:
    """A standard code by a named map, with the source's words as text: also where the code is not in the map."""
    words = row.first(element.text) or named(row, element.names, text)
    coding = _coding(row, element, text)
    return {**({"coding": [coding]} if coding else {}), **({"text": words} if words else {})} or None


def _identifier(row: Row, element: Element, text: str) -> dict[str, Any]:
    kind = {"type": {"coding": [{"system": IDENTIFIER_TYPE, "code": element.type}]}} if element.type else {}
    use = {"use": element.use} if element.use else {}
    return {**use, **kind, "system": row.system(element.system), "value": text}


def _id_number(row: Row, element: Element, text: str) -> list[dict[str, Any]] | None:
    where = row.name_of(element.column)
    return identifiers_from_id_number(text, facility=row.facility, where=where, issues=row.issues) or None


def _quantity(row: Row, element: Element, text: str) -> dict[str, Any] | None:
    value = parse_quantity(text, row.first(element.unit) or element.unit_text)
    if value is None:
        row.note("invalid-value", element.column, "not a number")
    return value


def _number(row: Row, element: Element, text: str) -> dict[str, Any] | None:
    """A quantity where the cell is one, and no complaint where it is words: the next rule takes those."""
    return parse_quantity(text, row.first(element.unit) or element.unit_text)


def _words(row: Row, element: Element, text: str) -> str | None:
    """The cell's text where it is no number: 阴性, 1+, 见报告."""
    return text if parse_quantity(text) is None else None


def _item(row: Row, element: Element, text: str) -> dict[str, Any] | None:
    """A test item: as `concept`, its name without the recognition mark."""
    concept = _concept(row, element, text)
    name, mark = split_mark(row.first(element.text))
    if concept and mark:
        concept["text"] = name
        for coding in concept.get("coding", [])[:1]:
            coding["display"] = name
    return concept


def _stated_mark(row: Row, element: Element, text: str) -> dict[str, Any] | None:
    """A mark in a column of its own; the one in the item's name goes before."""
    if FLAGS.get(text.lower()) is False or any(split_mark(row.cells.get(name, ""))[1] for name in MARKED_NAMES):
        return None
    _, mark = split_mark(f"【{text}】x")
    return mark_extension(mark or Mark("HR" if text.lower() in FLAGS else text, "unstated"))


def _words_of(row: Row, column: str, names: str) -> str:
    return row.cells.get(f"{column}_name", "") or named(row, names, row.cells.get(column, ""))


def _dosage(row: Row, element: Element, _: str) -> str | None:
    """0.5 g 口服 每日三次 7天: what a person reads on the prescription."""
    if stated := row.cells.get("dose_text"):
        return stated
    dose, unit = row.cells.get("dose", ""), row.first(("dose_unit", "unit"))
    days = row.cells.get("days", "")
    parts = (f"{dose}{unit}" if dose else "", _words_of(row, "route", "route-name"), _words_of(row, "freq", "frequency-name"))
    return " ".join(part for part in (*parts, f"{days}天" if days.isdecimal() else days) if part) or None


def _study(row: Row, element: Element, text: str) -> dict[str, Any]:
    return {"type": "ImagingStudy", "identifier": {"system": DICOM_UID, "value": f"urn:oid:{text}"}}


def _range(row: Row, element: Element, text: str) -> dict[str, Any] | None:
    return reference_range(text, row.first(element.unit))


def _source_gender(row: Row, element: Element, text: str) -> dict[str, Any]:
    system = GENDER_CN if text in {"0", "1", "2", "9"} else local_system(row.facility, "gender")
    return {"url": SOURCE_GENDER, "valueCoding": {"system": system, "code": text}}


def _mark(row: Row, element: Element, text: str) -> dict[str, Any] | None:
    _, mark = split_mark(text)
    return mark_extension(mark) if mark else None


def _interpretation(row: Row, element: Element, text: str) -> dict[str, Any] | None:
    code = INTERPRETATION.get(text.lower())
    if code is None:
        row.note("unmapped-code", element.column, "not a known flag", system="interpretation", value=text)
        return {"text": text}
    return {"coding": [{"system": SYSTEMS["interpretation"], "code": code}], "text": text}


def _reference(row: Row, element: Element, text: str) -> dict[str, Any] | None:
    """By the other's key: one column, or all `columns` where several name it."""
    key = tuple(row.cells.get(name, "") for name in element.columns) if element.columns and not element.column else (text,)
    if not all(key):
        return None
    return reference(element.type, row.facility, *key, *((element.suffix,) if element.suffix else ()))


def _measure(row: Row, element: Element, text: str) -> dict[str, Any] | None:
    """A number with its unit in one cell: 5.6mmol/L, <0.01 ng/mL. A unit that no table knows makes it text, not a number."""
    match = MEASURE.fullmatch(text)
    if match is None or (match["unit"] and fold_unit(match["unit"])[1] is None):
        row.note("invalid-value", element.column, "not a number with a known unit")
        return None
    return parse_quantity(match["number"], match["unit"] or row.first(element.unit) or element.unit_text)


def _answer(row: Row, element: Element, text: str) -> dict[str, Any]:
    """A field of a form as an item of a QuestionnaireResponse: its column is the link id."""
    words = row.maps.get(element.names, {}).get(text)
    measured = parse_quantity(text, element.unit_text) if element.unit_text else None
    if words:
        answer: dict[str, Any] = {"valueCoding": {"system": row.system(f"local:{element.names}"), "code": text, "display": words}}
    else:
        answer = {"valueQuantity": measured} if measured else {"valueString": text}
    label = {"text": element.label} if element.label else {}
    return {"linkId": next(iter(element.column or element.columns)), **label, "answer": [answer]}


def _narrative(row: Row, element: Element, text: str) -> dict[str, str]:
    return {"status": "additional", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{escape(text)}</div>'}


def _time(read: Callable[[str, str], str | None]) -> Convert:
    def convert(row: Row, element: Element, text: str) -> str | None:
        value = read(text, element.zone or row.context.zone)
        if value is None:
            row.note("invalid-value", element.column or element.columns, "not a time")
        return value

    return convert


CONVERSIONS: dict[str, Conversion] = {
    "text": Conversion(lambda row, element, text: text, says="the cell's text"),
    "item": Conversion(lambda row, element, text: split_mark(text)[0], says="an item's name without its recognition mark"),
    "join": Conversion(lambda row, element, text: text, ("columns",), "several cells with a separator"),
    "date": Conversion(_checked("a date", lambda _, text: fhir_date(text)), says="a date, as precise as stated"),
    "datetime": Conversion(_time(fhir_datetime), says="a dateTime; without zone it is the channel's"),
    "instant": Conversion(_time(fhir_instant), says="an instant"),
    "flag": Conversion(_checked("yes or no", lambda _, text: FLAGS.get(text.lower())), says="true or false"),
    "integer": Conversion(
        _checked("a whole number", lambda _, text: int(text) if text.isdecimal() and len(text) < 10 else None), says="a count"
    ),
    "code": Conversion(_mapped, ("map",), "a FHIR code by a named map; an unknown one is left out and named"),
    "coding": Conversion(_coding, ("system",), "a Coding"),
    "concept": Conversion(_concept, ("system",), "a CodeableConcept with the source's own code, its words and translations"),
    "coded": Conversion(_coded, ("system", "map"), "a CodeableConcept with a standard code by a named map, and the source's words"),
    "quantity": Conversion(_quantity, says="a Quantity with the source's unit, folded to UCUM where known"),
    "number": Conversion(_number, says="a Quantity if the cell is a number, else nothing"),
    "measure": Conversion(_measure, says="a Quantity from a number with its unit in one cell"),
    "answer": Conversion(_answer, says="an item of a QuestionnaireResponse: a form's field, its words by `names`"),
    "narrative": Conversion(_narrative, says="text for a person to read, as a Narrative"),
    "range": Conversion(_range, says="a reference range from text such as 3.5-5.3"),
    "identifier": Conversion(_identifier, ("system",), "an Identifier"),
    "id-number": Conversion(_id_number, says="identifiers of a 居民身份证 number, checked"),
    "source-gender": Conversion(_source_gender, says="the extension that keeps the source's gender code"),
    "recognition-mark": Conversion(_mark, says="the extension of a mutual-recognition mark in an item's name"),
    "interpretation": Conversion(_interpretation, says="↑ ↓ H L as interpretation"),
    "extension": Conversion(lambda row, element, text: {"url": element.url, "valueString": text}, ("url",), "a text extension"),
    "reference": Conversion(_reference, ("type",), "a reference to the resource with that business key"),
    "item-concept": Conversion(_item, ("system",), "as concept; the name loses its recognition mark"),
    "words": Conversion(_words, says="the cell's text, if it is no number"),
    "stated-mark": Conversion(_stated_mark, says="the extension of a recognition mark that has a column of its own"),
    "dosage": Conversion(_dosage, ("columns",), "dose, route, frequency and days in one line"),
    "study": Conversion(_study, says="a reference to the ImagingStudy with that StudyInstanceUID"),
    "facility": Conversion(
        lambda row, element, text: {"reference": f"Organization/{organization_id(row.facility)}"},
        says="a reference to the facility",
    ),
}
