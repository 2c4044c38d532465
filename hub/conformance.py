"""Profiles and value sets as a check asks for them: those that the caller may see in the hub, then those that come with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hub import fhir_json
from hub.errors import HubError, NotAllowed
from hub.search.query import Criterion, SearchQuery, UriValue
from hub.security.reads import Reads
from profiles.promised import promised_profile
from profiles.validation.standard import standard_profile

if TYPE_CHECKING:
    from hub.app import Hub

CANDIDATES = 20  # versions of one profile that are looked at


def definitions_for(reads: Reads) -> Callable[[str], dict[str, Any] | None]:
    """Canonical address, with or without |version → StructureDefinition; None for one that is not kept here."""

    def find(canonical: str) -> dict[str, Any] | None:
        url, _, version = canonical.partition("|")
        query = SearchQuery("StructureDefinition", (Criterion("url", "uri", (UriValue(url),)),), count=CANDIDATES)
        try:
            stored = [fhir_json.load(found.body) for found in reads.stored(query).matches]
        except NotAllowed:
            stored = []
        for definition in sorted(stored, key=lambda each: str(each.get("version", "")), reverse=True):
            if not version or definition.get("version") == version:
                return dict(definition)
        return promised_profile(url, version) or standard_profile(url)

    return find


def known_codes(hub: Hub) -> Callable[[str, str, str], bool | None]:
    """(value set, system, code) → whether it holds the code; None where nobody knows the value set."""

    def contains(value_set: str, system: str, code: str) -> bool | None:
        try:
            return hub.terminology.contains(value_set, system, code)
        except HubError:
            return None

    return contains
