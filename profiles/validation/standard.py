"""The profiles and extensions that the specification itself publishes: vital signs, blood pressure, a patient's birth place …

https://hl7.org/fhir/R4/profilelist.html, https://hl7.org/fhir/R4/extensibility-registry.html
profiles/r4/profiles.json and extensions.json keep of each what it demands beyond its type.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import msgspec


@cache
def _published(name: str) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode((files("profiles.r4") / name).read_bytes())
    return found


def standard_profile(url: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = _published("profiles.json").get(url) or _published("extensions.json").get(url)
    return found
