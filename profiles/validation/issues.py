"""What a check says: which element, which rule, which type of value; never the value."""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

from hub.errors import Kind

Severity = Literal["error", "warning", "information"]


class ValidationIssue(NamedTuple):
    """One broken rule, or one that could not be checked."""

    expression: str  # "Observation.component[2].valueQuantity.value"
    message: str
    kind: Kind = Kind.PROCESSING
    severity: Severity = "error"
    rule: str = ""  # "obs-6", "binding", "target", a profile's address; "" for the structure, which everything relies on

    @property
    def structural(self) -> bool:
        """It cannot be stored at any level: what reads it could not rely on its shape."""
        return self.severity == "error" and not self.rule

    def fact(self) -> dict[str, Any]:
        """As OperationOutcome.issue."""
        return {
            "severity": self.severity,
            "code": self.kind.code,
            "diagnostics": self.message,
            "expression": [self.expression],
        }


Place = tuple[Any, str, int]
"""Where the walk is: (place above, member, number in the array or -1); put into words only when something is wrong there."""


def words(place: Place | str) -> str:
    parts: list[str] = []
    while not isinstance(place, str):
        above, name, number = place
        parts.append(f".{name}[{number}]" if number >= 0 else f".{name}")
        place = above
    return place + "".join(reversed(parts))


def shown(name: str) -> str:
    """A member's name may itself be data: only what could be an element's is shown."""
    return name if re.fullmatch(r"_?[A-Za-z][A-Za-z0-9]{0,63}", name) else "a member"
