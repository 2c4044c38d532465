"""Two Patients → one person, a doubt, or two persons. First rules, each with its name, so that a link explains itself.

Traps they are made for (a mother's number on her child, one telephone in a house, twins, fillers): sharing a family's card,
telephone or address alone never links, and two different numbers never do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, NamedTuple

from hub.identity import normalise
from profiles.names import ID_CARD

Answer = Literal["link", "doubt", "no"]
FULL_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
# A newborn is registered as 王芳之女 or 王芳毛毛, often under the mother's number.
NEWBORN = re.compile(r"(之[子女婴]|婴儿?|毛毛|宝宝|[大小一二双]宝|新生儿)[一二三四甲乙丙a-c1-4]?$")
UNKNOWN_NAMES = frozenset({"", "无名氏", "不详", "未知", "匿名", "unknown", "患者", "病人", "测试"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What of one Patient is compared."""

    id: str
    name: str = ""
    birth_date: str = ""  # only a full one
    sex: str = ""  # male or female
    numbers: frozenset[str] = frozenset()  # valid ones, 18 digits
    phones: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    active: bool = True

    @property
    def newborn(self) -> bool:
        return bool(NEWBORN.search(self.name))


class Verdict(NamedTuple):
    answer: Answer
    reason: str  # one of REASONS


REASONS = {
    "same-number": "the same valid ID card number, and name, birth date and sex do not speak against it",
    "same-number-other-name": "the same ID card number, but the names differ: a family's card?",
    "same-number-other-birth-date": "the same ID card number, but a stated birth date is not the number's",
    "same-number-newborn": "the same ID card number, but one is registered as a newborn: the mother's card?",
    "other-number": "two different valid ID card numbers",
    "same-name-birth-sex-phone": "no number to compare; name, birth date, sex and telephone are the same",
    "same-name-birth-sex-address": "no number to compare; name, birth date, sex and address are the same",
    "same-name-birth-sex": "no number to compare; only name, birth date and sex are the same",
    "several-persons": "matches persons with different ID card numbers",
    "nothing": "nothing says that they are one",
}


def facts_of(patient: Mapping[str, Any]) -> Facts:
    born = str(patient.get("birthDate", ""))
    sex = str(patient.get("gender", ""))
    return Facts(
        id=str(patient["id"]),
        name=_name(patient.get("name") or ()),
        birth_date=born if _full_date(born) else "",
        sex=sex if sex in ("male", "female") else "",
        numbers=frozenset(_numbers(patient.get("identifier") or ())),
        phones=frozenset(_phones(patient.get("telecom") or ())),
        addresses=frozenset(_addresses(patient.get("address") or ())),
        active=patient.get("active", True) is not False,
    )


def _full_date(text: str) -> bool:
    try:
        return bool(FULL_DATE.fullmatch(text) and date.fromisoformat(text))
    except ValueError:
        return False


def compare(one: Facts, other: Facts) -> Verdict:
    if one.numbers and other.numbers:
        return _by_number(one, other) if one.numbers & other.numbers else Verdict("no", "other-number")
    if not one.name or one.name != other.name or not one.birth_date or one.birth_date != other.birth_date:
        return Verdict("no", "nothing")
    if not one.sex or one.sex != other.sex or one.newborn or other.newborn:
        return Verdict("no", "nothing")
    if _number_contradicted(one) or _number_contradicted(other):
        return Verdict("doubt", "same-name-birth-sex")
    if one.phones & other.phones:
        return Verdict("link", "same-name-birth-sex-phone")
    if one.addresses & other.addresses:
        return Verdict("link", "same-name-birth-sex-address")
    return Verdict("doubt", "same-name-birth-sex")


def _by_number(one: Facts, other: Facts) -> Verdict:
    if len(one.numbers | other.numbers) > 1:
        return Verdict("doubt", "several-persons")  # one of them carries two numbers
    if one.newborn or other.newborn:
        return Verdict("doubt", "same-number-newborn")
    if _number_contradicted(one) or _number_contradicted(other):
        return Verdict("doubt", "same-number-other-birth-date")
    if _names_agree(one, other):
        return Verdict("link", "same-number")
    return Verdict("doubt", "same-number-other-name")


def _number_contradicted(facts: Facts) -> bool:
    """The stated birth date is not the one in the number: whose card was it?"""
    return bool(facts.birth_date) and any(str(normalise.birth_date(number)) != facts.birth_date for number in facts.numbers)


def _names_agree(one: Facts, other: Facts) -> bool:
    """Equal; or missing, or one character of three or more mistyped, while birth date and sex are stated and the same."""
    if one.name and one.name == other.name:
        return True
    if not (one.birth_date and one.birth_date == other.birth_date and one.sex and one.sex == other.sex):
        return False
    if not one.name or not other.name:
        return True
    return len(one.name) == len(other.name) >= 3 and sum(a != b for a, b in zip(one.name, other.name, strict=True)) == 1


def _name(names: Any) -> str:
    for human in names:
        text = human.get("text") or "".join(filter(None, (human.get("family"), *human.get("given", ()))))
        folded = normalise.name(text)
        if folded and folded not in UNKNOWN_NAMES:
            return folded
    return ""


def _numbers(identifiers: Any) -> list[str]:
    values = (str(i.get("value", "")) for i in identifiers if i.get("system") == ID_CARD and i.get("use") != "old")
    return [number for value in values if (number := normalise.id_number(value))]


def _phones(telecom: Any) -> list[str]:
    values = (str(t.get("value", "")) for t in telecom if t.get("system") in ("phone", "sms"))
    return [digits for value in values if (digits := normalise.phone(value))]


def _addresses(addresses: Any) -> list[str]:
    texts = (
        a.get("text") or "".join((*(a.get(p, "") for p in ("state", "city", "district")), *a.get("line", ()))) for a in addresses
    )
    return [folded for text in texts if (folded := normalise.address(text))]
