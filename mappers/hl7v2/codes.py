"""Codes that only their facility knows: kept as they are, and named so that someone can map them."""

from __future__ import annotations

from typing import Any

from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Segment
from mappers.hl7v2.types import codeable_concept

LOCAL = "urn:hub:"


def note_local(draft: Draft, concept: dict[str, Any], where: str) -> None:
    """An issue for a concept of which no coding is of a shared code system."""
    found = concept.get("coding", [])
    told = any(issue.where == where and issue.code == "unmapped-code" for issue in draft.issues[-8:])
    if found and not told and all(coding["system"].startswith(LOCAL) for coding in found):
        first = found[0]
        name = first.get("display") or concept.get("text", "")
        draft.note("unmapped-code", where, "no shared code", system=first["system"], value=first["code"][:64], display=name)


def shared_concept(draft: Draft, segment: Segment, field: int, kind: str) -> dict[str, Any] | None:
    """CWE → CodeableConcept whose code others should understand: a drug, a vaccine, a diagnosis, a charge."""
    concept = codeable_concept(draft, segment, field, kind)
    if concept:
        note_local(draft, concept, f"{segment.where}-{field}")
    return concept
