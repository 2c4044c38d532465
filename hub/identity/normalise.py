"""Values as systems type them → the form in which two of them are compared; "" for what tells nobody from anybody.

Names: width and space. Identity numbers: GB 11643, fifteen digits become eighteen. Telephones: digits. Addresses: from the village
or street on, for what stands before it is left out as often as not.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from functools import lru_cache

from mappers.datatypes import id_birth_date, id_check, valid_id_number

__all__ = [
    "address",
    "birth_date",
    "id_check",
    "id_number",
    "local_number",
    "name",
    "names_group",
    "names_house",
    "phone",
    "plain_number",
    "resident_number",
    "sex",
]

# Space, dots between the parts of a name, brackets, and what cannot be seen
_NAME_SIGNS = re.compile(r"[\s·•・.．‧∙⋅●'’‘`^,，()\[\]【】\-‐‑–\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]+")
_NUMBER_SIGNS = re.compile(r"[\s\-—_/.]+")
_ADDRESS_SIGNS = re.compile(r"[\s,.;:、，。；：()（）_/]+")
_DASHES = re.compile(r"[—–―－~#]|之(?=\d)")
_ABOVE = re.compile(r"^.{0,12}?(?:自治[区州县旗]|[省市县区旗])(?=.{4,})")  # 浙江省丽水市示范县…
_TOWN = re.compile(r"^[^\d]{1,6}?(?:街道办事处|街道|办事处|镇|乡)(?=.*(?:[村路街巷弄社屯寨湾组]|小区).*\d)")
_COUNTED = re.compile(r"[零〇一二三四五六七八九十百]+(?=[号组社队室栋幢座楼弄巷户单])")
_HOUSE = re.compile(r"\d+(?:号|室|户|栋|幢|座|单元)|\d-\d|\d$")
_GROUP = re.compile(r"\d+(?:组|社|队|小组|村民小组)")
_DIGITS = {character: value for value, character in enumerate("零一二三四五六七八九")} | {"〇": 0}
SHORTEST_ADDRESS = 5  # 柳树村3组: shorter is no place that two people share by being one
# Typed where a telephone is asked for and none is known.
FILLER_PHONES = frozenset({"13800138000", "13888888888", "13000000000", "12345678", "123456789", "1234567890", "12345678900"})


@lru_cache(maxsize=16_384)
def name(text: str) -> str:
    return _NAME_SIGNS.sub("", unicodedata.normalize("NFKC", text)).casefold()


@lru_cache(maxsize=16_384)
def id_number(text: str) -> str:
    """The 18-digit number, "" if it is none: wrong shape, area, check digit or date. An old number of fifteen digits is of 19xx.

    Also "" of fillers that hold: 111111111111111, and 1 January 1900, of which nobody lives.
    """
    number = valid_id_number(text) or ""
    return "" if len(set(number[:6] + number[8:17])) == 1 or number[6:14] == "19000101" else number


@lru_cache(maxsize=16_384)
def resident_number(text: str) -> str:
    """A foreigner's permanent resident number of 2023: 9, built and checked as an ID card number otherwise; "" if it is none."""
    number = unicodedata.normalize("NFKC", text).strip().upper()
    as_card = f"11{number[2:17]}"
    shaped = re.fullmatch(r"9\d{16}[\dX]", number, re.ASCII) is not None
    return number if shaped and id_check(number[:17]) == number[17] and valid_id_number(as_card + id_check(as_card)) else ""


def birth_date(number: str) -> date:
    """Of a valid number."""
    return date.fromisoformat(id_birth_date(number))


def sex(number: str) -> str:
    return "male" if int(number[16]) % 2 else "female"


@lru_cache(maxsize=16_384)
def plain_number(text: str) -> str:
    """A card's, a passport's or an insurer's number; "" for what is too short, a word or a filler: 000000, 123456."""
    digits = _NUMBER_SIGNS.sub("", unicodedata.normalize("NFKC", text)).casefold()
    worded = sum(character.isdigit() for character in digits) < 4  # 城乡居民医保
    return "" if len(digits) < 5 or worded or len(set(digits)) < 3 or digits in "01234567890123456789" else digits


def local_number(text: str) -> str:
    """A facility's own number, of any shape; "" for a filler: 0, 000000, 无, 9999."""
    number = unicodedata.normalize("NFKC", text).strip().casefold()
    one_sign = len(number) > 3 and len(set(number)) == 1
    return number if re.search(r"[1-9a-z]", number, re.ASCII) and not one_sign else ""


@lru_cache(maxsize=16_384)
def phone(text: str) -> str:
    """The digits of a number that reaches one household; "" for what is too short or a filler."""
    digits = re.sub(r"\D", "", unicodedata.normalize("NFKC", text))
    digits = digits.removeprefix("0086") if digits.startswith("0086") else digits
    digits = digits[2:] if len(digits) == 13 and digits.startswith("861") else digits
    if not 7 <= len(digits) <= 12 or len(set(digits)) <= 2 or digits in FILLER_PHONES:
        return ""
    return digits


@lru_cache(maxsize=16_384)
def address(text: str) -> str:
    """ "" for what names no house and no village group."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    folded = _ADDRESS_SIGNS.sub("", _DASHES.sub("-", folded))
    folded = _COUNTED.sub(lambda found: str(_counted(found[0])), folded)
    while (shorter := _ABOVE.sub("", folded)) != folded:
        folded = shorter
    folded = _TOWN.sub("", folded)
    return folded if len(folded) >= SHORTEST_ADDRESS and (_HOUSE.search(folded) or _GROUP.search(folded)) else ""


def names_house(folded: str) -> bool:
    return _HOUSE.search(folded) is not None


def names_group(folded: str) -> bool:
    return _GROUP.search(folded) is not None


def _counted(text: str) -> int:
    """十二 → 12, 一百零三 → 103, 一二 → 12."""
    if not set(text) & {"十", "百"}:
        return int("".join(str(_DIGITS[character]) for character in text))
    total, digit = 0, 0
    for character in text:
        if character in "十百":
            total += (digit or 1) * (10 if character == "十" else 100)
            digit = 0
        else:
            digit = _DIGITS[character]
    return total + digit
