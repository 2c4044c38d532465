"""Is this resource what R4 allows, and what the profiles that it names allow?

`validate` says what is wrong: structure, cardinality, formats, required bindings, types of references and the invariants of the
definitions. See docs/guides/validation.md for what is checked where.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from hub.errors import Kind
from profiles.validation.issues import Severity, ValidationIssue
from profiles.validation.tables import resource_type_names
from profiles.validation.walk import Enough, Walk

__all__ = ["MAX_ISSUES", "Severity", "ValidationIssue", "known_type", "refusing", "resource_types", "validate"]

MAX_ISSUES = 50


def validate(resource: dict[str, Any], *, warnings: bool = False) -> tuple[ValidationIssue, ...]:
    """What is wrong with the resource, at most MAX_ISSUES; () if nothing is. `warnings`: also what is merely advised against."""
    kind = resource.get("resourceType")
    if not isinstance(kind, str) or not known_type(kind):
        return (ValidationIssue("resourceType", "resourceType must name a resource type of FHIR R4", Kind.STRUCTURE),)
    walk = Walk(limit=MAX_ISSUES, warnings=warnings)
    with suppress(Enough):
        walk.resource(resource, kind)
    return (*walk.misshapen, *walk.broken)[:MAX_ISSUES]


def refusing(issues: Sequence[ValidationIssue], *, strict: bool) -> list[ValidationIssue]:
    """Those for which a resource is not stored: a wrong structure always, any broken rule where its way in is strict."""
    return [issue for issue in issues if issue.structural or (strict and issue.severity == "error")]


def known_type(kind: str) -> bool:
    return kind in resource_type_names()


def resource_types() -> tuple[str, ...]:
    return tuple(sorted(resource_type_names()))
