"""Texts that repeat in every row (types, code systems, units) and search parameters, as small numbers."""

from __future__ import annotations

from typing import NamedTuple

import apsw

CACHED = 100_000  # a sender may invent systems without end; memory stays bounded


class Names:
    """Numbers of what is committed. They never change, so every reader shares what one of them found."""

    def __init__(self) -> None:
        self._words: dict[str, int] = {}
        self._texts: dict[int, str] = {}
        self._parameters: dict[tuple[str, str], int] = {}

    def word(self, connection: apsw.Connection, text: str) -> int | None:
        """None: the text occurs nowhere."""
        known = self._words.get(text)
        if known is None:
            known = connection.execute("SELECT id FROM word WHERE text = ?", (text,)).get
            if known is not None:
                self._remember(text, known)
        return known

    def text(self, connection: apsw.Connection, word: int) -> str:
        known = self._texts.get(word)
        if known is None:
            known = str(connection.execute("SELECT text FROM word WHERE id = ?", (word,)).get)
            self._remember(known, word)
        return known

    def parameter(self, connection: apsw.Connection, resource_type: str, code: str) -> int | None:
        """None: no resource has an entry for it."""
        known = self._parameters.get((resource_type, code))
        if known is None:
            select = "SELECT id FROM parameter WHERE type = (SELECT id FROM word WHERE text = ?) AND code = ?"
            known = connection.execute(select, (resource_type, code)).get
            if known is not None:
                self._parameters[resource_type, code] = known
        return known

    def _remember(self, text: str, word: int) -> None:
        if len(self._words) > CACHED:
            self._words.clear()
            self._texts.clear()
        self._words[text] = word
        self._texts[word] = text


class Facts(NamedTuple):
    """What holds of all entries of one parameter, so that a walk along them may be shortened."""

    repeats: int  # 1: some resource has, or had, two entries
    widest: int  # the longest interval of a date


def facts_of(connection: apsw.Connection, parameter: int) -> Facts:
    return Facts._make(connection.execute("SELECT repeats, widest FROM parameter WHERE id = ?", (parameter,)).get)


class NewNames(Names):
    """The writer's: numbers what is new. After a rollback it must `forget`."""

    def __init__(self) -> None:
        super().__init__()
        self._facts: dict[int, Facts] = {}
        self._of_type: dict[str, dict[str, int]] = {}

    def number(self, connection: apsw.Connection, text: str) -> int:
        known = self.word(connection, text)
        if known is None:
            connection.execute("INSERT INTO word (text) VALUES (?)", (text,))
            known = connection.last_insert_rowid()
            self._remember(text, known)
        return known

    @property
    def known_words(self) -> dict[str, int]:
        """Text → number, of those used since the last rollback; filled by `number`."""
        return self._words

    def parameters_of(self, resource_type: str) -> dict[str, int]:
        """Code → number, of those used since the last rollback; filled by `parameter_number`."""
        return self._of_type.setdefault(resource_type, {})

    def parameter_number(self, connection: apsw.Connection, resource_type: str, code: str) -> int:
        known = self.parameter(connection, resource_type, code)
        if known is None:
            row = (self.number(connection, resource_type), code)
            connection.execute("INSERT INTO parameter (type, code) VALUES (?, ?)", row)
            known = self._parameters[resource_type, code] = connection.last_insert_rowid()
        self.parameters_of(resource_type)[code] = known
        return known

    def learn(self, connection: apsw.Connection, parameter: int, repeats: int, widest: int) -> None:
        known = self._facts.get(parameter)
        if known is None:
            known = self._facts[parameter] = facts_of(connection, parameter)
        if repeats > known.repeats or widest > known.widest:
            known = self._facts[parameter] = Facts(max(repeats, known.repeats), max(widest, known.widest))
            connection.execute("UPDATE parameter SET repeats = ?, widest = ? WHERE id = ?", (*known, parameter))

    def forget(self) -> None:
        self._facts.clear()
        self._of_type.clear()
        self._words.clear()
        self._texts.clear()
        self._parameters.clear()
