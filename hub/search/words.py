"""The text of `_text` and `_content` → what must occur. https://hl7.org/fhir/R4/search.html#content

    (bone OR liver) and metastases      words side by side must all occur; NOT before what must not; "as it stands" in quotes

Case, accents and width make no difference, and Chinese needs no spaces between words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from hub.search.folding import fold
from hub.search.reading import MAX_DEPTH, too_costly

MAX_WORDS = 100
OPERATORS = frozenset({"AND", "OR", "NOT"})  # in small letters, too; in quotes they are words


class Word(NamedTuple):
    text: str  # folded; a phrase has blanks


class Without(NamedTuple):
    of: Expression


class Every(NamedTuple):
    parts: tuple[Expression, ...]


class Either(NamedTuple):
    parts: tuple[Expression, ...]


Expression = Word | Without | Every | Either

_TOKEN = re.compile(r'"([^"]*)"|([()])|([^\s()"]+)|(")')


@lru_cache(maxsize=256)
def parsed(text: str) -> Expression:
    """Raise ValueError for what follows no rule, TooCostly for too many words."""
    parser = _Parser(text)
    found = parser.either(0)
    if parser.ahead is not None:
        raise ValueError("a parenthesis closes that none opened")
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = [found for found in _TOKEN.finditer(text) if fold(found[1] or found[0])]
        if len(self._tokens) > MAX_WORDS:
            raise too_costly(f"a text of more than {MAX_WORDS} words")
        self._at = 0

    @property
    def ahead(self) -> str | None:
        """The next word or parenthesis, an operator in capitals, a phrase with its quotes; None at the end."""
        if self._at == len(self._tokens):
            return None
        word = self._tokens[self._at][0]
        return word.upper() if word.upper() in OPERATORS else word

    def either(self, depth: int) -> Expression:
        parts = [self._every(depth)]
        while self.ahead == "OR":
            self._at += 1
            parts.append(self._every(depth))
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _every(self, depth: int) -> Expression:
        parts = [self._one(depth)]
        while self.ahead not in (None, ")", "OR"):
            self._at += self.ahead == "AND"
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _one(self, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            raise too_costly(f"a text that nests more than {MAX_DEPTH} deep")
        word = self.ahead
        self._at += 1
        if word == "NOT":
            return Without(self._one(depth + 1))
        if word == "(":
            inner = self.either(depth + 1)
            if self.ahead != ")":
                raise ValueError("a parenthesis is not closed")
            self._at += 1
            return inner
        if word is None or word == ")" or word in OPERATORS:
            raise ValueError("a word is missing beside AND, OR, NOT or a parenthesis")
        if word == '"':
            raise ValueError("a quotation mark is not closed")
        return Word(fold(word.strip('"')))


def holds(wanted: Expression, texts: Iterable[str]) -> bool:
    """A word may stand in any of the texts, a phrase in one of them."""
    missing = set(_words(wanted))
    for text in texts:
        folded = fold(text)
        missing = {word for word in missing if word not in folded}
        if not missing:
            break
    return _true(wanted, lambda word: word not in missing)


def _words(wanted: Expression) -> Iterator[str]:
    match wanted:
        case Word(text):
            yield text
        case Without(of):
            yield from _words(of)
        case Every(parts) | Either(parts):
            for part in parts:
                yield from _words(part)


def _true(wanted: Expression, occurs: Callable[[str], bool]) -> bool:
    match wanted:
        case Word(text):
            return occurs(text)
        case Without(of):
            return not _true(of, occurs)
        case Every(parts):
            return all(_true(part, occurs) for part in parts)
        case Either(parts):
            return any(_true(part, occurs) for part in parts)


# -- a look at the stored JSON, before it is read: most resources are told apart by that

# What folding leaves as it is but for ASCII's case, and what it turns into punctuation at most.
_KEPT = "\x00-\x7f\u3001-\u3029\u3400-\u4dbf\u4e00-\u9fff"
_PUNCTUATION = "\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
_FOLDED = re.compile(f"[^{_KEPT}{_PUNCTUATION}]")


def may_hold(wanted: Expression, body: bytes) -> bool:
    """False: no text of the resource with this JSON holds what is wanted. True says nothing."""
    text = body.decode()
    if "&" in text or "\\u" in text:  # markup and JSON may write a letter so
        return True
    lower = text.lower()

    def may_occur(word: str) -> bool:
        if "\\" in word or all(part in lower for part in word.split()):
            return True
        return not text.isascii() and (not word.replace(" ", "").isalnum() or _FOLDED.search(text) is not None)

    return _possible(wanted, may_occur)


def _possible(wanted: Expression, may_occur: Callable[[str], bool]) -> bool:
    match wanted:
        case Word(text):
            return may_occur(text)
        case Without():
            return True
        case Every(parts):
            return all(_possible(part, may_occur) for part in parts)
        case Either(parts):
            return any(_possible(part, may_occur) for part in parts)
