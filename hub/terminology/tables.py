"""What a person sees of the tables that are here: name, number, edition, source and size; never the specification's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from hub.terminology.service import Terminology
from hub.terminology.sources import Found

TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"
OID = "urn:oid:"
Origin = Literal["shipped", "county", "imported"]


@dataclass(frozen=True, slots=True)
class Described:
    """A code system. `count`: its codes; `oid`: "" where it has none; `source`: where it comes from, as its description says."""

    url: str
    version: str
    title: str
    title_en: str
    publisher: str
    source: str
    count: int
    origin: Origin
    complete: bool
    retired: bool
    unverified: bool  # FHIR's `experimental`

    @property
    def oid(self) -> str:
        return self.url.removeprefix(OID) if self.url.startswith(OID) else ""


class _Head(msgspec.Struct):
    """The few members of a CodeSystem that are shown; its concepts are passed over unread."""

    url: str = ""
    version: str = ""
    name: str = ""
    title: str = ""
    status: str = ""
    publisher: str = ""
    description: str = ""
    content: str = "complete"
    experimental: bool = False
    count: int = -1
    _title: dict[str, Any] = {}


_heads = msgspec.json.Decoder(_Head)


def tables_of(terminology: Terminology) -> list[Described]:
    """In the order of their titles, editions of one table together, the newest first."""
    found = [_described(each, terminology) for each in terminology.own("CodeSystem")]
    return sorted(sorted(found, key=lambda each: each.version, reverse=True), key=lambda each: (each.title, each.url))


def _described(found: Found, terminology: Terminology) -> Described:
    head = _heads.decode(found.body)
    count = head.count if head.count >= 0 else len(terminology.read_code_system(found))
    title = head.title or head.name or head.url
    return Described(
        head.url,
        head.version,
        title,
        _translated(head._title, "en") or title,
        head.publisher,
        head.description.removeprefix("来源:"),
        count,
        _origin(found),
        head.content == "complete",
        head.status == "retired",
        head.experimental,
    )


def _origin(found: Found) -> Origin:
    if not found.mark.startswith("file/"):
        return "imported"
    return "shipped" if found.shipped else "county"


def _translated(title: dict[str, Any], language: str) -> str:
    """https://hl7.org/fhir/R4/extension-translation.html"""
    for extension in title.get("extension", ()):
        if extension.get("url") == TRANSLATION:
            parts = {part.get("url"): part for part in extension.get("extension", ())}
            if parts.get("lang", {}).get("valueCode") == language:
                return str(parts.get("content", {}).get("valueString", ""))
    return ""
