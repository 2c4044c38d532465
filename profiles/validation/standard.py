"""The profiles that the specification itself publishes: vital signs, blood pressure, lipid panels …

https://hl7.org/fhir/R4/profilelist.html; profiles/r4/profiles.json keeps of each what it demands beyond its type.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import msgspec


@cache
def _profiles() -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode((files("profiles.r4") / "profiles.json").read_bytes())
    return found


def standard_profile(url: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = _profiles().get(url)
    return found
