"""Values as systems type them → the form in which two of them are compared.

Names: width and space. Identity numbers: GB 11643, fifteen digits become eighteen. Telephones: digits. Addresses: signs and widths.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from functools import lru_cache

ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643-1999
ID_CHECKS = "10X98765432"
_EIGHTEEN = re.compile(r"\d{17}[\dX]")
_FIFTEEN = re.compile(r"\d{15}")
_ADDRESS_SIGNS = re.compile(r"[\s,.;:、，。；：()（）#\-—_/]+")
_NAME_SIGNS = re.compile(r"[\s·•・.．]+")
SHORTEST_ADDRESS = 8  # 示范县城关镇: a town is no address that two people share by chance alone


@lru_cache(maxsize=4096)
def name(text: str) -> str:
    return _NAME_SIGNS.sub("", unicodedata.normalize("NFKC", text)).casefold()


def id_check(first17: str) -> str:
    """GB 11643: ISO 7064 MOD 11-2."""
    return ID_CHECKS[sum(int(digit) * weight for digit, weight in zip(first17, ID_WEIGHTS, strict=True)) % 11]


@lru_cache(maxsize=4096)
def id_number(text: str) -> str:
    """The 18-digit number, "" if it is none: wrong shape, check digit or date. An old number of fifteen digits is of 19xx."""
    digits = unicodedata.normalize("NFKC", text).strip().upper()
    if _FIFTEEN.fullmatch(digits):
        first17 = f"{digits[:6]}19{digits[6:]}"
        digits = first17 + id_check(first17)
    if not _EIGHTEEN.fullmatch(digits) or digits[17] != id_check(digits[:17]) or birth_date(digits) is None:
        return ""
    return "" if len(set(digits[:17])) == 1 else digits


def birth_date(number: str) -> date | None:
    try:
        return date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return None


def sex(number: str) -> str:
    return "male" if int(number[16]) % 2 else "female"


@lru_cache(maxsize=4096)
def phone(text: str) -> str:
    """The digits of a number that reaches one household; "" for what is too short or a filler."""
    digits = re.sub(r"\D", "", unicodedata.normalize("NFKC", text))
    digits = digits.removeprefix("0086") if digits.startswith("0086") else digits
    digits = digits[2:] if len(digits) == 13 and digits.startswith("861") else digits
    return digits if 7 <= len(digits) <= 12 and len(set(digits)) > 2 else ""


@lru_cache(maxsize=4096)
def address(text: str) -> str:
    """ "" for what is too short to name a household."""
    folded = _ADDRESS_SIGNS.sub("", unicodedata.normalize("NFKC", text)).casefold()
    return folded if len(folded) >= SHORTEST_ADDRESS and any(c.isdigit() for c in folded) else ""
