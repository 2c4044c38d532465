"""Help and answers in the language of whoever types: YITONG_LANG, else the locale's. zh… is Chinese, everything else English."""

from __future__ import annotations

import os

NAMES = ("YITONG_LANG", "LC_ALL", "LC_MESSAGES", "LANG")


def chinese() -> bool:
    stated = next((value for name in NAMES if (value := os.environ.get(name))), "")
    return stated.lower().startswith("zh")


def say(english: str, zh: str) -> str:
    """Chosen when called: for help, when the command line is read."""
    return zh if chinese() else english
