"""The profiles and extensions that come with the hub: what it promises of the resources that it makes and takes.

profiles/cn/structure_definitions. Those of the same URL that are kept in the hub go before them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from profiles.catalogue import SHIPPED

FOLDER = SHIPPED / "structure_definitions"


@cache
def promised() -> Mapping[str, dict[str, Any]]:
    """By URL, in the order of their file names."""
    found = (json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json")))
    return {definition["url"]: definition for definition in found}


def promised_profile(url: str, version: str = "") -> dict[str, Any] | None:
    found = promised().get(url)
    return found if found is not None and version in ("", found["version"]) else None


@cache
def profiles_of(kind: str) -> tuple[str, ...]:
    """Canonical addresses of the profiles on a resource type, for CapabilityStatement.rest.resource.supportedProfile."""
    return tuple(url for url, definition in promised().items() if definition["type"] == kind)
