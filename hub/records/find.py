"""Finding a person: by name, pinyin, initials, or a number. One hit a person, whatever facility's record matched."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from hub.records.person import Person, person_from
from hub.records.reader import found
from hub.search.folding import fold_code
from hub.search.query import Criterion, SearchQuery, StringValue, TokenValue
from hub.security.access import Access
from hub.security.door import Door
from hub.security.reads import Reads
from hub.store.port import Key, Version
from mappers.datatypes import id_check

MOST = 50
LOOKED_AT = 200
SHORTEST = 2


@dataclass(frozen=True, slots=True)
class Hits:
    people: tuple[Person, ...]
    more: bool


def criteria(text: str) -> tuple[Criterion, ...]:
    """Alternatives to try: a text with four digits in a row is a number, anything else a name."""
    text = " ".join(text.split())
    if not re.search(r"\d{4}", text):
        forms = dict.fromkeys((text, text.replace(" ", "")))
        return (Criterion("name", "string", tuple(StringValue(form) for form in forms)),)
    number = text.replace(" ", "")
    tokens = tuple(TokenValue(None, fold_code(form)) for form in number_forms(number))
    return (Criterion("identifier", "token", tokens), Criterion("phone", "token", (TokenValue(None, fold_code(number)),)))


def number_forms(number: str) -> tuple[str, ...]:
    """A 15-digit ID number and its 18-digit form are one number (GB 11643); others stand for themselves."""
    if re.fullmatch(r"\d{15}", number):
        first17 = f"{number[:6]}19{number[6:]}"
        return (number, first17 + id_check(first17))
    if re.fullmatch(r"\d{17}[\dXx]", number) and number[6:8] == "19":
        return (number, number[:6] + number[8:17])
    return (number,)


async def find_people(door: Door, access: Access, text: str, today: date) -> Hits:
    """At most 50, as one interaction. Raise NotAllowed if the role may not read Patients."""
    asked = criteria(text)
    names = "|".join(criterion.code for criterion in asked)  # which parameters, never what was typed
    return await door.reading(
        access, lambda reads: _find(reads, asked, today), action="E", interaction="search-type", type="Patient", asked=f"{names}=…"
    )


def _find(reads: Reads, asked: Iterable[Criterion], today: date) -> Hits:
    matches: list[Version] = []
    more = False
    for criterion in asked:
        page = reads.search(SearchQuery("Patient", (criterion,), count=LOOKED_AT))
        matches.extend(page.matches)
        more = more or page.next is not None
    persons = dict.fromkeys(reads.person(version.id)[0] for version in matches)
    people = [_person(reads, id, today) for id in list(persons)[:MOST]]
    known = sorted(filter(None, people), key=lambda person: (person.name, person.birth_date))
    return Hits(tuple(known), more or len(persons) > MOST)


def _person(reads: Reads, id: str, today: date) -> Person | None:
    """With every record of the person that this caller may see, so that a hit names all facilities that know them."""
    records = reads.read_many([Key("Patient", patient) for patient in reads.person(id)])
    return person_from((found(version) for version in records), id, today)
