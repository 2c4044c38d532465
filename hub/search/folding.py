"""Text → the form in which it is compared, and Chinese names → pinyin.

Case, accents, full and half width and runs of white space make no difference to a search; Chinese characters stay as they are.
https://hl7.org/fhir/R4/search.html#string
"""

from __future__ import annotations

import os
import re
import unicodedata
from functools import cache, lru_cache
from itertools import islice, product

# Accents only: the marks of Japanese, Indic and other scripts are letters and stay.
_ACCENTS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
# Letters with a stroke, which Unicode does not decompose.
_STROKED = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th"})
_CACHED_LENGTH = 64  # names, cities and codes come again and again; narrative does not


def fold(text: str) -> str:
    """'  Müller－LÜDENSCHEIDT ' → 'muller-ludenscheidt'; folding twice changes nothing."""
    if text.isascii():
        return " ".join(text.lower().split())
    return _fold_short(text) if len(text) <= _CACHED_LENGTH else _fold(text)


def fold_code(code: str) -> str:
    """Case only: a code is otherwise compared as it stands. R4 asks for no case where a code system's rule is unknown."""
    return code.lower() if code.isascii() else code.casefold()


def _fold(text: str) -> str:
    before = None
    while text != before:  # case folding can bring back what normalising took away, in a few rare letters
        before = text
        bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", text).casefold()).translate(_STROKED)
        text = unicodedata.normalize("NFKC", bare)
    return " ".join(text.split())


_fold_short = lru_cache(maxsize=16_384)(_fold)


# -- pinyin

_HAN = r"\u3007\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U000323af"
_HAS_HAN = re.compile(f"[{_HAN}]")
_PARTS = re.compile(f"[{_HAN}]|[a-z0-9]+")
_TONES = str.maketrans("üāáǎàēéěèīíǐìōóǒòūúǔùǖǘǚǜńňǹḿê", "vaaaaeeeeiiiioooouuuuvvvvnnnme")
MAX_READINGS = 8
MAX_NAME = 40  # characters; what is longer is no person's name


def has_han(text: str) -> bool:
    return not text.isascii() and _HAS_HAN.search(text) is not None


# Characters read differently as a surname; where families differ, each reading, the commoner first.
SURNAMES: dict[str, tuple[str, ...]] = {
    "曾": ("zeng",), "仇": ("qiu",), "查": ("zha",), "解": ("xie",), "单": ("shan",), "区": ("ou",), "朴": ("piao",),
    "單": ("shan",), "區": ("ou",), "蓋": ("ge", "gai"), "樂": ("yue", "le"), "繆": ("miao",), "種": ("chong",),
    "盖": ("ge", "gai"), "卜": ("bu",), "翟": ("zhai", "di"), "覃": ("qin", "tan"), "缪": ("miao",), "隗": ("wei", "kui"),
    "召": ("shao",), "乐": ("yue", "le"), "柏": ("bai", "bo"), "种": ("chong",), "折": ("she",), "黑": ("he", "hei"),
    "繁": ("po",), "员": ("yun",), "贠": ("yun",), "牟": ("mou", "mu"), "祭": ("zhai",), "郗": ("xi", "chi"),
    "郇": ("xun", "huan"), "洗": ("xian",), "宓": ("mi", "fu"), "秘": ("bi",), "薄": ("bo",), "么": ("yao",), "能": ("nai",),
    "尉": ("wei", "yu"), "佴": ("nai",), "都": ("du",), "藏": ("zang",), "谌": ("chen", "shen"), "句": ("gou",),
    "乜": ("nie",), "莘": ("shen", "xin"), "角": ("jue",), "费": ("fei", "bi"), "郄": ("qie", "xi"), "阚": ("kan",),
    "适": ("kuo", "shi"), "圈": ("juan",), "重": ("chong",), "长": ("chang",), "万俟": ("moqi",), "尉迟": ("yuchi",),
    "单于": ("chanyu",), "长孙": ("zhangsun",), "宰父": ("zaifu",), "澹台": ("tantai",), "皇甫": ("huangfu",),
    "鲜于": ("xianyu",), "令狐": ("linghu",), "拓跋": ("tuoba",), "拓拔": ("tuoba",), "乐正": ("yuezheng",),
    "夹谷": ("jiagu",), "谷梁": ("guliang",), "亓官": ("qiguan",), "呼延": ("huyan",), "濮阳": ("puyang",),
    "淳于": ("chunyu",), "赫连": ("helian",), "轩辕": ("xuanyuan",), "申屠": ("shentu",), "钟离": ("zhongli",),
    "宇文": ("yuwen",), "慕容": ("murong",), "司徒": ("situ",), "夏侯": ("xiahou",), "诸葛": ("zhuge",), "欧阳": ("ouyang",),
    "上官": ("shangguan",), "司马": ("sima",), "公孙": ("gongsun",), "端木": ("duanmu",), "独孤": ("dugu",),
    "南宫": ("nangong",), "百里": ("baili",), "闾丘": ("lvqiu",), "仆固": ("pugu",), "哥舒": ("geshu",), "可频": ("kepin",),
    "吐谷浑": ("tuyuhun",),
}  # fmt: skip

