"""Finding concepts by what a person types: part of a text, a code, pinyin or its initials.

All texts of a code system stand in one string, a line each: looking through a hundred thousand takes milliseconds.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

from hub.search.folding import fold, reading_of

MAX_WORDS = 8


def words_of(typed: str) -> list[str]:
    """'急性 LANWEI' → 急性, lanwei: a text must hold each of them."""
    return fold(typed).split()[:MAX_WORDS]


def line_of(texts: Iterable[str]) -> str:
    """The texts of one concept and, where they are Chinese, how they are read, in full and by initials."""
    parts: list[str] = []
    for text in texts:
        folded = fold(text)
        parts.append(folded)
        parts += reading_of(folded)
    return "\t".join(parts)


class TextIndex:
    def __init__(self, text: str, starts: array[int]) -> None:
        self._text = text
        self._starts = starts  # of each concept's line

    @classmethod
    def of(cls, concepts: Iterable[Iterable[str]]) -> TextIndex:
        lines = [line_of(texts) for texts in concepts]
        starts = array("q", accumulate((len(line) + 1 for line in lines[:-1]), initial=0))
        return cls("\n".join(lines), starts if lines else array("q"))

    @classmethod
    def of_parts(cls, text: str, starts: bytes) -> TextIndex:
        found = array("q")
        found.frombytes(starts)
        return cls(text, found)

    @property
    def parts(self) -> tuple[str, bytes]:
        return self._text, self._starts.tobytes()

    def matching(self, words: Iterable[str]) -> set[int]:
        """Numbers of the concepts that hold every word."""
        found: set[int] | None = None
        for word in words:
            numbers = self._holding(word)
            found = numbers if found is None else found & numbers
        return set(range(len(self._starts))) if found is None else found

    def _holding(self, word: str) -> set[int]:
        numbers: set[int] = set()
        at = self._text.find(word)
        while at >= 0:
            number = bisect_right(self._starts, at) - 1
            numbers.add(number)
            if number + 1 >= len(self._starts):
                break
            at = self._text.find(word, self._starts[number + 1])
        return numbers
