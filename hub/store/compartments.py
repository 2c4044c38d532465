"""In whose compartment a resource lies, as the stores write it down beside the resource; and who opens and closes one.

A record that only those may see who were named for it lies in a compartment of its own, `!HIV!p1`: a relation with the patient does
not reach it. A party is a facility's code (it treats the patient), `+CODE` (the patient permits it), `-CODE` and `-*` (the patient
forbids it, or everyone), or any other name that a scope has for its holder.
"""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub.store.port import Scope

RESTRICTED = "!"
ALL_DENIED = "-*"


def restricted_compartment(labels: str, patient: str) -> str:
    return f"{RESTRICTED}{labels}{RESTRICTED}{patient}"


def labels_of_compartment(compartment: str) -> str:
    """ "" for an ordinary one."""
    return compartment.split(RESTRICTED)[1] if compartment.startswith(RESTRICTED) else ""


def patient_in(compartment: str) -> str:
    """The Patient's id, whichever of the patient's compartments it is."""
    return compartment.rpartition(RESTRICTED)[2]


def permitted(facility: str) -> str:
    return f"+{facility}"


def denied(facility: str) -> str:
    return f"-{facility}"


def parties_of(scope: Scope) -> dict[str, str]:
    """What a query asks the relations for, by the name under which it is bound."""
    return {
        "facility": scope.facility,
        "permitted": permitted(scope.facility),
        "denied": denied(scope.facility),
        "all_denied": ALL_DENIED,
        "holder": scope.holder or scope.facility,
    }


def opens(held: Set[str], scope: Scope) -> bool:
    """Whether the parties that have a relation with a patient's person open the record to this reader.

    A holder's own relation outranks a denial; a permission by name outranks a denial of everyone.
    """
    if scope.holder and scope.holder in held:
        return True
    named = permitted(scope.facility) in held
    if denied(scope.facility) in held or (ALL_DENIED in held and not named):
        return False
    return named or scope.facility in held
