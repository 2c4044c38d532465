"""One source record → what a person looks for it by: type, control id, patient's numbers and names, words.

Only reads: what cannot be parsed still has its key and, where it decodes, its words. HL7 v2.5.1 chapters 2 and 3; CDA R2 header
(recordTarget); DICOM PS3.3 C.7.1.1.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from connectors.base import SourceRecord
from connectors.hl7v2_mllp.charset import Undecodable, decode
from connectors.xml import NotXml, read_xml, text_of_bytes
from mappers.base import CannotMap
from mappers.cda.reader import attribute, child, children, local
from mappers.cda.reader import parse as parse_cda
from mappers.dicom.header import HeaderError, read_header
from mappers.hl7v2.message import Message, Segment
from mappers.hl7v2.message import parse as parse_v2

LONGEST_TEXT = 32 * 1024  # characters of one record that are looked through; a document's words stand at its beginning
LONGEST_WORD = 40  # what runs on longer is base64, not a word
MOST_TERMS = 64

HAN = r"\u3007\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U000323af"
_RUNS = re.compile(f"[{HAN}]+|[^\\W_{HAN}]+")
_HAN = re.compile(f"[{HAN}]")
_SEPARATORS = re.compile(r"[\s^·,，、]+")


@dataclass(frozen=True, slots=True)
class Summary:
    type: str = ""  # ADT^A01, C0002, v_patient, CT
    control: str = ""  # MSH-10; the document's id; else the connector's own key
    patient: str = ""  # the number by which its source knows the patient, as written
    terms: tuple[str, ...] = ()  # numbers and names of patients, as `term` writes them
    text: str = ""  # what can be read of it


def summary_of(record: SourceRecord, charset: str = "") -> Summary:
    """`charset`: the channel's own, where the record declares none. Never raises for what a stranger wrote."""
    read = _READERS.get(record.kind.partition("/")[0], _of_text)
    charset = charset or record.hints.get("charset", "")
    try:
        return read(record, charset)
    except (CannotMap, HeaderError, NotXml, Undecodable, ValueError, RecursionError, LookupError):
        return _of_text(record, charset)


def term(value: str) -> str:
    """A number or name in the form in which it is compared: case, width, spaces and ^ make no difference."""
    return _SEPARATORS.sub("", plain(value))[:LONGEST_WORD]


def plain(text: str) -> str:
    """Case and width make no difference to a search."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def words(text: str) -> str:
    """Text → tokens: words of letters and digits; of a run of Chinese characters each pair, and the last one alone.

    '血清钾 K+' → '血清 清钾 钾 k'. So a Chinese term is found at any place, without knowing where words begin.
    """
    found: dict[str, None] = {}
    for match in _RUNS.finditer(plain(text[:LONGEST_TEXT])):
        run = match[0]
        if _HAN.match(run):
            found.update(dict.fromkeys(run[place : place + 2] for place in range(len(run))))
        elif len(run) <= LONGEST_WORD:
            found[run] = None
    return " ".join(found)


def match_of(text: str) -> str:
    """What a person typed → an FTS5 expression over `words`: every word of it; the last Latin one may go on."""
    runs = _RUNS.findall(plain(text))
    wanted: dict[str, None] = {}
    for place, run in enumerate(runs):
        if not _HAN.match(run):
            wanted[f'"{run[:LONGEST_WORD]}"' + ("*" if place == len(runs) - 1 and len(run) >= 3 else "")] = None
        elif len(run) == 1:
            wanted[f'"{run}"*'] = None
        else:
            wanted.update(dict.fromkeys(f'"{run[at : at + 2]}"' for at in range(len(run) - 1)))
    return " AND ".join(wanted)


def holds(text: str, wanted: str) -> bool:
    """Whether the pieces of `wanted` really stand in the text: pairs of characters may lie apart."""
    folded = plain(text)
    return all(run in folded for run in _RUNS.findall(plain(wanted)))


# ---------------------------------------------------------------- by kind


def _of_text(record: SourceRecord, charset: str) -> Summary:
    """A kind that is not known here, or a record that cannot be parsed: its key, and its words if it is text."""
    head = record.content[: 4 * LONGEST_TEXT]
    if b"\0" in head[:1024]:
        return Summary(control=record.key)
    try:
        text = decode(head, "", charset).text
    except Undecodable:
        text = head.decode("utf-8", "replace")
    return Summary(control=record.key, text=text[:LONGEST_TEXT])


def _of_v2(record: SourceRecord, charset: str) -> Summary:
    message = parse_v2(record.content, charset)
    terms = list(_people_of(message))
    numbers = (segment.value(3) or segment.value(2) for segment in message.segments("PID"))
    code, trigger = message.code, message.trigger
    return Summary(
        type=f"{code}^{trigger}" if trigger else code,
        control=message.control_id or record.key,
        patient=next((number for number in numbers if number), ""),
        terms=_terms(terms),
        text="\n".join(map(str, message.all))[:LONGEST_TEXT],
    )


PERSON_FIELDS = {"PID": ((2, 3, 4, 18, 19), (5, 9)), "MRG": ((1, 2, 3, 4, 5, 6), (7,))}
"""Segment → (fields of numbers, fields of names)."""


def _people_of(message: Message) -> Iterator[str]:
    for name, (numbers, names) in PERSON_FIELDS.items():
        for segment in message.segments(name):
            for field in numbers:
                yield from (segment.value(field, repetition=n) for n in _repetitions(segment, field))
            for field in names:
                for n in _repetitions(segment, field):
                    family, given, *_ = segment.parts(field, 2, n)
                    yield from (family + given, given + family, family, given)


def _repetitions(segment: Segment, field: int) -> range:
    return range(1, min(segment.count(field), MOST_TERMS) + 1)


def _of_cda(record: SourceRecord, _: str) -> Summary:
    root = parse_cda(record.content).root
    kind, own = child(root, "code"), child(root, "id")
    role = child(root, "recordTarget", "patientRole")
    numbers = [attribute(each, "extension") for each in children(role, "id")]
    person = child(role, "patient")
    numbers += [attribute(each, "extension") for each in children(person, "id")]
    names = ["".join(map(str, each.itertext())) for each in children(person, "name")]
    return Summary(
        type=attribute(kind, "code") or local(root),
        control=attribute(own, "extension") or attribute(own, "root") or record.key,
        patient=next(filter(None, numbers), ""),
        terms=_terms([*numbers, *names]),
        text=_cda_text(root)[:LONGEST_TEXT],
    )


def _cda_text(root: Any) -> str:
    """Character data, and what codes are called: a document's entries often say it there alone."""
    pieces: list[str] = []
    length = 0
    for element in root.iter():
        for piece in (element.text, element.get("displayName"), element.get("extension"), element.tail):
            if piece and (stripped := piece.strip()):
                pieces.append(stripped)
                length += len(stripped)
        if length > LONGEST_TEXT:
            break
    return " ".join(pieces)


