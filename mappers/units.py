"""A unit as sources write it → UCUM, by the table profiles/cn/units.toml. What the table lacks stays text: nothing is guessed.

https://ucum.org/ucum. Whether two units measure the same is told by hub.search.units alone.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from profiles.catalogue import SHIPPED

EXACT = "exact"  # the part of the table whose capitals count
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_DOTS = str.maketrans("·•⋅∙・", "*****")
_MICRO = re.compile(r"[μµΜ]")  # the capital Greek letter, too: what capitals make of μmol/L
# ×10⁹/L, 10^9/L, 10E9/L, 10E+9/L, 1×10~9/L, 10(9)/L, 10^9个/L, and \S\9: what an escape of HL7 v2 leaves of a ^
_POWER = re.compile(r"^(?:1?[xX×*✕])?10(?:\^|\*\*?|~|'|&|[eE]\+?|ˆ|\\S\\)?\(?(\d{1,2})\)?个?(?=$|/|[A-Z])")
# NFKC would make "°C" of ℃, which is one of the spellings
_KEPT = frozenset("℃℉")


def ucum_of(text: str) -> str | None:
    """ "×10⁹/L" → 10*9/L; None for what is not in the table. Capitals count where they tell units apart: G/L is no g/L."""
    folded = folded_unit(text)
    exact, others = _tables()
    if len(folded) == 1 and folded.isupper() and folded != "L":
        return exact.get(folded)  # M is not metre
    return exact.get(folded) or others.get(folded.casefold())


def folded_unit(text: str) -> str:
    """One spelling of the micro sign, of powers of ten, of dots and of widths, without blanks."""
    folded = re.sub(r"\s+", "", text.translate(_SUPERSCRIPT)).translate(_DOTS)
    if _KEPT.isdisjoint(folded):
        folded = unicodedata.normalize("NFKC", folded)
    return _POWER.sub(r"10*\1", _MICRO.sub("u", folded)).removesuffix(".")


@cache
def spellings() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Part of the table → UCUM code → spellings."""
    stated = tomllib.loads((SHIPPED / "units.toml").read_text("utf-8"))
    return MappingProxyType({part: {code: tuple(each) for code, each in codes.items()} for part, codes in stated.items()})


@cache
def _tables() -> tuple[Mapping[str, str], Mapping[str, str]]:
    exact, others = {}, {}
    for part, codes in spellings().items():
        for code, written in codes.items():
            for spelling in (code, *written):
                if part == EXACT:
                    exact[folded_unit(spelling)] = code
                else:
                    others[folded_unit(spelling).casefold()] = code
    return MappingProxyType(exact), MappingProxyType(others)
