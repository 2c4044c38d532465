"""What a written Organization or Practitioner claims to be: a facility's code is its own, and numbers are what they say."""

from __future__ import annotations

from typing import Any

from hub.directory.identifiers import known_numbers, wrong_numbers
from hub.directory.names import FACILITY_CODE
from hub.errors import HubError, Kind, NotAllowed
from hub.settings import County
from mappers.identity_keys import organization_id

TYPES = frozenset({"Organization", "Practitioner"})


def check_claims(resource: dict[str, Any], id: str, facility: str, county: County) -> None:
    """`facility`: of a caller that is no county-wide one. Raise NotAllowed for a code that is another's, HubError for a number."""
    identifiers = [each for each in resource.get("identifier") or () if isinstance(each, dict)]
    for place, identifier in enumerate(identifiers):
        code = str(identifier.get("value", ""))
        if resource["resourceType"] != "Organization" or identifier.get("system") != FACILITY_CODE:
            continue
        known = not county.facilities or county.facility(code) is not None
        if id != organization_id(code) or (facility and (code != facility or not known)):
            raise NotAllowed(f"Organization.identifier[{place}] is the code of another facility, or of none")
    for place, problem in wrong_numbers({**resource, "identifier": identifiers}, known_numbers(county.directory.identifiers)):
        if problem.error:
            where = f"{resource['resourceType']}.identifier[{place}].value"
            raise HubError(problem.said, kind=Kind.VALUE, expression=(where,))