ROW_NUMBERS = ("patient_id", "patient_no", "id_no", "id_card", "card_no", "mrn", "empi", "outpatient_no", "inpatient_no")
ROW_NAMES = ("patient_name", "name", "xm")


def _of_row(record: SourceRecord, _: str) -> Summary:
    row = json.loads(record.content)
    if not isinstance(row, dict):
        raise CannotMap("the row is not a JSON object")
    cells = {str(name).lower(): str(value) for name, value in row.items() if value is not None}
    numbers = [cells[name] for name in ROW_NUMBERS if cells.get(name)]
    names = [cells[name] for name in ROW_NAMES if cells.get(name)]
    return Summary(
        type=record.kind.partition("/")[2] or record.kind,
        control=record.key,
        patient=next(iter(numbers), ""),
        terms=_terms([*numbers, *names]),
        text=" ".join(cells.values())[:LONGEST_TEXT],
    )


_DICOM_TEXT = (0x00080050, 0x00081030, 0x0008103E, 0x00080080, 0x00180015, 0x0020000D, 0x00321060, 0x00400254)
_DICOM_UNTIL = 0x00400254


def _of_dicom(record: SourceRecord, charset: str) -> Summary:
    header = read_header(record.content, charset=charset, deep=False, until=_DICOM_UNTIL)
    number, names = header.text(0x00100020), header.texts(0x00100010)
    said = [header.text(0x00080060), number, *names, *(header.text(tag) for tag in _DICOM_TEXT), record.key]
    pieces = [piece for name in names for piece in name.split("=")]
    return Summary(
        type=header.text(0x00080060),
        control=header.uid(0x00080018) or record.key,
        patient=number,
        terms=_terms([number, *pieces]),
        text=" ".join(filter(None, said)),
    )


PERSONS = frozenset({"patient", "patientRole", "patientPerson", "identifiedPerson", "asOtherIDs", "recordTarget"})


def _of_v3(record: SourceRecord, _: str) -> Summary:
    """HL7 V3 of 互联互通 platforms: numbers and names stand in elements named patient…, whatever the interaction."""
    root = read_xml(text_of_bytes(record.content))
    people = [element for element in root.iter() if isinstance(element.tag, str) and local(element) in PERSONS]
    items = [item for person in people for each in children(person, "id") for item in (each, *children(each, "item"))]
    numbers = [number for item in items if (number := attribute(item, "extension"))]
    names = ["".join(map(str, name.itertext())) for person in people for name in children(person, "name")]
    interaction = attribute(child(root, "interactionId"), "extension").strip()
    return Summary(
        type=interaction or local(root),
        control=attribute(child(root, "id"), "extension") or record.key,
        patient=next(iter(numbers), ""),
        terms=_terms([*numbers, *names]),
        text=_cda_text(root)[:LONGEST_TEXT],
    )


def _of_fhir(record: SourceRecord, _: str) -> Summary:
    resource = json.loads(record.content)
    if not isinstance(resource, dict):
        raise CannotMap("no resource")
    kind = str(resource.get("resourceType", ""))
    numbers = [str(each.get("value", "")) for each in _dicts(resource.get("identifier"))] if kind == "Patient" else []
    names = [name for each in _dicts(resource.get("name")) for name in _spelled(each)] if kind == "Patient" else []
    references = [
        str(resource[name].get("reference", "")) for name in ("subject", "patient") if isinstance(resource.get(name), dict)
    ]
    return Summary(
        type=kind,
        control=record.key,
        patient=next(filter(None, [*numbers, *references]), ""),
        terms=_terms([*numbers, *names, *(reference.rpartition("/")[2] for reference in references)]),
        text=" ".join(_strings(resource))[:LONGEST_TEXT],
    )


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _spelled(name: dict[str, Any]) -> list[str]:
    family, given = str(name.get("family", "")), "".join(map(str, name.get("given") or ()))
    return [str(name.get("text", "")), family + given, given + family]


def _strings(value: Any, name: str = "") -> Iterator[str]:
    """Texts; what is encoded (data) is no text."""
    if isinstance(value, str) and name != "data":
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _strings(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each, name)


_READERS: dict[str, Callable[[SourceRecord, str], Summary]] = {
    "hl7v2": _of_v2,
    "cda": _of_cda,
    "row": _of_row,
    "dicom": _of_dicom,
    "fhir": _of_fhir,
    "hl7v3": _of_v3,
}


def _terms(values: Iterable[str]) -> tuple[str, ...]:
    found = dict.fromkeys(term(value) for value in values)
    return tuple(each for each in found if each)[:MOST_TERMS]
