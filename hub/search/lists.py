"""Functional lists: `_list=$current-problems` is what the record itself says is current; nobody keeps such a List.

https://hl7.org/fhir/R4/search.html#list leaves to the server which resources are on them.
"""

from __future__ import annotations

from hub.errors import Invalid
from hub.search.criteria import criterion
from hub.search.query import AllOf, Condition
from hub.search.reading import Context, not_supported, shown

Asked = tuple[tuple[str, str], ...]  # parameters and their values, all of which hold

MEANT = ("verification-status:not", "refuted,entered-in-error")
ALLERGIES: Asked = (("clinical-status", "active"), MEANT)

CURRENT: dict[str, dict[str, Asked]] = {
    "$current-problems": {"Condition": (("clinical-status", "active,recurrence,relapse"), MEANT)},
    "$current-allergies": {"AllergyIntolerance": ALLERGIES},
    "$current-drug-allergies": {"AllergyIntolerance": (*ALLERGIES, ("category", "medication"))},
    "$current-medications": dict.fromkeys(("MedicationRequest", "MedicationStatement"), (("status", "active"),)),
}


def functional(resource_type: str, name: str, context: Context) -> Condition:
    """What the resources of this type on the list fulfil."""
    listed = CURRENT.get(name)
    if listed is None:
        raise not_supported(f"a functional list of '_list' other than {', '.join(CURRENT)}")
    if resource_type not in listed:
        raise Invalid(f"{shown(name)} lists {' and '.join(listed)}, never {resource_type}")
    return AllOf(tuple(criterion(resource_type, *asked, context) for asked in listed[resource_type]))
