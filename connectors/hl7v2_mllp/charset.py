"""Bytes of a message → text, by declaration *and* evidence; nothing is ever replaced.

MSH-18 (HL7 table 0211), then the channel's setting, then UTF-8 if valid, then GB18030. Field cases: MSH-18 empty, ASCII or
UNICODE over GBK bytes, 8859/1 over UTF-8 bytes.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from connectors.charset import behind_mark, fitting

# HL7 table 0211 and what sources write instead → Python codec. "" = the name says nothing about bytes.
CODECS = {
    "": "",
    "ASCII": "ascii",
    "US-ASCII": "ascii",
    "8859/1": "iso8859-1",
    "ISO-8859-1": "iso8859-1",
    "8859/2": "iso8859-2",
    "8859/5": "iso8859-5",
    "8859/7": "iso8859-7",
    "8859/9": "iso8859-9",
    "8859/15": "iso8859-15",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "UNICODE": "utf-8",
    "UNICODE UTF-16": "utf-16",
    "GB 18030-2000": "gb18030",
    "GB18030-2000": "gb18030",
    "GB18030": "gb18030",
    "GB 18030": "gb18030",
    "GBK": "gb18030",
    "GB2312": "gb18030",
    "GB 2312": "gb18030",
    "GB2312-80": "gb18030",
    "CP936": "gb18030",
    "BIG-5": "big5hkscs",
    "BIG5": "big5hkscs",
    "ISO-2022-JP": "iso2022_jp",
    "ISO IR87": "iso2022_jp",
    "ISOIR87": "iso2022_jp",
    "ISO IR58": "iso2022_jp_2",
}

_HIGH = re.compile(rb"[\x80-\xff]")
_NON_ASCII = re.compile("[^\x00-\x7f]")
_CJK = re.compile("[⺀-鿿豈-﫿！-￯\U00020000-\U0003ffff]")
_HANZI_PAIR = re.compile(rb"[\xa1-\xf7][\xa1-\xfe]")
_GBK_PAIR = re.compile(rb"[\x81-\xfe][\x40-\xfe]")


class Undecodable(ValueError):
    """No character set fits strictly. The message names sets, never content."""


@dataclass(frozen=True, slots=True)
class Decoded:
    text: str
    charset: str  # the codec used
    declared: str  # MSH-18 as written
    repaired: bool  # the declaration was wrong


def codec_of(name: str) -> str | None:
    """Codec for a name in MSH-18 or in a channel's settings. None: a name we do not know."""
    key = name.strip().upper()
    if key in CODECS:
        return CODECS[key]
    try:
        return codecs.lookup(key.replace(" ", "-")).name
    except LookupError:
        return None


def _strict(content: bytes, codec: str) -> str | None:
    found = fitting(content, (codec,))
    return found[0] if found else None


def _mostly_hanzi(content: bytes) -> bool:
    """Whether the high bytes read as GB 2312 pairs for the most part: Latin-1 text, too, is often valid GB18030."""
    pairs = _GBK_PAIR.findall(content)
    return bool(pairs) and 2 * len(_HANZI_PAIR.findall(content)) >= len(pairs)


def decode(content: bytes, declared: str, channel: str = "") -> Decoded:
    """Raise Undecodable when no character set fits strictly."""
    if (marked := behind_mark(content)) is not None:
        content, codec = marked
        text = _strict(content, codec)
        if text is None:
            raise Undecodable(f"not {codec} although its byte order mark says so")
        wrong = bool(declared) and codec_of(declared) not in {codec, "utf-16"}
        return Decoded(text, codec, declared, wrong and _NON_ASCII.search(text) is not None)
    stated = codec_of(declared)
    if content.isascii():
        return _seven_bit(content, declared, stated or "")
    found = _evident(content, stated or "", codec_of(channel) or "")
    if found is None:
        raise Undecodable(f"not decodable: declared {declared[:32]!r}, neither UTF-8 nor GB18030 fits")
    used, text = found
    return Decoded(text, used, declared, bool(declared.strip()) and used != stated)


def _seven_bit(content: bytes, declared: str, stated: str) -> Decoded:
    if b"\x1b" in content and stated.startswith("iso2022"):
        text = _strict(content, stated)
        if text is not None:
            return Decoded(text, stated, declared, False)
    return Decoded(content.decode("ascii"), "ascii", declared, False)


def _evident(content: bytes, stated: str, channel: str) -> tuple[str, str] | None:
    """The codec that declaration, channel and content agree on best, and the text; None when none fits."""
    utf8 = _strict(content, "utf-8")
    gb_named = "gb18030" in {stated, channel if stated in {"", "ascii"} else ""}
    if utf8 is not None:
        if gb_named and not _CJK.search(utf8) and _mostly_hanzi(content) and (text := _strict(content, "gb18030")) is not None:
            return "gb18030", text  # a few hanzi whose bytes happen to be two-byte UTF-8
        return "utf-8", utf8
    if stated not in {"", "ascii", "utf-8"} and (text := _strict(content, stated)) is not None:
        single_byte = stated.startswith("iso8859")
        if not (single_byte and _looks_chinese(content)):
            return stated, text
    if channel and channel not in {"ascii", "utf-8"} and (text := _strict(content, channel)) is not None:
        return channel, text
    if (text := _strict(content, "gb18030")) is not None and _mostly_hanzi(content):
        return "gb18030", text
    return None


def _looks_chinese(content: bytes) -> bool:
    """Valid GB18030 in which every high byte stands in a pair: no Latin text looks so."""
    lone = _HIGH.search(_HANZI_PAIR.sub(b"", content))
    return lone is None and _strict(content, "gb18030") is not None
