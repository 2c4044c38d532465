"""Numbers of institutions and staff → what is wrong with one, and where in it; "" if nothing is.

GB 32100-2015 (unified social credit code), GB 11714-1997 (organisation code), WS 218-2002 (health institutions). A check character
tells that something is wrong; where two of them overlap, also in which part. Everything else is a pattern: data (identifiers.toml).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache

from profiles.catalogue import load_code_system

USCC = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # no I O S V Z, which look like digits
USCC_LENGTH, USCC_WEIGHTS = 18, tuple(pow(3, place, 31) for place in range(17))
LOOKS_LIKE = {"I": "1", "O": "0", "S": "5", "V": "U", "Z": "2"}
ORGANIZATION = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ORGANIZATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
MOST_MENDED = 3
WS218_LENGTH = 22  # 9 organisation + 6 area + 2 economic type + 4 kind + 1 management


def folded(text: str) -> str:
    """As it is compared and kept: ASCII, upper case, without blanks."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text)).upper()


def uscc_check(first17: str) -> str:
    return USCC[-sum(USCC.index(character) * weight for character, weight in zip(first17, USCC_WEIGHTS, strict=True)) % 31]


def organization_check(first8: str) -> str:
    total = sum(ORGANIZATION.index(character) * weight for character, weight in zip(first8, ORGANIZATION_WEIGHTS, strict=True))
    return "0123456789X0"[11 - total % 11]


def uscc_problem(text: str) -> str:
    if problem := _characters(text, USCC, USCC_LENGTH):
        return problem
    if problem := _area(text, 3):
        return problem
    said = _uscc_checks(text)
    return f"{said}{_mended(text)}" if said else ""


def _uscc_checks(text: str) -> str:
    check, inner = uscc_check(text[:17]), organization_check(text[8:16])
    if text[17] == check and text[16] == inner:
        return ""
    if text[16] != inner and text[17] != check:
        return f"one of characters 9 to 17 is wrong: for {text[8:16]} the 17th would be {inner}, it is {text[16]}"
    if text[17] != check:
        return f"one of characters 1 to 8 is wrong, or the 18th: for the first 17 it would be {check}, it is {text[17]}"
    return f"character 17 does not check characters 9 to 16: for {text[8:16]} it would be {inner}, it is {text[16]}"


def _mended(text: str) -> str:
    """What one slip of a typist would explain it: a swap of neighbours first, else one character, where few would do."""
    swapped = [place for place in range(17) if text[place] != text[place + 1] and _valid(_swap(text, place))]
    if len(swapped) == 1:
        return f"; with characters {swapped[0] + 1} and {swapped[0] + 2} swapped it would be right"
    single = [
        f"character {place + 1} as {character}"
        for place in range(18)
        for character in USCC
        if character != text[place] and _valid(text[:place] + character + text[place + 1 :])
    ]
    return f"; it would be right with {' or '.join(single)}" if 1 <= len(single) <= MOST_MENDED else ""


def _swap(text: str, place: int) -> str:
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


def _valid(text: str) -> bool:
    return not _area(text, 3) and not _uscc_checks(text)


def organization_code_problem(text: str) -> str:
    plain = text.replace("-", "", 1) if text[8:9] == "-" else text
    if problem := _characters(plain, ORGANIZATION, 9):
        return problem
    check = organization_check(plain[:8])
    return "" if plain[8] == check else f"the 9th character checks the first 8 and would be {check}, it is {plain[8]}"


def ws218_problem(text: str) -> str:
    plain = text.replace("-", "", 1) if text[8:9] == "-" else text
    if problem := _characters(plain, ORGANIZATION, WS218_LENGTH):
        return problem
    if problem := organization_code_problem(plain[:9]):
        return f"characters 1 to 9, the organisation code: {problem}"
    return _area(plain, 10)


def _characters(text: str, allowed: str, length: int) -> str:
    for place, character in enumerate(text, 1):
        if character not in allowed:
            hint = f", is it {LOOKS_LIKE[character]}?" if allowed == USCC and character in LOOKS_LIKE else ""
            return f"character {place}, {character}, does not occur in such a code{hint}"
    return "" if len(text) == length else f"it has {len(text)} characters, not {length}"


def _area(text: str, first: int) -> str:
    province = text[first - 1 : first + 1]
    if text[first - 1 : first + 5].isdigit() and (province in _provinces() or province == "10"):  # 10: registered with the state
        return ""
    return f"characters {first} to {first + 5}, {text[first - 1 : first + 5]}, are no area of GB/T 2260"


@cache
def _provinces() -> frozenset[str]:
    return frozenset(load_code_system("province"))


CHECKS: dict[str, Callable[[str], str]] = {
    "": lambda _: "",
    "uscc": uscc_problem,
    "organization-code": organization_code_problem,
    "ws218": ws218_problem,
}
