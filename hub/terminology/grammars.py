"""Code systems that are grammars: their codes cannot be listed, but can be told from others.

https://hl7.org/fhir/R4/terminologies-systems.html
"""

from __future__ import annotations

import re
from collections.abc import Callable

from hub.search.units import NotUcum, parsed
from profiles.names import UCUM

_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+\-]{0,126}"
_MIME = re.compile(rf"{_NAME}/(?:{_NAME}|\*)(?:\s*;\s*{_NAME}=(?:{_NAME}|\"[^\"]*\"))*")
_LANGUAGE = re.compile(r"(?:[A-Za-z]{2,3}(?:-[A-Za-z]{3}){0,3}|[A-Za-z]{4,8}|[ix](?=-))(?:-[A-Za-z0-9]{1,8}){0,6}")

MIME_TYPES = "urn:ietf:bcp:13"
LANGUAGES = "urn:ietf:bcp:47"


def _ucum(code: str) -> bool:
    try:
        parsed(code)
    except NotUcum:
        return False
    return True


GRAMMARS: dict[str, Callable[[str], bool]] = {
    MIME_TYPES: lambda code: _MIME.fullmatch(code) is not None,
    UCUM: _ucum,
    LANGUAGES: lambda code: _LANGUAGE.fullmatch(code) is not None,
}
