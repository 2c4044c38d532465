"""Who this is, for the top of every screen: name, sex, age, allergies first, and which facilities know them under which number.

Each facility's Patient stays its own; what they say differently is shown, not settled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from hub.records.reader import Found, Reader, Withheld, code_text
from profiles.names import GOLDEN, HUB_TAG, ID_CARD

DENIALS: Mapping[str, Literal["all", "drug", "other", "nothing"]] = {
    **dict.fromkeys(("716186003", "no-known", "no-known-allergy", "no-known-allergies"), "all"),
    **dict.fromkeys(("409137002", "no-known-drug-allergies", "nkda"), "drug"),
    **dict.fromkeys(("429625007", "428607008", "no-known-food-allergies", "no-known-environmental-allergies"), "other"),
    "no-allergy-info": "nothing",
}
"""Codes that name no substance → what is denied; `nothing`: that nobody knows. SNOMED CT's, and those of IPS
(http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips)."""
INACTIVE = frozenset({"entered-in-error", "refuted"})


@dataclass(frozen=True, slots=True)
class Allergy:
    text: str
    high: bool  # criticality
    reaction: str


@dataclass(frozen=True, slots=True)
class Allergies:
    """`none-known` was stated by somebody, `no-drug` of drugs alone; `not-recorded`: nobody said anything that helps whoever
    prescribes; `withheld`: the role may not see."""

    state: Literal["listed", "none-known", "no-drug", "not-recorded", "withheld"]
    listed: tuple[Allergy, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """One facility's own record of the person."""

    patient: str
    facility: str
    number: str
    name: str


@dataclass(frozen=True, slots=True)
class Person:
    id: str
    name: str
    other_names: tuple[str, ...]
    gender: str
    birth_date: str
    age: tuple[int, Literal["year", "month", "day"]] | None
    masked_number: str
    address: str
    deceased: bool
    identities: tuple[Identity, ...]

    @property
    def facilities(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(identity.facility for identity in self.identities))


async def person_of(reader: Reader, today: date) -> Person | None:
    """None if this caller may see no Patient of the person."""
    return person_from(await reader.patients(), reader.person, today)


def person_from(patients: Iterable[Found], id: str, today: date) -> Person | None:
    """A golden Patient gives the picture where it is there; else what most facilities say."""
    known = [p for p in patients if p.type == "Patient"]
    if not known:
        return None
    sources = [p for p in known if not is_golden(p.resource)] or known
    best = next((p for p in known if is_golden(p.resource)), sources[0])
    names = list(dict.fromkeys(filter(None, (name_of(p.resource) for p in [best, *sources]))))
    birth = _first(best, sources, "birthDate")
    return Person(
        id=id,
        name=names[0] if names else "",
        other_names=tuple(names[1:]),
        gender=_first(best, sources, "gender") or "unknown",
        birth_date=birth,
        age=age_at(birth, today),
        masked_number=mask(next(filter(None, (id_card(p.resource) for p in [best, *sources])), "")),
        address=next(filter(None, (_address(p.resource) for p in [best, *sources])), ""),
        deceased=any(p.resource.get("deceasedBoolean") or p.resource.get("deceasedDateTime") for p in sources),
        identities=tuple(_identity(p) for p in sources if p.facility),
    )


def is_golden(patient: Mapping[str, Any]) -> bool:
    return any(t.get("system") == HUB_TAG and t.get("code") == GOLDEN for t in patient.get("meta", {}).get("tag", ()))


def name_of(patient: Mapping[str, Any]) -> str:
    """The official name as one text; Chinese family and given names join without a space."""
    names = [n for n in patient.get("name", ()) if not n.get("extension")] or patient.get("name", ())
    name = next((n for n in names if n.get("use") == "official"), names[0] if names else {})
    if name.get("text"):
        return str(name["text"])
    joined = [str(part) for part in (name.get("family"), *name.get("given", ())) if part]
    return ("" if all(not part.isascii() for part in joined) else " ").join(joined)


