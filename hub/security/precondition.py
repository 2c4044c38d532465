"""What a client asks of the current version before it is written over: If-Match and If-None-Match.

https://hl7.org/fhir/R4/http.html#concurrency https://www.rfc-editor.org/rfc/rfc9110#section-13.1
"""

from __future__ import annotations

import re
from typing import NamedTuple

from hub.errors import Invalid, VersionConflict
from hub.store.port import Version

ANY = 0
"""`*`: any that is there; the versions of a resource are counted from 1."""
NOT_OURS = -1
"""An entity tag that is no version of ours: well-formed, and never current."""
Versions = frozenset[int]

_TAG = r'(?:W/)?"([^"]*)"'
_tags = re.compile(rf"\s*{_TAG}\s*(?:,\s*{_TAG}\s*)*").fullmatch
_number = re.compile(r"[1-9]\d{0,11}", re.ASCII).fullmatch


class Precondition(NamedTuple):
    match: Versions | None = None  # one of them is current
    none_match: Versions | None = None  # none of them is

    def expected(self, current: Version | None, type: str) -> int | None:
        """The version that a write must find; None if any will do. `current`: None for unknown and foreign alike.

        Raise VersionConflict.
        """
        if self.match is None:
            return None
        if current is None or (current.deleted and current.version not in self.match):
            raise VersionConflict(f"If-Match: there is no current version of this {type}")
        if not self.match & {ANY, current.version}:
            raise VersionConflict("If-Match: the current version is another one")
        return current.version

    def check_absent(self, current: Version | None) -> None:
        """Raise VersionConflict if the client wants nothing done to what is there."""
        there = current is not None and not current.deleted
        if self.none_match is not None and current is not None and there and self.none_match & {ANY, current.version}:
            raise VersionConflict("If-None-Match: the resource is there already")


ALWAYS = Precondition()


def versions_of(entity_tags: str) -> Versions | None:
    """W/"3", "4" → 3 and 4; * → ANY; None for what is no list of entity tags. Weak or strong is the same here."""
    if entity_tags.strip() == "*":
        return frozenset({ANY})
    if not _tags(entity_tags):
        return None
    return frozenset(int(text) if _number(text) else NOT_OURS for text in re.findall(_TAG, entity_tags))


def precondition(if_match: str | None, if_none_match: str | None) -> Precondition:
    """Raise Invalid for what is no list of versions."""
    return Precondition(_stated(if_match, "If-Match"), _stated(if_none_match, "If-None-Match"))


def _stated(entity_tags: str | None, name: str) -> Versions | None:
    if entity_tags is None:
        return None
    versions = versions_of(entity_tags)
    if versions is None:
        raise Invalid(f'{name} states versions so: W/"3", W/"4"; or *: any that is there')
    return versions
