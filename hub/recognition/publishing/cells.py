"""The text of a workbook's cell → what its column means by it."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Any

from hub.recognition.publishing.columns import CONTEXTS, Column, accepted, bare
from profiles.catalogue import AREA
from profiles.names import LOINC

SEVERAL = re.compile(r"[;；、\n,，]")
MATCHES = re.compile(r"[;；\n]")
ALIASES = {"loinc": LOINC}
SETTINGS = {bare(word): context for context, words in CONTEXTS.items() for word in words}
FLAGS = {"1": "yes", "true": "yes", "合格": "yes", "y": "yes", "0": "no", "false": "no", "不合格": "no", "n": "no"}


class Unreadable(Exception):
    """A cell's text; `problem` is a key of sheets.PROBLEMS."""

    def __init__(self, problem: str, value: str) -> None:
        super().__init__(problem)
        self.problem, self.value = problem, value


def parsed(column: Column, text: str) -> Any:
    """What a cell means. Raise Unreadable."""
    match column.holds:
        case "choice" | "flag":
            return _chosen(column, text)
        case "whole":
            return _whole_number(text)
        case "yuan":
            return _fen(text)
        case "day":
            return _day(text)
        case "list":
            return _several(text)
        case "settings":
            return [SETTINGS.get(bare(part), part) for part in _several(text)]
        case "match":
            return [_match(part) for part in MATCHES.split(text) if part.strip()]
        case "areas":
            return dict(map(_area_of_mark, _several(text)))
        case "area":
            return _area(text)
        case _:
            return text


def _several(text: str) -> list[str]:
    return [part.strip() for part in SEVERAL.split(text) if part.strip()]


def _chosen(column: Column, text: str) -> object:
    known = {**FLAGS, **dict(accepted(column))} if column.holds == "flag" else dict(accepted(column))
    value = known.get(bare(text))
    if value is None:
        raise Unreadable("flag" if column.holds == "flag" else "choice", text)
    return value == "yes" if column.holds == "flag" else value


def _whole_number(text: str) -> int:
    if not re.fullmatch(r"\d{1,6}", text, re.ASCII):
        raise Unreadable("whole", text)
    return int(text)


def _fen(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}(\.\d{1,2}0*)?", text, re.ASCII):
        raise Unreadable("yuan", text)
    return int(Decimal(text) * 100)


def _day(text: str) -> date:
    usual = re.fullmatch(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[T ]00:00(?::00)?)?", text, re.ASCII)
    try:
        return date(*map(int, usual.groups())) if usual else date.fromisoformat(text)
    except ValueError:
        raise Unreadable("day", text) from None


def _match(text: str) -> dict[str, str]:
    system, bar, code = (part.strip() for part in text.rpartition("|"))
    if not bar or not system or not code:
        raise Unreadable("match", text.strip())
    return {"system": ALIASES.get(system.casefold(), system), "code": code}


def _area(text: str) -> str:
    if not re.fullmatch(AREA, text):
        raise Unreadable("area", text)
    return text


def _area_of_mark(text: str) -> tuple[str, str]:
    mark, sign, area = (part.strip() for part in text.partition("="))
    if not sign or not mark:
        raise Unreadable("areas", text.strip())
    return mark, _area(area)
