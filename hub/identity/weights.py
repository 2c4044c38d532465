"""How two Patients compare, element by element → bits of evidence that they are one person.

Fellegi and Sunter, A Theory for Record Linkage (1969): each element's agreement has a weight log2(m / u), and the weights add up.
The weights are data: weights.toml, or a county's own file of the same shape.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from hub.errors import Invalid
from hub.identity import normalise
from hub.identity.dates import birth_level
from hub.identity.facts import Facts
from hub.search.folding import SURNAMES, has_han

ELEMENTS: dict[str, tuple[str, ...]] = {
    "name": ("exact", "homophone", "near", "pinyin", "different", "missing"),
    "birth": ("exact", "new-year", "swapped", "digit", "lunar", "year", "part", "different", "missing"),
    "sex": ("exact", "different", "missing"),
    "household": ("phone-and-house", "phone-and-group", "phone", "house", "group", "different", "missing"),
    "number": ("account", "none"),
}
BEST_BIRTH = {level: place for place, level in enumerate(ELEMENTS["birth"])}
RARITY: dict[str, tuple[str, ...]] = {"surname": ("default",), "given": ("one", "two")}
_UNREADABLE = re.compile("[?*□○〓\ufffd\ue000-\uf8ff\U000f0000-\U0010fffd]")  # what a system could not show or type


class Levels(NamedTuple):
    """How each element compares; one of ELEMENTS each."""

    name: str
    birth: str
    sex: str
    household: str
    number: str


class Part(NamedTuple):
    element: str
    level: str
    bits: float


class Weights:
    """Raise Invalid, which says the place, for a table that lacks a weight, has one too many, or no number."""

    def __init__(self, tables: Mapping[str, object], where: str = "weights") -> None:
        self.version = str(tables.get("version", ""))
        self._bits = {name: _table(tables, name, levels, where) for name, levels in ELEMENTS.items()}
        self._rarity = {name: _table(tables, name, needed, where, more=True) for name, needed in RARITY.items()}

    def tables(self) -> dict[str, object]:
        """What it was made from."""
        return {"version": self.version, **self._bits, **self._rarity}

    def parts(self, one: Facts, other: Facts) -> list[Part]:
        """The evidence of every element, for whoever must decide."""
        levels = compared(one, other)
        found = [Part(element, level, self._bits[element][level]) for element, level in zip(ELEMENTS, levels, strict=True)]
        if levels.name == "exact":
            found[0] = Part("name", "exact", found[0].bits + self.rarity(one.name))
        return found

    def bits(self, one: Facts, levels: Levels) -> float:
        total = sum(self._bits[element][level] for element, level in zip(ELEMENTS, levels, strict=True))
        return total + (self.rarity(one.name) if levels.name == "exact" else 0.0)

    def rarity(self, name: str) -> float:
        """Bits that an agreeing name is worth; one in letters may be read from many, and counts as a common one in characters."""
        surnames, givens = self._rarity["surname"], self._rarity["given"]
        if not has_han(name):
            return min(surnames.values()) + givens["one"]
        length = 2 if name[:2] in SURNAMES and len(name) > 2 else 1
        given = name[length:]
        return surnames.get(name[:length], surnames["default"]) + givens.get(given, givens["two" if len(given) > 1 else "one"])


def _table(tables: Mapping[str, object], name: str, needed: tuple[str, ...], where: str, *, more: bool = False) -> dict[str, float]:
    table = tables.get(name)
    if not isinstance(table, Mapping):
        raise Invalid(f"{where}: no table [{name}]")
    for level in needed if more else {*needed, *table}:
        bits = table.get(level)
        if isinstance(bits, bool) or not isinstance(bits, int | float) or level not in (table if more else needed):
            raise Invalid(f"{where}: [{name}] {level}: one number for each of {', '.join(needed)}")
    return {str(level): float(bits) for level, bits in table.items()}


@lru_cache(maxsize=8)
def load_weights(path: str = "") -> Weights:
    """A county's file, or "" for those that come with the hub. Raise Invalid."""
    try:
        text = Path(path).read_text("utf-8") if path else (files("hub.identity") / "weights.toml").read_text("utf-8")
        return Weights(tomllib.loads(text), path or "weights.toml")
    except OSError as error:
        raise Invalid(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path}: {error}") from None


# -- how they compare


def compared(one: Facts, other: Facts) -> Levels:
    return Levels(
        name_level(one, other),
        births_level(one, other),
        ("exact" if one.sex == other.sex else "different") if one.sex and other.sex else "missing",
        _household(one, other),
        "account" if one.accounts & other.accounts else "none",
    )


def name_level(one: Facts, other: Facts) -> str:
    if not one.name or not other.name:
        return "missing"
    if one.name == other.name:
        return "exact"
    in_characters = has_han(one.name) and has_han(other.name)
    alike = readable(one.name + other.name) and set(one.latin) & set(other.latin)
    if alike and not in_characters:
        return "pinyin"
    if alike and len(one.name) == len(other.name):  # 王芳 and 王𠮷芳 read alike where a character has no reading
        return "homophone"
    return "near" if in_characters and _one_differs(one.name, other.name) else "different"


def readable(name: str) -> bool:
    """Whether two equal names are the same: 王? may be two."""
    return _UNREADABLE.search(name) is None


def _one_differs(one: str, other: str) -> bool:
    """One of three or more; any that a system could not show."""
    if len(one) != len(other):
        return False
    differing = [(a, b) for a, b in zip(one, other, strict=True) if a != b]
    unread = sum(not readable(a + b) for a, b in differing)
    return len(differing) - unread <= (1 if len(one) >= 3 else 0) and unread < len(one) - 1


def births_level(one: Facts, other: Facts) -> str:
    """The best of what is known: a stated date, and the one in the own number."""
    levels: Iterator[str] = (birth_level(a, b) for a in one.births for b in other.births)
    if best := min(levels, key=BEST_BIRTH.__getitem__, default=""):
        return best
    for part, whole in ((one.born, (*other.births, other.born)), (other.born, (*one.births, one.born))):
        if part and any(whole):
            return "part" if any(each.startswith(part) or part.startswith(each) for each in whole if each) else "different"
    return "missing"


def _household(one: Facts, other: Facts) -> str:
    phone = bool(one.phones & other.phones)
    shared = one.addresses & other.addresses
    place = "house" if any(normalise.names_house(each) for each in shared) else "group" if shared else ""
    if phone:
        return f"phone-and-{place}" if place else "phone"
    if place:
        return place
    comparable = (one.phones and other.phones) or (one.addresses and other.addresses)
    return "different" if comparable else "missing"
