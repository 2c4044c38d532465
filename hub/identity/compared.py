"""Two Patients side by side: each element as both state it, what differs within it, and why the engine says what it says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal, NamedTuple

from hub.identity import normalise
from hub.identity.facts import facts_of
from hub.identity.households import KINDS, Households
from hub.identity.matching import Matching
from hub.identity.rules import compare
from hub.identity.weights import Part
from hub.ingest.masking import masked, masked_number
from profiles.names import ID_CARD

Resource = dict[str, Any]
Level = Literal["same", "shared", "different", "missing"]

MOST_VALUES = 12  # of one element; a merged heap has more than anybody reads
LONGEST = 200


class Segment(NamedTuple):
    text: str
    differs: bool


Value = tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Row:
    element: str
    one: tuple[Value, ...]
    other: tuple[Value, ...]
    level: Level


@dataclass(frozen=True, slots=True)
class Side:
    id: str
    facility: str
    active: bool
    others: int  # Patients that are one person with it today


@dataclass(frozen=True, slots=True)
class Comparison:
    one: Side
    other: Side
    rows: tuple[Row, ...]
    answer: str  # link, doubt or no: what the engine says of these two alone
    reason: str  # one of rules.REASONS
    parts: tuple[Part, ...]  # how each element weighs, in bits
    bits: float
    link: float  # from how many bits on they are one person
    doubt: float
    crowded: tuple[str, ...]  # phone, address: what too many share, so that it weighs nothing


Stated = tuple[Resource, str, int]  # a Patient, its facility, how many others are one person with it


def comparison(one: Stated, other: Stated, *, matching: Matching, households: Households, masked: bool) -> Comparison:
    every = [facts_of(patient, facility) for patient, facility, _ in (one, other)]
    facts = [households.telling(each) for each in every]
    reduced = list(zip(every, facts, strict=True))
    crowded = tuple(kind for kind, field in KINDS if any(getattr(a, field) != getattr(b, field) for a, b in reduced))
    verdict = compare(facts[0], facts[1], matching)
    return Comparison(
        side_of(*one),
        side_of(*other),
        tuple(_rows(one[0], other[0], hidden=masked)),
        verdict.answer,
        verdict.reason,
        tuple(matching.weights.parts(facts[0], facts[1])),
        verdict.bits,
        matching.link,
        matching.doubt,
        crowded,
    )


def stated(patient: Resource, *, masked: bool) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Each element that a Patient states, and its values."""
    found = ((element, _values(read(patient)), mask) for element, read, _, mask in _ELEMENTS)
    return tuple((element, tuple(mask(each) if masked else each for each in values)) for element, values, mask in found if values)


def side_of(patient: Resource, facility: str, others: int) -> Side:
    return Side(str(patient["id"]), facility, patient.get("active", True) is not False, others)


def _rows(one: Resource, other: Resource, *, hidden: bool) -> Iterable[Row]:
    for element, read, fold, mask in _ELEMENTS:
        here, there = _values(read(one)), _values(read(other))
        if here or there:
            yield _row(element, here, there, fold, mask if hidden else None)


def _row(element: str, here: list[str], there: list[str], fold: Any, mask: Any) -> Row:
    folded_here, folded_there = [fold(text) for text in here], [fold(text) for text in there]
    return Row(
        element,
        tuple(_segments(text, there, folded in folded_there, mask) for text, folded in zip(here, folded_here, strict=True)),
        tuple(_segments(text, here, folded in folded_here, mask) for text, folded in zip(there, folded_there, strict=True)),
        _level(folded_here, folded_there),
    )


def _level(here: Sequence[str], there: Sequence[str]) -> Level:
    if not here or not there:
        return "missing"
    if set(here) == set(there):
        return "same"
    return "shared" if set(here) & set(there) else "different"


def _segments(text: str, beside: Sequence[str], found: bool, mask: Any) -> Value:
    """What differs from the nearest value of the other side; the whole where there is nothing to compare with."""
    if found or not beside:
        return (Segment(mask(text) if mask else text, False),)
    if mask:
        return (Segment(mask(text), True),)
    nearest = max(beside, key=lambda other: SequenceMatcher(None, text, other, autojunk=False).ratio())
    steps = SequenceMatcher(None, text, nearest, autojunk=False).get_opcodes()
    parts = tuple(Segment(text[start:end], tag != "equal") for tag, start, end, _, _ in steps if end > start)
    return parts if any(not part.differs for part in parts) else (Segment(text, True),)


def _values(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(text[:LONGEST] for text in texts if text))[:MOST_VALUES]


# -- elements of a Patient


def _names(patient: Resource) -> Iterable[str]:
    for name in patient.get("name") or ():
        yield str(name.get("text") or "".join(filter(None, (name.get("family"), *name.get("given", ())))))


def _id_cards(patient: Resource) -> Iterable[str]:
    return (str(each.get("value", "")) for each in _identifiers(patient) if each.get("system") == ID_CARD)


def _numbers(patient: Resource) -> Iterable[str]:
    for each in _identifiers(patient):
        if each.get("system") != ID_CARD and each.get("value"):
            label = (each.get("type") or {}).get("text") or str(each.get("system", "")).rpartition(":")[2]
            yield f"{label} {each['value']}".strip()


def _identifiers(patient: Resource) -> Iterable[Resource]:
    return patient.get("identifier") or ()


def _phones(patient: Resource) -> Iterable[str]:
    return (str(each.get("value", "")) for each in patient.get("telecom") or ())


def _addresses(patient: Resource) -> Iterable[str]:
    for each in patient.get("address") or ():
        parts = (*(each.get(part, "") for part in ("state", "city", "district")), *each.get("line", ()))
        yield str(each.get("text") or "".join(parts))


def _contacts(patient: Resource) -> Iterable[str]:
    for each in patient.get("contact") or ():
        relations = (relation.get("text") or _displays(relation) for relation in each.get("relationship") or ())
        yield " ".join(filter(None, (*relations, *_names({"name": [each.get("name") or {}]}))))


def _displays(concept: Resource) -> str:
    return " ".join(str(coding.get("display") or coding.get("code") or "") for coding in concept.get("coding") or ())


def _deceased(patient: Resource) -> Iterable[str]:
    stated = patient.get("deceasedDateTime") or patient.get("deceasedBoolean")
    return [str(stated).lower()] if stated else []


def _merged(patient: Resource) -> Iterable[str]:
    for link in patient.get("link") or ():
        yield f"{link.get('type', '')} {(link.get('other') or {}).get('reference', '')}".strip()


def _one(element: str) -> Any:
    return lambda patient: [str(patient.get(element, ""))]


def _folded(text: str) -> str:
    return text.casefold().strip()


def _shown(text: str) -> str:
    return text


_ELEMENTS: tuple[tuple[str, Any, Any, Any], ...] = (
    # element, how it is read, how two values are held against each other, how it is masked
    ("name", _names, normalise.name, masked),
    ("birth", _one("birthDate"), _folded, masked),
    ("sex", _one("gender"), _folded, _shown),
    ("id-card", _id_cards, lambda text: normalise.id_number(text) or _folded(text), masked_number),
    ("numbers", _numbers, _folded, lambda text: " ".join((*text.split(" ")[:-1], masked_number(text.split(" ")[-1])))),
    ("phone", _phones, lambda text: normalise.phone(text) or _folded(text), masked_number),
    ("address", _addresses, _folded, masked),
    ("contact", _contacts, _folded, masked),
    ("deceased", _deceased, _folded, masked),
    ("merged", _merged, _folded, _shown),
)
