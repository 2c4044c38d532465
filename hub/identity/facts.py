"""A facility's Patient → what of it is compared, folded, and each number with what it is worth.

A number counts for the Patient only if its facility may state it and the Patient's own birth date and sex do not speak against it:
a card of another person is kept apart, and a number in another facility's name says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hub.identity import normalise
from hub.identity.dates import birth_level
from hub.search.folding import has_han, pinyin_forms
from profiles.names import FACILITY_TAG, HEALTH_CARD, ID_CARD, IDENTIFIER_TYPE

FULL_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# A newborn is registered as 王芳之女 or 王芳毛毛, often under the mother's number.
_ORDER = r"[一二三四五甲乙丙大小长次双a-c1-5]?"
NEWBORN = re.compile(
    rf"(?:之{_ORDER}(?:[子女婴儿]|儿子|女儿)|{_ORDER}[男女]?婴儿?|毛毛|宝宝|[大小一二双]宝|新生儿|(?<=[\u3400-\u9fff])bb|baby(?:boy|girl)?)"
    rf"(?:双胎)?{_ORDER}$|^(?:baby|bb)(?:boy|girl)?of"
)
_BORN_AS = {character: order for order, marks in enumerate(("", "一大长甲a1", "二次乙b2", "三丙c3")) for character in marks}
# What is typed where a name is asked for: of somebody brought in unknown, of a trial of the system, of a name that is withheld.
NO_NAME = re.compile(
    r"(?:无名|未知|不详|匿名|佚名|三无|测试|演示|患者|病人).*|.*测试.*|无|无姓名|姓名不详|.{1,2}(?:某+|x+)\d*"
    r"|(?:unknown|anonymous|noname|johndoe|janedoe|(?:test|demo)(?:er|user|patient)?)[a-z]?\d*|[\d*?x]*"
)
# HumanName.use, by which a Patient with several is known first; a former one is not compared.
_USES = {use: rank for rank, use in enumerate(("official", "usual", "", "temp", "nickname", "anonymous"))}
INSURANCE_OID, HEALTH_RECORD_OID = "urn:oid:2.16.156.10011.1.15", "urn:oid:2.16.156.10011.1.2"
_OF_A_FACILITY = re.compile(r"urn:hub:([^:]+):([^:]+)")
# The last part of a facility's local system → what kind of number it is, the same whichever facility states it.
COUNTY_KINDS = {
    "insurance": "insurance",
    "mi": "insurance",
    "ss": "insurance",
    "health-record": "health-record",
    "ehr": "health-record",
}
# Papers that are no ID card: passport, permit of Hong Kong, Macao and Taiwan people, permanent resident card of foreigners.
DOCUMENT_OID = "urn:oid:2.16.156.10011.2.3.1.1"  # 证件类别
DOCUMENTS = {(IDENTIFIER_TYPE, "PPN"), (IDENTIFIER_TYPE, "PRC"), *((DOCUMENT_OID, code) for code in ("03", "06", "07"))}
DOCUMENT_KINDS = frozenset({"ppn", "prc", "passport", "travel-permit"})
PASSPORT = "http://hl7.org/fhir/sid/passport-"
ANY = "*"
MOST_OF_ONE = 8  # values of a kind; a Patient with more is a merged heap, of which the first ones are compared


@dataclass(frozen=True, slots=True)
class Facts:
    """What of one Patient is compared."""

    id: str
    name: str = ""  # folded, in characters where it is written so anywhere
    latin: tuple[str, ...] = ()  # how it is read, the usual reading first; of a name without characters, as it is written
    birth_date: str = ""  # as it is stated, where it is a full one
    births: tuple[str, ...] = ()  # full dates: that one, and the one in the own number
    born: str = ""  # what is stated where it is no full date: 1970, 1970-03
    sex: str = ""  # male or female
    numbers: frozenset[str] = frozenset()  # valid ID card numbers, 18 digits, that are the Patient's own
    strange: frozenset[str] = frozenset()  # valid ones that cannot be: of a mother, of whoever holds the family's card
    cards: frozenset[str] = frozenset()  # 居民健康卡
    accounts: frozenset[str] = frozenset()  # insurance numbers: a family may have one for all
    records: frozenset[str] = frozenset()  # 健康档案编号
    documents: frozenset[str] = frozenset()  # passports and the like: nothing in them can be checked
    locals: frozenset[str] = frozenset()  # facility|system|number of those that the Patient's own facility gave
    phones: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    order: int = 0  # of birth, where it is stated
    newborn: bool = False
    active: bool = True
    facility: str = ""


def facts_of(patient: Mapping[str, Any], facility: str = "") -> Facts:
    """`facility`: whose record it is; "" takes what its tag says. ANY: of one who may speak for every facility."""
    facility = facility or _tagged(patient)
    name, latin = _names(patient.get("name") or ())
    born = str(patient.get("birthDate", ""))
    gender = patient.get("gender")
    sex = str(gender) if gender in ("male", "female") else ""
    kinds = _numbers(patient.get("identifier") or (), facility)
    newborn = bool(NEWBORN.search(name)) and not any(str(normalise.birth_date(number)) == born for number in kinds["id"])
    own = frozenset(number for number in kinds["id"] if not newborn and _may_be(number, born, sex))
    return Facts(
        id=str(patient.get("id", "")),
        name=name,
        latin=latin,
        birth_date=born if FULL_DATE.fullmatch(born) else "",
        births=_births(born, own),
        born="" if FULL_DATE.fullmatch(born) else born,
        sex=sex,
        numbers=own,
        strange=kinds["id"] - own,
        cards=kinds["card"],
        accounts=kinds["insurance"],
        records=kinds["health-record"],
        documents=kinds["document"],
        locals=kinds["local"],
        phones=_first(normalise.phone(str(t.get("value", ""))) for t in patient.get("telecom") or () if _calls(t)),
        addresses=_first(normalise.address(_text(each)) for each in patient.get("address") or ()),
        order=_order(patient, name) if newborn else 0,
        newborn=newborn,
        active=patient.get("active", True) is not False,
        facility=facility,
    )


def _tagged(patient: Mapping[str, Any]) -> str:
    tags = (patient.get("meta") or {}).get("tag") or ()
    return next((str(tag.get("code", "")) for tag in tags if tag.get("system") == FACILITY_TAG), "")


def _names(stated: Iterable[Mapping[str, Any]]) -> tuple[str, tuple[str, ...]]:
    """The first name in characters, else the first; and how it is read."""
    folded: list[str] = []
    for human in sorted((each for each in stated if each.get("use", "") in _USES), key=lambda each: _USES[each.get("use", "")]):
        text = human.get("text") or "".join(filter(None, (human.get("family"), *(human.get("given") or ()))))
        if not NO_NAME.fullmatch(one := normalise.name(str(text))):
            folded.append(one)
    if not folded:
        return "", ()
    chosen = next((one for one in folded if has_han(one)), folded[0])
    read = tuple(form for form in pinyin_forms(chosen) if len(form) > len(chosen)) if has_han(chosen) else (chosen,)
    return chosen, read


def _may_be(number: str, born: str, sex: str) -> bool:
    """A birth date stated decides, but for a slip of the pen; without one the sex does."""
    inside = str(normalise.birth_date(number))
    if FULL_DATE.fullmatch(born):
        return birth_level(born, inside) != "different"
    return inside.startswith(born) if born else not sex or sex == normalise.sex(number)


def _births(born: str, own: Iterable[str]) -> tuple[str, ...]:
    stated = [born] if FULL_DATE.fullmatch(born) else []
    return tuple(dict.fromkeys((*stated, *(str(normalise.birth_date(number)) for number in sorted(own)))))


def _numbers(identifiers: Iterable[Mapping[str, Any]], facility: str) -> dict[str, frozenset[str]]:
    found: dict[str, list[str]] = {"id": [], "card": [], "insurance": [], "health-record": [], "document": [], "local": []}
    for each in identifiers:
        system, value = str(each.get("system", "")), str(each.get("value", ""))
        if not value or each.get("use") == "old":
            continue
        if resident := normalise.resident_number(value) if _as_id_card(system) else "":
            found["document"].append(resident)
        elif system == ID_CARD:
            found["id"].append(normalise.id_number(value))
        elif _is_document(each, system):
            found["document"].append(normalise.plain_number(value))
        elif kind := _county_kind(system):
            found[kind].append(normalise.plain_number(value))
        elif facility and (number := _given_by(facility, system, value)):
            found["local"].append(number)
    return {kind: _first(values) for kind, values in found.items()}


def _county_kind(system: str) -> str:
    if system in (HEALTH_CARD, INSURANCE_OID, HEALTH_RECORD_OID):
        return {HEALTH_CARD: "card", INSURANCE_OID: "insurance", HEALTH_RECORD_OID: "health-record"}[system]
    local = _OF_A_FACILITY.fullmatch(system)
    return COUNTY_KINDS.get(local[2], "") if local else ""


def _as_id_card(system: str) -> bool:
    local = _OF_A_FACILITY.fullmatch(system)
    return system == ID_CARD or (local is not None and local[2] == "unchecked-id")


def _is_document(identifier: Mapping[str, Any], system: str) -> bool:
    local = _OF_A_FACILITY.fullmatch(system)
    codings = (identifier.get("type") or {}).get("coding") or ()
    typed = any((coding.get("system"), coding.get("code")) in DOCUMENTS for coding in codings)
    return typed or system.startswith(PASSPORT) or (local is not None and local[2] in DOCUMENT_KINDS)


def _given_by(facility: str, system: str, value: str) -> str:
    """A facility vouches for the numbers that it gives itself; what it says of another's proves nothing."""
    local = _OF_A_FACILITY.fullmatch(system)
    if local is None or local[2] != "patient" or facility not in (ANY, local[1]):
        return ""
    number = normalise.local_number(value)
    return f"{local[1]}|{number}" if number else ""


def _first(values: Iterable[str]) -> frozenset[str]:
    return frozenset(sorted({value for value in values if value})[:MOST_OF_ONE])


def _calls(telecom: Mapping[str, Any]) -> bool:
    return telecom.get("system") in ("phone", "sms") and telecom.get("use") != "old"


def _text(address: Mapping[str, Any]) -> str:
    if address.get("use") == "old":
        return ""
    parts = (*(address.get(part) or "" for part in ("state", "city", "district")), *(address.get("line") or ()))
    return str(address.get("text") or "".join(filter(None, parts)))


def _order(patient: Mapping[str, Any], name: str) -> int:
    """Which of twins: stated, or told by the name: 王芳之长子, 王芳之女2."""
    stated = patient.get("multipleBirthInteger")
    if isinstance(stated, int) and not isinstance(stated, bool):
        return stated
    marks = NEWBORN.search(name)
    orders = {_BORN_AS[character] for character in (marks[0] if marks else "") if character in _BORN_AS}
    return orders.pop() if len(orders) == 1 else 0
