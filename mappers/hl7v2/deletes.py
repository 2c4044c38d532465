"""A field that holds "" deletes the element it goes to (HL7 v2.5.1 2.5.3); an empty one says nothing.

Only for what several messages state in parts (`patch`): a resource that is stated whole is without it anyway.
"""

from __future__ import annotations

from collections.abc import Mapping

from mappers.base import Resource
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Segment

Places = Mapping[int, str]
"""Field → element of the resource."""

ORDER_ORC: Places = {4: "requisition", 7: "priority", 9: "authoredOn"}
ORDER_OBR: Places = {13: "note", 24: "category", 31: "reasonCode", 36: "occurrenceDateTime"}
DRUG_ORC: Places = {4: "groupIdentifier", 7: "priority", 9: "authoredOn", 10: "recorder", 16: "statusReason", 29: "category"}
DRUG_RXE: Places = {9: "substitution", 10: "dispenseRequest", 21: "note", 27: "reasonCode"}
DRUG_RXO: Places = {6: "note", 9: "substitution", 11: "dispenseRequest", 20: "reasonCode"}
APPOINTMENT: Places = {7: "reasonCode", 8: "appointmentType", 9: "minutesDuration", 26: "basedOn"}
DOCUMENT: Places = {6: "date", 9: "author", 10: "authenticator", 18: "securityLabel", 25: "description"}
PROBLEM: Places = {7: "recordedDate", 9: "abatementDateTime", 13: "verificationStatus", 16: "onsetDateTime", 26: "severity"}
REFERRAL_RF1: Places = {2: "priority", 4: "orderDetail", 7: "occurrencePeriod", 10: "reasonCode"}


def state_patch(draft: Draft, resource: Resource, *places: tuple[Segment | None, Places]) -> None:
    """State by `patch` what the message says, and null for what its segments delete and do not say otherwise."""
    deleted = {
        element: None
        for segment, fields in places
        if segment is not None
        for field, element in fields.items()
        if segment.deleted(field) and element not in resource
    }
    draft.state(resource | deleted, "patch")
