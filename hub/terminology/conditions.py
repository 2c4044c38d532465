"""Under which conditions a question is asked: as of which day, and which version of a code system counts.

https://hl7.org/fhir/R4/valueset-operation-expand.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hub.errors import Invalid, Kind
from hub.search.dates import interval
from hub.terminology.asked import Asked

DEFAULT, CHECKED, FORCED = "system-version", "check-system-version", "force-system-version"
CONDITIONS = frozenset({"date", DEFAULT, CHECKED, FORCED})


@dataclass(frozen=True, slots=True)
class Conditions:
    """`before`: UTC ms; what was written then or later is not what the question is about. Versions by the code system's URL."""

    before: int | None = None
    default: Mapping[str, str] = field(default_factory=dict)
    checked: Mapping[str, str] = field(default_factory=dict)
    forced: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, asked: Asked, zone: str) -> Conditions:
        """Raise Invalid for what is no date, or no system|version."""
        date = asked.text("date")
        try:
            before = interval(date, zone)[1] if date else None
        except ValueError:
            raise Invalid("date is a date or a time") from None
        return cls(before, *(_versions(asked, name) for name in (DEFAULT, CHECKED, FORCED)))

    def __bool__(self) -> bool:
        return self != Conditions()

    def version(self, system: str, stated: str) -> str:
        """Raise Invalid where a rule states another version than the one to be checked."""
        version = self.forced.get(system) or stated or self.default.get(system, "")
        wanted = self.checked.get(system, "")
        if wanted and version and version != wanted:
            raise Invalid(
                "the value set draws on another version of the code system than check-system-version", kind=Kind.PROCESSING
            )
        return version or wanted

    def check(self, updated: int) -> None:
        """Raise Invalid for a definition that was changed since."""
        if self.before is not None and updated >= self.before:
            raise Invalid("a definition was written after that date: what it was then cannot be told here", kind=Kind.NOT_SUPPORTED)


def _versions(asked: Asked, name: str) -> dict[str, str]:
    found = {}
    for text in asked.texts(name):
        system, _, version = text.rpartition("|")
        if not system or not version:
            raise Invalid(f"{name} is a code system and a version: system|version")
        found[system] = version
    return found
