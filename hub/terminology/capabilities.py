"""TerminologyCapabilities: what can be asked of the terminology, from the tables it is answered by.

https://hl7.org/fhir/R4/terminologycapabilities.html
"""

from __future__ import annotations

from importlib.metadata import version as installed
from typing import Any

from hub.clock import instant
from hub.terminology.expand import NAMES
from hub.terminology.service import Terminology


def terminology_capabilities(terminology: Terminology, base: str, name: str, now: int) -> dict[str, Any]:
    """For `metadata?mode=terminology`."""
    known = sorted(NAMES)
    return {
        "resourceType": "TerminologyCapabilities",
        "status": "active",
        "date": instant(now),
        "kind": "instance",
        "software": {"name": "Yitong Hub", "version": installed("yitong-hub")},
        "implementation": {"description": name or "Yitong Hub", "url": base},
        "lockedDate": False,
        "codeSystem": [_code_system(url, versions) for url, versions in _versions(terminology).items()],
        "expansion": {
            "hierarchical": False,
            "paging": True,
            "incomplete": False,
            "parameter": [{"name": parameter} for parameter in known],
            "textFilter": "part of a code, display or designation; Chinese also by pinyin or its initials; every word must occur",
        },
        "codeSearch": "all",
        "validateCode": {"translations": True},
        "translation": {"needsMap": False},
        "closure": {"translation": False},
    }


def _versions(terminology: Terminology) -> dict[str, list[str]]:
    """Versions of a code system side by side stand under one URL."""
    found: dict[str, list[str]] = {}
    for url, version in terminology.code_systems():
        found.setdefault(url, []).extend([version] if version else [])
    return found


def _code_system(url: str, versions: list[str]) -> dict[str, Any]:
    described: dict[str, Any] = {"uri": url, "subsumption": True}
    if versions:
        described["version"] = [{"code": version, **({"isDefault": True} if len(versions) == 1 else {})} for version in versions]
    return described