def id_card(patient: Mapping[str, Any]) -> str:
    return next((str(i["value"]) for i in patient.get("identifier", ()) if i.get("system") == ID_CARD and i.get("value")), "")


def mask(number: str) -> str:
    """Enough to tell two people apart at a counter, too little to use: 3399**********1282."""
    return number if len(number) < 9 else f"{number[:4]}{'*' * (len(number) - 8)}{number[-4:]}"


def age_at(birth: str, today: date) -> tuple[int, Literal["year", "month", "day"]] | None:
    """In years; under two years in months, under two months in days, as paediatrics count. Only what the precision supports."""
    parts = [int(part) for part in birth.split("-")] if birth else []
    if not parts:
        return None
    if len(parts) < 3:
        return (max(0, today.year - parts[0] - (len(parts) == 2 and today.month < parts[1])), "year")
    born = date(*parts)
    months = (today.year - born.year) * 12 + today.month - born.month - (today.day < born.day)
    if months < 2:
        return (max(0, (today - born).days), "day")
    return (months, "month") if months < 24 else (months // 12, "year")


async def allergies_of(reader: Reader) -> Allergies:
    try:
        stated = await reader.search("AllergyIntolerance")
    except Withheld:
        return Allergies("withheld")
    return allergies_from(stated)


def allergies_from(stated: Iterable[Found]) -> Allergies:
    """A named substance outranks any "none known": one facility's not knowing disproves nothing."""
    valid = [a for a in stated if not _codes(a.resource.get("verificationStatus")) & INACTIVE]
    active = [a for a in valid if not _codes(a.resource.get("clinicalStatus")) & {"inactive", "resolved"}]
    named: dict[str, list[Allergy]] = {}
    for allergy in (_allergy(a) for a in active if not denied(a.resource)):
        named.setdefault(allergy.text.casefold(), []).append(allergy)
    if named:
        return Allergies("listed", tuple(sorted(map(_as_one, named.values()), key=lambda a: not a.high)))
    said = {denial for a in active for denial in denied(a.resource)}
    return Allergies("none-known" if "all" in said else "no-drug" if "drug" in said else "not-recorded")


def _allergy(found: Found) -> Allergy:
    resource = found.resource
    reactions = [code_text(m) for r in resource.get("reaction", ()) for m in r.get("manifestation", ())]
    return Allergy(code_text(resource.get("code")), resource.get("criticality") == "high", "、".join(filter(None, reactions)))


def _as_one(said: list[Allergy]) -> Allergy:
    """One substance that several facilities state: as grave as the gravest of them, with every reaction."""
    return Allergy(said[0].text, any(a.high for a in said), "、".join(dict.fromkeys(a.reaction for a in said if a.reaction)))


def denied(resource: Mapping[str, Any]) -> set[str]:
    """What an AllergyIntolerance denies instead of naming a substance; empty for one that names it."""
    return {DENIALS[code] for code in _codes(resource.get("code")) if code in DENIALS}


def _codes(concept: object) -> set[str]:
    if not isinstance(concept, Mapping):
        return set()
    return {str(c.get("code", "")).casefold() for c in concept.get("coding", ())}


def _first(best: Found, sources: Iterable[Found], element: str) -> str:
    return str(next((p.resource[element] for p in [best, *sources] if p.resource.get(element)), ""))


def _address(patient: Mapping[str, Any]) -> str:
    address: Mapping[str, Any] = next(iter(patient.get("address", ())), {})
    return str(address.get("text") or "".join(map(str, address.get("line", ()))))


def _identity(found: Found) -> Identity:
    systems = f"urn:hub:{found.facility}"
    numbers = [i for i in found.resource.get("identifier", ()) if str(i.get("system", "")).startswith(systems)]
    number = next((str(i["value"]) for i in numbers if str(i.get("system", "")).endswith(":patient") and i.get("value")), "")
    return Identity(found.id, found.facility, number, name_of(found.resource))
