"""What lies in whose compartment: `Patient/{id}/Observation?…`, `Encounter/{id}/*`. https://hl7.org/fhir/R4/compartmentdefinition.html

A Patient's compartment is the person's: the records of every Patient that is linked to them, as the caller may see them.
"""

from __future__ import annotations

from hub.errors import NotFound
from hub.search.parameters import registry
from hub.search.query import AnyOf, Condition, Criterion, ReferenceValue, TokenValue
from hub.security.reads import Reads
from hub.store.port import Key
from profiles.structures import compartments

ITSELF = "{def}"


def types_of(compartment: str) -> frozenset[str]:
    """The types that can lie in it. Raise NotFound for what is no compartment of R4."""
    found = compartments().get(compartment)
    if found is None:
        raise NotFound(f"{', '.join(sorted(compartments()))} have a compartment; this type has none")
    return frozenset(found) | {compartment}


def condition_of(reads: Reads, key: Key, kind: str) -> Condition:
    """That a resource of `kind` lies in the compartment of `key`. A store expands a Patient to the person (security.reads)."""
    referring = (ReferenceValue(key.type, key.id),)
    codes = [code for code in compartments()[key.type].get(kind, ()) if registry().get(kind, code)]
    conditions: list[Condition] = [Criterion(code, "reference", referring) for code in codes]
    if kind == key.type:
        conditions.append(itself(reads, key))
    return AnyOf(tuple(conditions))


def itself(reads: Reads, key: Key) -> Criterion:
    ids = reads.person(key.id) if key.type == "Patient" else (key.id,)
    return Criterion("_id", "token", tuple(TokenValue(None, id) for id in ids))
