"""A section in words: a table of plain text, as XHTML for the document and as rows for the printed page.

https://hl7.org/fhir/R4/narrative.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from markupsafe import escape

from hub.records.person import name_of
from hub.records.reader import Found
from hub.records.summary import sections
from hub.records.summary.gather import Filled
from hub.records.summary.sections import MOST
from hub.records.summary.words import Language, word

Facility = Callable[[str], str]  # a facility's code → its name
Row = tuple[str, ...]
_CONTROL = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF))  # XML has no place for these
_CELLS: Mapping[str, Callable[[Found, Language], str]] = {
    "what": sections.what,
    "detail": sections.detail,
    "value": lambda found, _: sections.value(found),
    "range": lambda found, _: sections.reference_range(found),
    "when": lambda found, _: sections.when(found)[:16].replace("T", " "),
}


def rows(filled: Filled, facility: Facility, language: Language) -> list[Row]:
    """One record a row, in the order of the section's columns."""
    return [
        tuple(facility(record.facility) if name == "where" else _CELLS[name](record, language) for name in filled.section.columns)
        for record in filled.records
    ]


def remark(filled: Filled, language: Language) -> str:
    """What there is to say beside the rows: why there are none, or that there are more."""
    if not filled.records:
        return word("withheld" if filled.withheld else "none", language)
    return word("cut", language, n=MOST) if filled.cut else ""


def section_text(filled: Filled, facility: Facility, language: Language) -> dict[str, str]:
    """Section.text"""
    said = remark(filled, language)
    parts = [_table([word(name, language) for name in filled.section.columns], rows(filled, facility, language))]
    parts += [f"<p>{_safe(said)}</p>"] if said else []
    return _text("".join(parts), language)


def document_text(subject: Mapping[str, Any], made: str, sources: Sequence[str], language: Language) -> dict[str, str]:
    """Composition.text: whose summary it is, when it was made and from what."""
    lines = [*person_lines(subject, language), (word("made", language), made), (word("from", language), "；".join(sources))]
    told = "".join(f"<tr><th>{_safe(name)}</th><td>{_safe(said)}</td></tr>" for name, said in lines)
    return _text(f"<p>{_safe(word('intro', language))}</p><table><tbody>{told}</tbody></table>", language)


def person_lines(subject: Mapping[str, Any], language: Language) -> list[tuple[str, str]]:
    gender = str(subject.get("gender", "unknown"))
    said = {"name": name_of(subject), "gender": word(gender, language), "birthDate": str(subject.get("birthDate", ""))}
    lines = [(word(name, language), text or word("unknown", language)) for name, text in said.items()]
    if dead := subject.get("deceasedDateTime") or subject.get("deceasedBoolean"):
        lines.append((word("deceased", language), word("yes", language) if dead is True else str(dead)[:10]))
    return lines


def _table(headings: Iterable[str], lines: Sequence[Row]) -> str:
    if not lines:
        return ""
    head = "".join(f"<th>{_safe(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{''.join(f'<td>{_safe(cell)}</td>' for cell in line)}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(content: str, language: Language) -> dict[str, str]:
    div = f'<div xmlns="http://www.w3.org/1999/xhtml" xml:lang="{language}" lang="{language}">{content}</div>'
    return {"status": "generated", "div": div}


def _safe(text: str) -> str:
    return str(escape(text.translate(_CONTROL)))
