"""Bytes → text by evidence: the mark at their beginning, else the first character set in which every byte has its place.

Nothing is replaced and nothing guessed. What a format declares, and which sets are tried in which order, is its reader's to say.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable

MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def behind_mark(content: bytes) -> tuple[bytes, str] | None:
    """What follows a byte order mark, and the character set that it names. None: there is no mark."""
    return next(((content[len(mark) :], codec) for mark, codec in MARKS if content.startswith(mark)), None)


def fitting(content: bytes, names: Iterable[str]) -> tuple[str, str] | None:
    """Text and character set, by the first of `names` that fits strictly. None: none does, or none is known."""
    for name in names:
        try:
            return content.decode(name), name
        except (UnicodeDecodeError, LookupError):
            continue
    return None
