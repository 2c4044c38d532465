"""Is what was sent FHIR, and what becomes of it if it is not: the level of its way in decides.

A resource of wrong structure is refused everywhere. One that breaks another rule is refused where the level is `strict`; where it
is `report` it is stored and the answer tells of it: how many in the header X-Validation-Issues and, if the client prefers an
OperationOutcome, one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
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

    def __init__(self, issues: Sequence[ValidationIssue], *, within: str = "") -> None:
        first = issues[0]
        super().__init__(first.message, expression=(within + first.expression,), kind=first.kind)
        self.issues = tuple(issues)
        self.within = within

    def outcome(self) -> dict[str, Any]:
        return outcome_of([issue._replace(expression=self.within + issue.expression) for issue in self.issues])


def outcome_of(issues: Sequence[ValidationIssue]) -> dict[str, Any]:
    return {"resourceType": "OperationOutcome", "issue": [issue.fact() for issue in issues]}


def checked(resource: dict[str, Any], *, within: str = "") -> dict[str, Any]:
    """By the definitions of R4 alone, strictly. Raise NotValid."""
    issues = validate(resource)
    if issues:
        raise NotValid(issues, within=within)
    return resource


def conforming(call: Call, resource: dict[str, Any], level: Level) -> dict[str, Any]:
    """By the definitions and by the profiles it names. Raise NotValid; what is let through at `report` is noted."""
    issues = all_issues(call, resource)
    if refused := refusing(issues, strict=level == "strict"):
        raise NotValid(refused)
    note(call.request, [issue for issue in issues if issue.severity != "information"])
    return resource


def all_issues(
    call: Call, resource: dict[str, Any], *, warnings: bool = False, profiles: Sequence[str] = ()
) -> list[ValidationIssue]:
    """Errors first; profiles are asked once the structure is right. `warnings`: advice, and every extension that is known."""
    issues = list(validate(resource, warnings=warnings))
    if any(issue.structural for issue in issues) or not (warnings or profiles or names_profiles(resource)):
        return issues
    check = ProfileCheck(
        definitions_for(call.hub.door.reads(call.access)),
        codes=known_codes(call.hub),
        unknown=call.hub.county.validation.unknown_profiles,
    )
    return sorted(issues + check.issues(resource, profiles), key=lambda issue: SEVERITIES.index(issue.severity))[:MAX_ISSUES]


# -- what was let through


def note(request: Request, issues: Sequence[ValidationIssue]) -> None:
    if issues:
        request.state.validation = [*noted(request), *issues][:MAX_ISSUES]


def noted(request: Request) -> list[ValidationIssue]:
    return list(getattr(request.state, "validation", ()))
