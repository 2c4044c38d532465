"""Is what was sent FHIR, and what becomes of it if it is not: the level of its way in decides.

A resource of wrong structure is refused everywhere. One that breaks another rule is refused where the level is `strict`; where it
is `report` it is stored and the answer tells of it: how many in the header X-Validation-Issues and, if the client prefers an
OperationOutcome, one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from hub.conformance import definitions_for, known_codes
from hub.errors import HubError, Kind
from hub.settings import Level
from profiles.validation import MAX_ISSUES, ValidationIssue, refusing, validate
from profiles.validation.profile import ProfileCheck, names_profiles

if TYPE_CHECKING:
    from starlette.requests import Request

    from hub.api.call import Call

HEADER = "x-validation-issues"
SEVERITIES = ("error", "warning", "information")


class NotValid(HubError):
    """The resource breaks rules of FHIR; each issue names its element."""

    kind = Kind.PROCESSING

    def __init__(self, issues: Sequence[ValidationIssue]) -> None:
        first = issues[0]
        super().__init__(first.message, expression=(first.expression,), kind=first.kind)
        self.issues = tuple(issues)

    def outcome(self) -> dict[str, Any]:
        return outcome_of(self.issues)


def outcome_of(issues: Sequence[ValidationIssue]) -> dict[str, Any]:
    return {"resourceType": "OperationOutcome", "issue": [issue.fact() for issue in issues]}


class Check:
    """Holds the resources of one request to the definitions and to the profiles that they name.

    What it looked up once it asks nobody again: what a patch makes inside a transaction is held to what was known before it.
    """

    def __init__(self, call: Call, level: Level) -> None:
        self._strict = level == "strict"
        self._unknown = call.hub.county.validation.unknown_profiles
        self._find = cache(definitions_for(call.hub.door.reads(call.access)))
        self._codes = cache(known_codes(call.hub))

    def __call__(self, resource: dict[str, Any]) -> list[ValidationIssue]:
        """With which issues it is let through. Raise NotValid."""
        issues = self.issues(resource)
        if refused := refusing(issues, strict=self._strict):
            raise NotValid(refused)
        return [issue for issue in issues if issue.severity != "information"]

    def issues(self, resource: dict[str, Any], *, warnings: bool = False, profiles: Sequence[str] = ()) -> list[ValidationIssue]:
        """Errors first; profiles are asked once the structure is right. `warnings`: advice, and every extension that is known."""
        issues = list(validate(resource, warnings=warnings))
        if any(issue.structural for issue in issues) or not (warnings or profiles or names_profiles(resource)):
            return issues
        check = ProfileCheck(self._find, codes=self._codes, unknown=self._unknown)
        found = issues + check.issues(resource, profiles, advice=warnings)
        return sorted(found, key=lambda issue: SEVERITIES.index(issue.severity))[:MAX_ISSUES]


# -- what was let through


def note(request: Request, issues: Sequence[ValidationIssue]) -> None:
    if issues:
        request.state.validation = [*noted(request), *issues][:MAX_ISSUES]


def noted(request: Request) -> list[ValidationIssue]:
    return list(getattr(request.state, "validation", ()))
