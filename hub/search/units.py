"""UCUM units → base units, so that 5.4 mmol/L and 5400 umol/L are one quantity.

The atoms are those of the specification's own table, which the package ucumvert carries; the arithmetic is exact. Three choices
beyond the standard, each so that only what a person would call the same compares as the same: an amount of substance is no
count (mol is a base), an arbitrary unit ([iU], [HPF]) and a logarithmic one ([pH], B) is comparable with itself alone.
https://ucum.org/ucum section 2 (grammar), section 4 (tables)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

from hub.search.numbers import UNBOUNDED, bounded

UCUM = "http://unitsofmeasure.org"
LONGEST = 80  # characters of a code; the longest in use have some twenty
DIGITS = 12  # significant, of a result: more than anybody measures, fewer than a product of floats gets right

Dimensions = tuple[tuple[str, int], ...]  # base unit → exponent, by name, none of them 0


@dataclass(frozen=True, slots=True)
class Unit:
    """So many of the base, counted from `offset` of them: Cel is 1 K from 273.15 K."""

    factor: Fraction
    base: Dimensions = ()
    offset: Fraction = Fraction(0)

    def __mul__(self, other: Unit) -> Unit:
        if self.offset or other.offset:
            raise NotUcum  # no product of a temperature that is counted from somewhere
        exponents = dict(self.base)
        for name, exponent in other.base:
            exponents[name] = exponents.get(name, 0) + exponent
        return Unit(self.factor * other.factor, tuple(sorted((name, power) for name, power in exponents.items() if power)))

    def __pow__(self, exponent: int) -> Unit:
        if exponent == 1:
            return self
        if self.offset:
            raise NotUcum
        return Unit(self.factor**exponent, tuple((name, power * exponent) for name, power in self.base if exponent))

    @property
    def code(self) -> str:
        """g.m-3; of a number 1."""
        return ".".join(name if power == 1 else f"{name}{power}" for name, power in self.base) or "1"


class NotUcum(ValueError):
    """The code follows no rule of UCUM."""


@lru_cache(maxsize=8192)
def canonical(value: float, low: float, high: float, code: str) -> tuple[float, float, float, str] | None:
    """The number and its ends in base units, and their code; None if `code` is not UCUM. Equal quantities give equal results."""
    found = _scale(code)
    if found is None:
        return None
    factor, offset, base = found
    return _scaled(value, factor, offset), _scaled(low, factor, offset), _scaled(high, factor, offset), base


def dimension(code: str) -> str:
    """The same for units that convert into one another; the code itself for what is not UCUM."""
    try:
        return f"={parsed(code).code}"
    except NotUcum:
        return code


def converted(value: Decimal, code: str, to: str) -> Decimal | None:
    """The same quantity in another unit, to as many digits as anybody measures; None where UCUM knows no way."""
    try:
        unit, other = parsed(code), parsed(to)
    except NotUcum:
        return None
    if unit.base != other.base:
        return None
    exact = (Fraction(value) * unit.factor + unit.offset - other.offset) / other.factor
    return Context(prec=DIGITS).divide(Decimal(exact.numerator), Decimal(exact.denominator)).normalize()


def _scaled(end: float, factor: float, offset: float) -> float:
    if abs(end) == UNBOUNDED:
        return end
    return bounded(float(f"{end * factor + offset:.{DIGITS}g}"))


@lru_cache(maxsize=4096)
def _scale(code: str) -> tuple[float, float, str] | None:
    try:
        unit = parsed(code)
        return float(unit.factor), float(unit.offset), unit.code
    except (NotUcum, OverflowError):
        return None


# -- the grammar

_WORD = re.compile(r"\{[!-z|~]*\}|[./()]|(?:10[*^]|(?:[A-Za-z_%'\"]|\[[^\]]*\])+)(?:[+-]?\d{1,2}(?!\d))?|\d+")
_SIMPLE = re.compile(r"(10[*^]|.*?[^\d+-])([+-]?\d+)?")


def parsed(code: str) -> Unit:
    """Raise NotUcum."""
    words = _WORD.findall(code)
    if not code or len(code) > LONGEST or "".join(words) != code:
        raise NotUcum
    unit = _term(words)
    if words:
        raise NotUcum
    return unit


def _term(words: list[str]) -> Unit:
    """Takes from the front: components joined by . and /, which bind equally, from left to right; one / may come first."""
    unit = Unit(Fraction(1))
    operator = words.pop(0) if words[:1] == ["/"] else ""
    while True:
        component = _component(words)
        unit = component if not operator and not unit.base else unit * (component**-1 if operator == "/" else component)
        if not words or words[0] not in (".", "/"):
            return unit
        operator = words.pop(0)


def _component(words: list[str]) -> Unit:
    """A unit, a number, a term in parentheses; what stands in braces says what is measured and counts as 1."""
    word = words.pop(0) if words else ""
    if word == "(":
        unit = _term(words)
        if not words or words.pop(0) != ")":
            raise NotUcum
    elif word.isdigit() and int(word):
        unit = Unit(Fraction(int(word)))
    elif word.startswith("{"):
        return Unit(Fraction(1))
    else:
        unit = _powered(word)
    if words and words[0].startswith("{"):
        words.pop(0)
    return unit


def _powered(word: str) -> Unit:
    found = _SIMPLE.fullmatch(word)
    if found is None or word in (".", "/", ")"):
        raise NotUcum
    return _simple(found[1]) ** int(found[2] or 1)


def _simple(symbol: str) -> Unit:
    """An atom, or a metric one with a prefix: cd is the candela, no hundredth of a day."""
    table = atoms()
    if symbol in table:
        return _unit(symbol)
    for length in (2, 1):
        factor, atom = PREFIXES.get(symbol[:length]), symbol[length:]
        if factor is not None and atom in table and table[atom].metric:
            unit = _unit(atom)
            if unit.offset:
                raise NotUcum
            return Unit(unit.factor * factor, unit.base)
    raise NotUcum


PREFIXES = {
    **{
        symbol: Fraction(10) ** exponent
        for exponent, symbol in zip(range(24, -27, -3), ("Y", "Z", "E", "P", "T", "G", "M", "k", "", *"munpfazy"), strict=True)
        if symbol
    },
    **{"h": Fraction(100), "da": Fraction(10), "d": Fraction(1, 10), "c": Fraction(1, 100)},
    **{"Ki": Fraction(2**10), "Mi": Fraction(2**20), "Gi": Fraction(2**30), "Ti": Fraction(2**40)},
}

# -- the atoms

_NAMESPACE = {"u": "http://unitsofmeasure.org/ucum-essence"}
_KELVIN = (("K", 1),)
_TEMPERATURES = {
    "Cel": Unit(Fraction(1), _KELVIN, Fraction("273.15")),
    "[degF]": Unit(Fraction(5, 9), _KELVIN, Fraction("459.67") * Fraction(5, 9)),
    "[degRe]": Unit(Fraction(5, 4), _KELVIN, Fraction("273.15")),
}


@dataclass(frozen=True, slots=True)
class Atom:
    """`value` of `unit`; "" is a base."""

    metric: bool
    value: str = "1"
    unit: str = ""


@cache
def atoms() -> dict[str, Atom]:
    """Read when the first quantity comes: 10 ms. The package is not imported, for only its table is wanted."""
    package = find_spec("ucumvert")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("ucumvert")
    root = ElementTree.parse(Path(package.origin).parent / "vendor" / "ucum-essence.xml").getroot()  # noqa: S314  our own package's
    found = {base.attrib["Code"]: Atom(metric=True) for base in root.iterfind("u:base-unit", _NAMESPACE)}
    for unit in root.iterfind("u:unit", _NAMESPACE):
        found[unit.attrib["Code"]] = _atom(unit)
    return found


def _atom(unit: ElementTree.Element) -> Atom:
    metric = unit.get("isMetric") == "yes"
    stated = unit.find("u:value", _NAMESPACE)
    if stated is None or stated.find("u:function", _NAMESPACE) is not None or unit.get("Code") == "mol":
        return Atom(metric)
    if stated.attrib["Unit"] == "1" and unit.get("class") != "dimless":
        return Atom(metric)  # arbitrary: defined by its procedure
    return Atom(metric, stated.attrib["value"], stated.attrib["Unit"])


@cache
def _unit(symbol: str) -> Unit:
    """Of one of the table's atoms, so the cache is bounded by the table."""
    if symbol in _TEMPERATURES:
        return _TEMPERATURES[symbol]
    atom = atoms()[symbol]
    if not atom.unit:
        return Unit(Fraction(1), ((symbol, 1),))
    return Unit(Fraction(atom.value)) * (Unit(Fraction(1)) if atom.unit == "1" else parsed(atom.unit))
