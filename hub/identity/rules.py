"""Two Patients → one person, a doubt, or two persons, each answer with its reason, so that a link explains itself.

First what is certain: numbers, where name, birth date and sex do not speak against them. Then the evidence of all elements, weighed
(hub.identity.weights), which links only with more than name, birth date and sex, and never against a trap: a mother's number on her
child, one telephone in a house, twins, fillers, a family's insurance account. Two different numbers never link.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from hub.identity.facts import Facts, facts_of
from hub.identity.matching import STANDARD, Matching
from hub.identity.weights import Levels, compared, readable

__all__ = ["REASONS", "TIERS", "Facts", "Verdict", "compare", "facts_of"]

Answer = Literal["link", "doubt", "no"]


class Verdict(NamedTuple):
    answer: Answer
    reason: str  # one of REASONS
    bits: float = 0.0  # what the elements weigh; of a rule as well as of weighing
    apart: bool = False  # something says that they are two, so that no third one makes them one


REASONS = {
    "same-number": "the same valid ID card number, and name, birth date and sex do not speak against it",
    "same-number-other-name": "the same ID card number, but the names differ: a family's card?",
    "same-number-other-birth-date": "the same ID card number, but a stated birth date or sex is not the number's",
    "several-numbers": "one of them carries two ID card numbers",
    "newborn-of-mother": "the ID card number of one is the mother's, under which the other, a newborn, is registered",
    "newborns-of-one-mother": "newborns under one mother's number, born on one day: twins, or one child twice",
    "same-newborn": "the same mother's number, birth date, sex and order of birth",
    "same-health-card": "the same health card, and name, birth date and sex do not speak against it",
    "same-health-card-other-name": "the same health card, but the names or the birth dates differ: a family's card?",
    "same-health-record": "the same health record number, and name, birth date and sex do not speak against it",
    "same-health-record-other-name": "the same health record number, but the names or the birth dates differ",
    "same-document": "the same passport or permit, and name, birth date and sex do not speak against it",
    "same-document-other-name": "the same passport or permit, but the names or the birth dates differ",
    "same-local-number": "the same number of one facility, and name, birth date and sex do not speak against it",
    "same-local-number-other-name": "the same number of one facility, but the names or the birth dates differ",
    "same-insurance": "the same insurance number, name and birth date, and the sex does not speak against it",
    "other-number": "two different valid ID card numbers",
    "weighed": "no number to compare; name, birth date, sex, telephone and address, weighed, are enough",
    "weighed-too-little": "no number to compare; name, birth date, sex, telephone and address, weighed, are not enough",
    "weighed-other-name": "no number to compare; much agrees, but the names are not the same in characters",
    "weighed-other-birth-date": "no number to compare; much agrees, but a digit of the birth date differs or one states none",
    "weighed-other-card": "no ID card number to compare; much agrees, but each has a health card or record number of its own",
    "weighed-other-sex": "no number to compare; much agrees, but the sex does not",
    "weighed-strange-number": "much agrees, but one of them carries an ID card number that cannot be the Patient's own",
    "same-name-birth-sex": "no number to compare; only name, birth date and sex are the same",
    "several-persons": "matches persons who are not one",
    "kept-apart": "matches persons whom a person has set apart from each other",
    "merged-elsewhere": "one facility says that its Patient is replaced by another facility's",
    "nothing": "nothing says that they are one",
}

# Reasons to link, the surest first: what one tier joined stands when the next one is looked at.
TIERS: tuple[frozenset[str], ...] = (
    frozenset({"same-number"}),
    frozenset({"same-health-card", "same-health-record", "same-document", "same-local-number", "same-insurance", "same-newborn"}),
    frozenset({"weighed"}),
)
# Numbers of one person each, and the reasons that they give.
_PERSONAL = (
    ("cards", "same-health-card"),
    ("records", "same-health-record"),
    ("documents", "same-document"),
    ("locals", "same-local-number"),
)
_SAME_DAY = frozenset({"exact", "new-year"})
_ANOTHER_BIRTH = frozenset({"digit", "missing"})  # brothers and cousins of one house may be called the same
_BEYOND = frozenset({"phone-and-house", "phone-and-group", "phone", "house"})  # evidence beside name, birth date and sex


def compare(one: Facts, other: Facts, matching: Matching = STANDARD) -> Verdict:
    levels = compared(one, other)
    verdict = _by_number(one, other, levels) or _by_personal(one, other, levels) or _weighed(one, other, levels, matching)
    bits = matching.weights.bits(one, levels)
    return verdict._replace(
        bits=round(bits, 2), apart=verdict.apart or (verdict.answer != "link" and _contrary(one, other, levels))
    )


def _contrary(one: Facts, other: Facts, levels: Levels) -> bool:
    """No third one makes them one: twins often differ by one character. A newborn's name says nothing, for it will get another."""
    renamed = one.newborn or other.newborn
    return (levels.name in ("near", "different") and not renamed) or levels.birth == "different"


