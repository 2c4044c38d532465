"""Every error of ours has a kind; one table turns a kind into an HTTP status and a FHIR issue code.

https://hl7.org/fhir/R4/valueset-issue-type.html
"""

from __future__ import annotations

import traceback
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

ROOT = Path(__file__).parents[1]


class Kind(Enum):
    """HTTP status and OperationOutcome.issue.code."""

    INVALID = (400, "invalid")
    STRUCTURE = (400, "structure")
    TOO_COSTLY = (400, "too-costly")
    LOGIN = (401, "login")
    FORBIDDEN = (403, "forbidden")
    NOT_FOUND = (404, "not-found")
    NOT_SUPPORTED = (400, "not-supported")
    INFORMATIONAL = (200, "informational")
    METHOD = (405, "not-supported")
    NOT_ACCEPTABLE = (406, "not-supported")
    DELETED = (410, "deleted")
    CONFLICT = (409, "conflict")
    VERSION_CONFLICT = (412, "conflict")
    MULTIPLE_MATCHES = (412, "multiple-matches")
    NO_MATCH = (412, "not-found")
    TOO_LONG = (413, "too-long")
    MEDIA_TYPE = (415, "not-supported")
    THROTTLED = (429, "throttled")
    PROCESSING = (422, "processing")
    REQUIRED = (422, "required")
    VALUE = (422, "value")
    INVARIANT = (422, "invariant")
    CODE_INVALID = (422, "code-invalid")
    BUSINESS_RULE = (422, "business-rule")
    TIMEOUT = (503, "timeout")
    UNAVAILABLE = (503, "transient")
    EXCEPTION = (500, "exception")

    @property
    def status(self) -> int:
        return self.value[0]

    @property
    def code(self) -> str:
        return self.value[1]


class HubError(Exception):
    """What went wrong and where. The message never carries patient data."""

    kind: ClassVar[Kind] = Kind.EXCEPTION
    audited = False  # an AuditEvent tells of it already

    def __init__(self, message: str, *, expression: tuple[str, ...] = (), kind: Kind | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.expression = expression  # FHIRPath of the offending elements
        self.reason = kind or self.kind

    def outcome(self) -> dict[str, Any]:
        return operation_outcome(self.message, code=self.reason.code, expression=self.expression)


class Invalid(HubError):
    kind = Kind.INVALID


class NotFound(HubError):
    kind = Kind.NOT_FOUND


class Gone(HubError):
    """It was here and was deleted; its history remains."""

    kind = Kind.DELETED


class VersionConflict(HubError):
    """The current version is not the one that If-Match names."""

    kind = Kind.VERSION_CONFLICT


class NotAllowed(HubError):
    kind = Kind.FORBIDDEN


class Unavailable(HubError):
    kind = Kind.UNAVAILABLE


def operation_outcome(message: str, *, code: str, severity: str = "error", expression: tuple[str, ...] = ()) -> dict[str, Any]:
    issue: dict[str, Any] = {"severity": severity, "code": code, "diagnostics": message}
    if expression:
        issue["expression"] = list(expression)
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def place_of(error: BaseException) -> str:
    """The last line of ours that it went through. The text of an exception may quote a record, so a log says this instead."""
    frames = [(Path(frame.f_code.co_filename), line) for frame, line in traceback.walk_tb(error.__traceback__)]
    if not frames:
        return "an unknown place"
    ours = [(path, line) for path, line in frames if path.is_relative_to(ROOT) and ".venv" not in path.parts]
    path, line = (ours or frames)[-1]
    return f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name}:{line}"
