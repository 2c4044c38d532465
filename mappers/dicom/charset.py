"""Bytes of DICOM text → text: the declared character set, and the evidence of the bytes where the declaration is wrong.

Declared terms: https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.12.html#sect_C.12.1.1.2
Code extension: https://dicom.nema.org/medical/dicom/current/output/chtml/part05/sect_6.1.2.5.html

One decision is made for the whole data set, from all its text at once: a single short name proves little.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Defined term without its "ISO 2022 " or "ISO_IR " → codec. IR 6 is ASCII and stands for "no declaration" as well.
SINGLE_BYTE = {
    "6": "ascii",
    "100": "latin_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "126": "iso8859_7",
    "127": "iso8859_6",
    "138": "iso8859_8",
    "144": "iso8859_5",
    "148": "iso8859_9",
    "203": "iso8859_15",
    "13": "shift_jis",
    "166": "tis_620",
}
WHOLE = {"ISO_IR 192": "utf_8", "GB18030": "gb18030", "GBK": "gb18030", "GB2312": "gb18030", "UTF-8": "utf_8"}

# Escape sequence (after ESC) → which half of the code table it sets, and the codec of what follows
ESCAPES: dict[bytes, tuple[str, str]] = {
    b"(B": ("G0", "ascii"),
    b"(J": ("G0", "shift_jis"),
    b")I": ("G1", "shift_jis"),
    b"$B": ("G0", "iso2022_jp"),
    b"$(D": ("G0", "iso2022_jp_2"),
    b"$)A": ("G1", "gb2312"),
    b"$)C": ("G1", "euc_kr"),
    b"-A": ("G1", "latin_1"),
    b"-B": ("G1", "iso8859_2"),
    b"-C": ("G1", "iso8859_3"),
    b"-D": ("G1", "iso8859_4"),
    b"-F": ("G1", "iso8859_7"),
    b"-G": ("G1", "iso8859_6"),
    b"-H": ("G1", "iso8859_8"),
    b"-L": ("G1", "iso8859_5"),
    b"-M": ("G1", "iso8859_9"),
    b"-T": ("G1", "tis_620"),
    b"-b": ("G1", "iso8859_15"),
}
_PIECES = re.compile(rb"\x1b(\$\([A-Z]|\$\)[A-Z]|\$[A-Z]|[()\-][A-Za-z])")
_HIGH = re.compile(rb"[\x80-\xff]")


@dataclass(frozen=True, slots=True)
class TextDecoder:
    """How the text of one data set is read."""

    codec: str  # a Python codec, or "iso2022" for code extension by escape sequences
    repaired: str = ""  # the character set used where the declared one was wrong, in DICOM's spelling
    lossy: bool = False  # no character set explains the bytes: what cannot be read is shown as \\xNN, never replaced silently
    initial: str = "ascii"  # iso2022: the codec of the upper half before any escape

    def decode(self, value: bytes) -> str:
        text = _decode_extended(value, self.initial) if self.codec == "iso2022" else value.decode(self.codec, "backslashreplace")
        return text.replace("\x00", "")


def decoder_for(declared: Sequence[str], texts: Iterable[bytes], default: str = "") -> TextDecoder:
    """Choose from the values of (0008,0005), all text of the data set and the channel's own default."""
    terms = [_normal(term) for term in declared]
    stated = [term for term in terms if term]
    sample = [text for text in texts if text]
    high = [text for text in sample if _HIGH.search(text)]
    escaped = any(b"\x1b" in text for text in sample)
    if not high and not escaped:
        return TextDecoder("ascii")
    if any(term in WHOLE for term in stated):
        return _whole(WHOLE[next(term for term in stated if term in WHOLE)], high)
    if "IR 58" in stated or escaped:
        return _extended(stated, high, escaped, wrong_term="ISO_IR 58" in [d.strip().upper() for d in declared])
    if not stated or stated[0] == "IR 6" or stated[0].removeprefix("IR ") not in SINGLE_BYTE:
        return _undeclared(high, default, bool(stated))
    return _single_byte(SINGLE_BYTE[stated[0].removeprefix("IR ")], high)


def _normal(term: str) -> str:
    """'ISO 2022 IR 58', 'ISO_IR 58' and 'ISO-IR 58' → 'IR 58'; whole sets keep their name."""
    upper = " ".join(term.upper().replace("_", " ").replace("-", " ").split())
    if upper in ("ISO IR 192", "UTF 8"):
        return "ISO_IR 192"
    match = re.fullmatch(r"ISO (?:2022 )?IR (\d+)", upper)
    return f"IR {match[1]}" if match else upper


def _whole(codec: str, high: list[bytes]) -> TextDecoder:
    """ISO_IR 192, GB18030 and GBK: the whole set without code extension; each is tried for the other.

    Most UTF-8 is valid GB18030 too (头颅 reads as 澶撮), and some GBK is valid UTF-8: that a declaration fits proves nothing.
    """
    other = "gb18030" if codec == "utf_8" else "utf_8"
    if _reads(high, codec) and not (_reads(high, other) and _better(high, other)):
        return TextDecoder(codec)
    if _reads(high, other):
        return TextDecoder(other, repaired=_DICOM_NAME[other])
    return TextDecoder(codec, lossy=True)