# Characters that given names read in more than one way, or not by their first reading in the dictionary.
GIVEN: dict[str, tuple[str, ...]] = {
    "乐": ("le", "yue"), "行": ("xing", "hang"), "重": ("chong", "zhong"), "长": ("chang", "zhang"), "朝": ("chao", "zhao"),
    "晟": ("sheng", "cheng"), "茜": ("qian", "xi"), "柏": ("bai", "bo"), "曾": ("zeng", "ceng"), "解": ("jie", "xie"),
    "查": ("cha", "zha"), "单": ("dan", "shan"), "卜": ("bu",), "莘": ("xin", "shen"), "藏": ("zang", "cang"),
    "参": ("shen", "can"), "禅": ("chan", "shan"), "蔓": ("man", "wan"), "芎": ("xiong",), "鹄": ("hu", "gu"),
    "弹": ("tan", "dan"), "嬛": ("huan", "xuan"), "瑱": ("tian", "zhen"), "覃": ("tan", "qin"), "都": ("du", "dou"),
    "伽": ("jia", "qie"), "隽": ("jun", "juan"),
}  # fmt: skip


@lru_cache(maxsize=16_384)
def pinyin_forms(name: str) -> tuple[str, ...]:
    """'曾小乐' → zengxiaole, zengxiaoyue, and the initials zxl, zxy. A name without Chinese characters has none.

    ü is v, as it is typed; also yu, as passports write it (lv, lyu). A · or a space within a name makes no difference.
    """
    folded = fold(name)
    if len(folded) > MAX_NAME or not _HAS_HAN.search(folded):
        return ()
    syllables = _syllables(_PARTS.findall(folded))
    readings = list(islice(product(*syllables), MAX_READINGS))
    full = ["".join(part for word in reading for part in word) for reading in readings]
    initials = ["".join(part[0] for word in reading for part in word) for reading in readings]
    passport = [_passport(form) for form in full]
    return tuple(dict.fromkeys(form for form in (*full, *passport, *initials) if form))


class _Syllables(dict[int, str]):
    """For str.translate: a character's commonest reading, or its first letter; letters and digits stay, the rest goes."""

    def __init__(self, length: int | None) -> None:
        self._length = length

    def __missing__(self, character: int) -> str:
        letter = chr(character)
        readings = _readings(letter) if has_han(letter) else (letter,) if letter.isalnum() else ()
        self[character] = readings[0][: self._length] if readings else ""
        return self[character]


_FULL, _INITIALS = _Syllables(None), _Syllables(1)


def reading_of(term: str) -> tuple[str, ...]:
    """'急性阑尾炎' → jixinglanweiyan, jxlwy: any Chinese term, folded, each character by its commonest reading; () for others."""
    return (term.translate(_FULL), term.translate(_INITIALS)) if has_han(term) else ()


def _passport(form: str) -> str:
    return re.sub(r"([ln])v(?!e)", r"\1yu", form).replace("lve", "lue").replace("nve", "nue")


Word = tuple[str, ...]  # the syllables of one reading: ("wei", "chi")


def _syllables(parts: list[str]) -> list[tuple[Word, ...]]:
    """For each character its readings; the surname comes first, of up to three characters."""
    found: list[tuple[Word, ...]] = []
    for length in (3, 2, 1):
        surname = "".join(parts[:length])
        if len(parts) >= length and len(surname) == length and surname in SURNAMES and (len(parts) > length or length > 1):
            found.append(tuple(_split(reading, length) for reading in SURNAMES[surname]))
            parts = parts[length:]
            break
    rest = (tuple((reading,) for reading in _readings(part)) for part in parts)
    return found + [readings for readings in rest if readings]  # a character without a known reading is passed over


def _split(reading: str, length: int) -> Word:
    """yuchi → yu, chi: a syllable starts at the last consonant group before a vowel."""
    if length == 1:
        return (reading,)
    return tuple(
        re.findall(r"(?:zh|ch|sh|[bpmfdtnlgkhjqxrzcsyw])?[aeiouv]+(?:ng(?![aeiouv])|n(?![aeiouv])|r(?![aeiouv]))?", reading)
    )


def _readings(part: str) -> tuple[str, ...]:
    if part.isascii():
        return (part,)
    if part in GIVEN:
        return GIVEN[part]
    first = _dictionary().get(ord(part), "").partition(",")[0]
    return (first.translate(_TONES),) if first else ()


@cache
def _dictionary() -> dict[int, str]:
    """Readings with tones, the commonest first. Loaded when the first Chinese name comes: it takes 0.1 s and 15 MB.

    Its phrases take five times as much and are about words, not names.
    """
    os.environ.setdefault("PYPINYIN_NO_PHRASES", "true")
    from pypinyin.pinyin_dict import pinyin_dict

    return pinyin_dict