# -- numbers


def _by_number(one: Facts, other: Facts, levels: Levels) -> Verdict | None:
    shared = (one.numbers | one.strange) & (other.numbers | other.strange)
    if one.newborn or other.newborn:
        return _newborns(one, other, levels, shared) if shared else None
    if one.numbers and other.numbers and not one.numbers & other.numbers:
        return Verdict("no", "other-number", apart=True)
    if not shared:
        return None
    if len(one.numbers | other.numbers) > 1:
        return Verdict("doubt", "several-numbers")
    if not shared <= one.numbers & other.numbers:
        return Verdict("doubt", "same-number-other-birth-date")
    agreed = _agree(levels) if one.birth_date and other.birth_date else levels.name == "exact"
    born_alike = bool(one.birth_date) and one.birth_date == other.birth_date and levels.birth == "exact"
    unnamed = levels.name == "missing" and born_alike and levels.sex == "exact"
    return Verdict("link", "same-number") if agreed or unnamed else Verdict("doubt", "same-number-other-name")


def _newborns(one: Facts, other: Facts, levels: Levels, shared: frozenset[str]) -> Verdict:
    """`shared`: the mother's numbers. Whoever is not a newborn and has one for an own number is the mother."""
    if not (one.newborn and other.newborn):
        adult = other if one.newborn else one
        if shared & adult.numbers:
            return Verdict("no", "newborn-of-mother", apart=True)
    if levels.birth not in (*_SAME_DAY, "missing") or levels.sex == "different":
        return Verdict("no", "nothing", apart=True)
    if one.order and other.order and one.order != other.order:
        return Verdict("no", "nothing", apart=True)
    told = levels.birth in _SAME_DAY and levels.sex == "exact" and bool(one.order) and bool(other.order)
    return Verdict("link", "same-newborn") if told else Verdict("doubt", "newborns-of-one-mother")


def _by_personal(one: Facts, other: Facts, levels: Levels) -> Verdict | None:
    if one.newborn or other.newborn:
        return None
    for kind, reason in _PERSONAL:
        if getattr(one, kind) & getattr(other, kind):
            agreed = _agree(levels) and not one.strange and not other.strange
            return Verdict("link", reason) if agreed else Verdict("doubt", f"{reason}-other-name")
    if levels.number == "account" and levels.name == "exact" and levels.birth in _SAME_DAY and levels.sex != "different":
        return Verdict("link", "same-insurance") if not one.strange and not other.strange else None
    return None


def _agree(levels: Levels) -> bool:
    """The same name, and a birth date that a slip explains; or a name that sounds the same, and the same birth date and sex.

    Not a name with another character: twins are called so, and one is brought with the other's card.
    """
    if levels.name == "exact":
        return levels.birth != "different"
    return levels.name in ("homophone", "pinyin") and levels.birth in _SAME_DAY and levels.sex == "exact"


# -- weights


def _weighed(one: Facts, other: Facts, levels: Levels, matching: Matching) -> Verdict:
    newborn = one.newborn or other.newborn
    if newborn and levels.name == "different":
        levels = levels._replace(name="missing")
    bits = matching.weights.bits(one, levels)
    if levels.name == "different" or bits < matching.doubt or not (one.name or other.name):
        return Verdict("no", "nothing")
    for reason, holds in (
        ("newborns-of-one-mother", newborn),
        ("weighed-strange-number", one.strange or other.strange),
        ("weighed-other-sex", levels.sex == "different"),
        ("weighed-other-name", levels.name != "exact" or not readable(one.name)),
        ("weighed-other-birth-date", levels.birth in _ANOTHER_BIRTH),
        ("weighed-other-card", _other_card(one, other)),
        ("same-name-birth-sex", levels.household not in _BEYOND),
        ("weighed-too-little", bits < matching.link),
    ):
        if holds:
            return Verdict("doubt", reason)
    return Verdict("link", "weighed")


def _other_card(one: Facts, other: Facts) -> bool:
    """Both have one, and none in common. A printed card's number and an electronic one's (64 characters) are not compared."""
    return any(
        {len(number) for number in mine} & {len(number) for number in theirs} and not mine & theirs
        for mine, theirs in ((one.cards, other.cards), (one.records, other.records))
    )