def _better(high: list[bytes], other: str) -> bool:
    """Whether bytes that both sets explain speak for the one that is not declared."""
    if other == "utf_8":
        return _han(high, "utf_8")
    return not _han(high, "utf_8") and _mixed("".join(text.decode() for text in high)) and _gbk_han(high)


def _mixed(text: str) -> bool:
    """Letters of several scripts: 头颅平扫 in GBK reads so in UTF-8 (ͷ ƽ ɨ), and no name and no title is written so."""
    names = (unicodedata.name(char, "") for char in text if ord(char) > 0x7F and unicodedata.category(char)[0] in "LM")
    return len({name.partition(" ")[0] for name in names if name != "MICRO SIGN"}) > 1


_DICOM_NAME = {"gb18030": "GB18030", "utf_8": "ISO_IR 192", "gb2312": "ISO 2022 IR 58"}


def _extended(stated: list[str], high: list[bytes], escaped: bool, *, wrong_term: bool) -> TextDecoder:
    """Code extension. Chinese consoles leave the escapes out, or name IR 58 as if it were a set of its own."""
    first = SINGLE_BYTE.get(stated[0].removeprefix("IR "), "ascii") if stated else "ascii"
    if escaped:
        return TextDecoder("iso2022", initial="gb2312" if "IR 58" in stated else first)
    if _reads(high, "gb2312"):
        return TextDecoder("gb2312", repaired="GB18030" if wrong_term else "ISO 2022 IR 58")
    for codec in ("gb18030", "utf_8"):
        if _reads(high, codec):
            return TextDecoder(codec, repaired=_DICOM_NAME[codec])
    return TextDecoder("gb18030", lossy=True)


def _undeclared(high: list[bytes], default: str, declared: bool) -> TextDecoder:
    """No set, or ASCII, or an unknown term: the channel's default, UTF-8 where it is valid, else GB18030."""
    site = WHOLE.get(_normal(default)) or (default and _known_codec(default))
    if site and _reads(high, site):
        return TextDecoder(site, repaired=_DICOM_NAME.get(site, default) if declared else "")
    # 联通 in GBK happens to be valid UTF-8 of other scripts: Chinese characters decide
    if _reads(high, "utf_8") and (_han(high, "utf_8") or not _gbk_han(high)):
        return TextDecoder("utf_8", repaired="ISO_IR 192")
    if _reads(high, "gb18030"):
        return TextDecoder("gb18030", repaired="GB18030")
    return TextDecoder("latin_1", repaired="ISO_IR 100", lossy=True)


def _single_byte(codec: str, high: list[bytes]) -> TextDecoder:
    """A Latin, Greek, Cyrillic … label over bytes that are Chinese."""
    if _reads(high, "utf_8") and _han(high, "utf_8"):
        return TextDecoder("utf_8", repaired="ISO_IR 192")
    if codec != "shift_jis" and _gbk_han(high):
        return TextDecoder("gb18030", repaired="GB18030")
    return TextDecoder(codec, lossy=not _reads(high, codec))


def _known_codec(name: str) -> str:
    try:
        "".encode(name)
    except LookupError:
        return ""
    return name


def _reads(texts: list[bytes], codec: str) -> bool:
    try:
        for text in texts:
            text.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _han(texts: list[bytes], codec: str) -> bool:
    return any("\u4e00" <= char <= "\u9fff" for text in texts for char in text.decode(codec))


def _gbk_han(texts: list[bytes]) -> bool:
    """Every high byte opens a GBK pair that gives a Chinese character or mark, and most pairs have two high bytes.

    An accented Latin letter before an ASCII letter forms a GBK pair too (ül, én), but such pairs have one high byte.
    """
    pairs = both_high = 0
    for text in texts:
        try:
            characters = text.decode("gb18030")
        except UnicodeDecodeError:
            return False
        for char in characters:
            if ord(char) < 0x80:
                continue
            if not ("\u2e80" <= char <= "\u9fff" or "\uff00" <= char <= "\uffef" or char in "·×°—“”‘’…℃Ⅰ" or ord(char) > 0xFFFF):
                return False
            pairs += 1
            both_high += char.encode("gb18030")[1] >= 0xA1
    return pairs > 0 and both_high * 2 > pairs


def _decode_extended(value: bytes, initial: str) -> str:
    """PS3.5 6.1.2.5: escapes set G0 or G1. A delimiter should end an extension; since no sender breaks text by it, G1 stays."""
    parts = _PIECES.split(value)
    text = [_decode_run(parts[0], "ascii", initial)]
    g0, g1 = "ascii", initial
    for escape, run in zip(parts[1::2], parts[2::2], strict=True):
        half, codec = ESCAPES.get(escape, ("", ""))
        if half == "G0":
            g0 = codec
        elif half == "G1":
            g0, g1 = "ascii", codec
        text.append(_decode_run(run, g0, g1))
    return "".join(text)


def _decode_run(run: bytes, g0: str, g1: str) -> str:
    if g0.startswith("iso2022"):
        escape = b"\x1b$B" if g0 == "iso2022_jp" else b"\x1b$(D"
        return (escape + run).decode(g0, "backslashreplace")
    if g0 == "shift_jis" or g1 == "shift_jis":
        return run.decode("shift_jis", "backslashreplace")
    for codec in (g1, "gb18030") if g1 in ("gb2312", "ascii") else (g1,):
        try:
            return run.decode(codec)
        except UnicodeDecodeError:
            continue
    return run.decode(g1, "backslashreplace")
