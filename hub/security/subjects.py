"""Which Patients a resource ties itself to. A facility may write about those that it sees, and about no others.

A Patient is tied to those that it links to, for a link can make one person of two: whoever links to a stranger's Patient and then
writes an encounter for the own one would have opened the stranger's record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from hub.store.port import Resource

SUBJECTS = ("subject", "patient", "for", "beneficiary", "individual")


def subjects_of(resource: Resource, patient: str) -> tuple[str, ...]:
    """Ids of Patients, each once; `patient` is the one in whose compartment the resource lies."""
    if resource["resourceType"] == "Patient":
        return tuple(dict.fromkeys(_patients(link.get("other") for link in _dicts(resource.get("link")))))
    named = (reference for name in SUBJECTS for reference in _dicts(resource.get(name)))
    return tuple(dict.fromkeys([*([patient] if patient else []), *_patients(named)]))


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    return (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict))


def _patients(references: Iterable[Any]) -> Iterator[str]:
    for reference in references:
        text = reference.get("reference") if isinstance(reference, dict) else None
        if isinstance(text, str) and text.startswith("Patient/"):
            yield text.split("/")[1]
