"""Words of the pages in Chinese and English. A key without a translation fails the tests, not the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

LANGUAGES = ("zh-CN", "en")
DEFAULT = "zh-CN"
COOKIE = "hub_lang"

Translate = Callable[..., str]


@cache
def catalogue(language: str) -> Mapping[str, str]:
    path = Path(__file__).parent / "locale" / f"{language}.json"
    words: dict[str, str] = json.loads(path.read_text("utf-8"))
    return words


def translator(language: str) -> Translate:
    words = catalogue(language)

    def translate(key: str, **values: object) -> str:
        text = words.get(key, key)
        return text.format_map(values) if values else text

    return translate


def choose(asked: str, cookie: str, accept: str) -> str:
    """`?lang=` outranks the cookie, the cookie what the browser prefers (RFC 9110 12.5.4)."""
    for wanted in (asked, cookie):
        found = _supported(wanted)
        if found:
            return found
    ranked = sorted((_ranked(part) for part in accept.split(",") if part.strip()), key=lambda pair: -pair[0])
    return next((found for _, tag in ranked if (found := _supported(tag))), DEFAULT)


def _ranked(part: str) -> tuple[float, str]:
    tag, _, parameter = part.partition(";")
    name, _, value = parameter.strip().partition("=")
    try:
        return (float(value) if name == "q" else 1.0, tag.strip())
    except ValueError:
        return (0.0, tag.strip())


def _supported(tag: str) -> str:
    primary = tag.lower().partition("-")[0]
    return next((language for language in LANGUAGES if primary and language.lower().partition("-")[0] == primary), "")
