"""The resources of particular patients: as search criteria, so many patients at a time, each resource once.

A patient stands for the person: records under every linked Patient are meant, as the caller may see them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from functools import cache

from hub import fhir_json
from hub.search.convert import reference
from hub.search.entries import Reference
from hub.search.extract import extract
from hub.search.parameters import registry
from hub.search.query import AnyOf, Condition, Criterion, ReferenceValue, TokenValue
from hub.security.reads import Reads
from hub.store.port import Version
from profiles.structures import compartments

AT_ONCE = 200  # patients of one search
MOST_GROUPS = 100  # within one another


def batches(patients: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(patients[start : start + AT_ONCE]) for start in range(0, len(patients), AT_ONCE)]


@cache
def codes_of(kind: str) -> tuple[str, ...]:
    """Parameters by which a resource refers to the Patient in whose compartment it lies."""
    return tuple(code for code in compartments()["Patient"].get(kind, ()) if registry().get(kind, code))


def members_of(group: str, find: Callable[[str], Version | None]) -> list[str]:
    """Ids of the Patients in a Group and in the Groups that are its members, each once. https://hl7.org/fhir/R4/group.html"""
    found: dict[str, None] = {}
    seen, waiting = {group}, [group]
    while waiting and len(seen) <= MOST_GROUPS:
        version = find(waiting.pop(0))
        for member in _active(version) if version is not None and not version.deleted else ():
            if member.type == "Patient":
                found[member.id] = None
            elif member.type == "Group" and member.id not in seen:
                seen.add(member.id)
                waiting.append(member.id)
    return list(found)


def _active(group: Version) -> Iterator[Reference]:
    for member in fhir_json.load(group.body).get("member", ()):
        if not member.get("inactive"):
            yield from reference(member.get("entity") or {}, "")


def condition_of(reads: Reads, kind: str, patients: Sequence[str]) -> Condition:
    referring = tuple(ReferenceValue("Patient", id) for id in patients)
    conditions: list[Condition] = [Criterion(code, "reference", referring) for code in codes_of(kind)]
    if kind == "Patient":
        ids = dict.fromkeys(id for patient in patients for id in reads.person(patient))
        conditions.append(Criterion("_id", "token", tuple(TokenValue(None, id) for id in ids)))
    return AnyOf(tuple(conditions))


def belongs_to(version: Version, patients: Set[str]) -> bool:
    """It lies in the compartment of one of them."""
    if version.type == "Patient" and version.id in patients:
        return True
    codes = codes_of(version.type)
    return any(
        isinstance(value, Reference) and value.type == "Patient" and value.id in patients
        for code, value in extract(fhir_json.load(version.body))
        if code in codes
    )
