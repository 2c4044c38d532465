"""The resources of particular patients: as search criteria, so many patients at a time, each resource once.

A patient stands for the person: records under every linked Patient are meant, as the caller may see them.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from functools import cache

from hub import fhir_json
from hub.search.entries import Reference
from hub.search.extract import extract
from hub.search.parameters import registry
from hub.search.query import AnyOf, Condition, Criterion, ReferenceValue, TokenValue
from hub.security.reads import Reads
from hub.store.port import Version
from profiles.structures import compartments

AT_ONCE = 200  # patients of one search


def batches(patients: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(patients[start : start + AT_ONCE]) for start in range(0, len(patients), AT_ONCE)]


@cache
def codes_of(kind: str) -> tuple[str, ...]:
    """Parameters by which a resource refers to the Patient in whose compartment it lies."""
    return tuple(code for code in compartments()["Patient"].get(kind, ()) if registry().get(kind, code))


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
