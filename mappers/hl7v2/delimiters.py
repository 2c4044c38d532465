"""Delimiters and escape sequences of HL7 v2.5.1 (chapters 2.5 and 2.7): MSH-1, MSH-2, and values as they are meant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple


class Delimiters(NamedTuple):
    """MSH-1 and MSH-2. The fifth character (truncation, 2.7) needs no handling: it only ever ends a value."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the values of one message are written."""

    delimiters: Delimiters
    charset: str  # Python codec
    odd: bool  # a letter or a digit separates


def delimiters_of(header: str) -> Delimiters:
    """MSH-1 and MSH-2 of an MSH (or FHS, BHS) segment; what a truncated MSH-2 leaves out is the usual character."""
    field = header[3]
    return _delimiters(field, header[4:].split(field, 1)[0][:5])


@lru_cache(maxsize=64)
def _delimiters(field: str, characters: str) -> Delimiters:
    stated: list[str] = []
    for position, usual in enumerate("^~\\&"):
        character = characters[position] if position < len(characters) else usual
        if character.isalnum() or character.isspace() or character == field or character in stated:
            character = next((c for c in (usual, *"^~\\&") if c not in stated and c != field), usual)
        stated.append(character)
    return Delimiters(field, *stated)


@lru_cache(maxsize=64)
def odd(delimiters: Delimiters) -> bool:
    """Whether a letter or a digit separates."""
    return any(character.isalnum() for character in delimiters)


_ESCAPED = {"F": 0, "S": 1, "R": 2, "E": 3, "T": 4}  # \S\ → the component separator itself
# Formatting of FT (2.7.2): a new line, or nothing that a plain text could show
_FORMATTING = {".br": "\n", ".sp": "\n", ".ce": "\n", ".fi": "", ".nf": "", ".in": "", ".ti": "", ".sk": " ", "H": "", "N": ""}


@lru_cache(maxsize=64)
def _escape_pattern(escape: str) -> re.Pattern[str]:
    mark = re.escape(escape)
    return re.compile(f"{mark}([^{mark}\r\n]{{1,512}}){mark}")


def unescape(text: str, delimiters: Delimiters, charset: str = "utf-8") -> str:
    """Undo escape sequences; one that is not defined (a Windows path, a lone backslash) stays as written."""
    if delimiters.escape not in text:
        return text

    def plain(match: re.Match[str]) -> str:
        body = match[1]
        if body in _ESCAPED:
            return delimiters[_ESCAPED[body]]
        if body[0] == "X" and re.fullmatch(r"X(?:[0-9A-Fa-f]{2})+", body):
            return _hexadecimal(body[1:], charset) or match[0]
        formatting = _FORMATTING.get(body) if body in {"H", "N"} else _FORMATTING.get(body[:3])
        if formatting is None or (body[0] == "." and not re.fullmatch(r"\.[a-z]{2}[+-]?\d{0,3}", body)):
            return match[0]
        return formatting * max(1, int(body[3:] or 1)) if body.startswith(".sp") else formatting

    return _escape_pattern(delimiters.escape).sub(plain, text)


def _hexadecimal(digits: str, charset: str) -> str:
    try:
        return bytes.fromhex(digits).decode(charset if charset != "ascii" else "utf-8")
    except UnicodeDecodeError:
        return ""


def escape(text: str, delimiters: Delimiters = Delimiters()) -> str:  # noqa: B008 - a tuple
    """The other way: a value as a sender must write it."""
    letters = {delimiters[place]: letter for letter, place in _ESCAPED.items()}
    return "".join(
        f"{delimiters.escape}{letters[c]}{delimiters.escape}"
        if c in letters
        else f"{delimiters.escape}X{ord(c):02X}{delimiters.escape}"
        if c in "\r\n"
        else c
        for c in text
    )
