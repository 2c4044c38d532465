"""Where each field goes: what the ledger says of a field that a part of the mapper read.

Element paths of FHIR R4, as in the segment maps of https://build.fhir.org/ig/HL7/v2-to-fhir/segment_maps.html. A segment whose
fields mean something else in another message has a row of that message's own: "ORM/OBR". A field that is only read to decide or to
check names that in words.
"""

from __future__ import annotations

from mappers.hl7v2.admission_destinations import PERSON, VISIT
from mappers.hl7v2.clinical_destinations import CLINICAL, Fields

DESTINATIONS: dict[str, Fields] = {**CLINICAL, **PERSON, **VISIT}


def destination(code: str, segment: str, field: int) -> str:
    """ "PID", 5 → "Patient.name"; "" for a field that no table names."""
    own = DESTINATIONS.get(f"{code}/{segment}", {})
    return own.get(field) or DESTINATIONS.get(segment, {}).get(field, "")
