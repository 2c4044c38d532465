"""Whose document a PDF or a scan is: the words of its name, or of a small JSON file beside it. Never guessed."""

from __future__ import annotations

import json

import re2  # type: ignore[import-untyped]

from connectors.files.config import QUIET, DocumentConfig
from connectors.files.folder import Refused

WORDS = ("patient", "visit", "report", "order", "date", "title", "type")
LARGEST_SIDECAR = 64 * 1024
LONGEST = 256


def facts_of(name: str, sidecar: bytes | None, config: DocumentConfig) -> dict[str, str]:
    """patient, and what else is stated. Raise Refused, saying what is needed, when the patient is not."""
    stem = name.rpartition("/")[2]
    pattern = re2.compile(config.pattern, QUIET) if config.pattern else None  # RE2 never runs away, whatever a name looks like
    match = (pattern.fullmatch(stem) or pattern.fullmatch(stem.rpartition(".")[0])) if pattern else None
    named = {word: text for word, text in match.groupdict().items() if text} if match else {}
    facts = {"title": config.title, **named, **(_read(sidecar) if sidecar is not None else {})}
    facts = {word: text.strip()[:LONGEST] for word, text in facts.items() if word in WORDS and text.strip()}
    if "patient" not in facts:
        tried = "its name does not fit documents.pattern" if config.pattern else "no documents.pattern is set"
        raise Refused(f'whose document it is, is not stated: {tried}, and no {stem}.json beside it says {{"patient": "…"}}')
    return facts


def _read(sidecar: bytes) -> dict[str, str]:
    try:
        values = json.loads(sidecar)
    except (ValueError, RecursionError):
        raise Refused("the .json beside it cannot be read") from None
    if not isinstance(values, dict):
        raise Refused("the .json beside it holds no object")
    return {str(word): str(text) for word, text in values.items() if isinstance(text, (str, int))}
