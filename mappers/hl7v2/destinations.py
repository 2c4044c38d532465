"""Where each field goes: what the ledger says of a field that a part of the mapper read.

Element paths of FHIR R4, as in the segment maps of https://build.fhir.org/ig/HL7/v2-to-fhir/segment_maps.html. A segment whose
fields mean something else in another message has a row of that message's own: "ORM/OBR". A field that is only read to decide or to
check names that in words.
"""

from __future__ import annotations

from collections.abc import Mapping

Fields = Mapping[int, str]

PERSON: dict[str, Fields] = {
    "PID": {
        2: "Patient.identifier",
        3: "Patient.identifier, Patient.id",
        4: "Patient.identifier",
        5: "Patient.name",
        7: "Patient.birthDate",
        8: "Patient.gender",
        11: "Patient.address",
        13: "Patient.telecom",
        14: "Patient.telecom",
        16: "Patient.maritalStatus",
        19: "Patient.identifier",
        29: "Patient.deceasedDateTime",
        30: "Patient.deceasedBoolean",
    },
    "NK1": {
        2: "Patient.contact.name",
        3: "Patient.contact.relationship",
        4: "Patient.contact.address",
        5: "Patient.contact.telecom",
    },
    "MRG": {1: "Patient.link"},
    "AL1": {
        2: "AllergyIntolerance.category",
        3: "AllergyIntolerance.code",
        4: "AllergyIntolerance.criticality",
        5: "AllergyIntolerance.reaction.manifestation",
        6: "AllergyIntolerance.onsetDateTime",
    },
}

VISIT: dict[str, Fields] = {
    "PV1": {
        2: "Encounter.class",
        3: "Encounter.location",
        7: "Encounter.participant",
        8: "Encounter.participant",
        9: "Encounter.participant",
        10: "Encounter.serviceType",
        17: "Encounter.participant",
        19: "Encounter.identifier, Encounter.id",
        36: "Encounter.hospitalization.dischargeDisposition",
        44: "Encounter.period.start",
        45: "Encounter.period.end",
    },
    "DG1": {
        3: "Condition.code",
        4: "Condition.code.text",
        5: "Condition.recordedDate",
        6: "Condition.verificationStatus, Encounter.diagnosis.use",
        15: "Encounter.diagnosis.rank",
    },
}

ORDERS: dict[str, Fields] = {
    "ORC": {
        1: "ServiceRequest.status",
        2: "ServiceRequest.identifier",
        3: "ServiceRequest.identifier",
        4: "ServiceRequest.requisition",
        5: "ServiceRequest.status",
        7: "ServiceRequest.priority, ServiceRequest.occurrence[x]",
        9: "ServiceRequest.authoredOn",
        12: "ServiceRequest.requester",
    },
    "OBR": {
        2: "ServiceRequest.identifier",
        3: "ServiceRequest.identifier",
        4: "ServiceRequest.code",
        5: "ServiceRequest.priority",
        6: "ServiceRequest.authoredOn",
        7: "ServiceRequest.occurrence[x]",
        14: "Specimen.receivedTime",
        15: "Specimen.type",
        16: "ServiceRequest.requester",
        24: "ServiceRequest.category",
        27: "ServiceRequest.priority, ServiceRequest.occurrence[x]",
        31: "ServiceRequest.reasonCode",
        36: "ServiceRequest.occurrence[x]",
    },
    "TQ1": {7: "ServiceRequest.occurrence[x]", 9: "ServiceRequest.priority"},
    "NTE": {3: "note"},
}

_REPORT: Fields = {
    2: "ServiceRequest.identifier",
    3: "DiagnosticReport.identifier",
    4: "DiagnosticReport.code",
    6: "DiagnosticReport.effective[x]",
    7: "DiagnosticReport.effective[x]",
    8: "DiagnosticReport.effective[x]",
    14: "Specimen.receivedTime",
    15: "Specimen.type",
    16: "ServiceRequest.requester",
    22: "DiagnosticReport.issued",
    24: "DiagnosticReport.category",
    25: "DiagnosticReport.status",
    32: "DiagnosticReport.resultsInterpreter",
}
RESULTS: dict[str, Fields] = {
    "ORU/OBR": _REPORT,
    "OUL/OBR": _REPORT,
    "OBX": {
        2: "Observation.value[x]",
        3: "Observation.code",
        4: "Observation.id",
        5: "Observation.value[x]",
        6: "Observation.valueQuantity.unit",
        7: "Observation.referenceRange",
        8: "Observation.interpretation",
        9: "Observation.interpretation",
        10: "Observation.status",
        11: "Observation.status",
        14: "Observation.effectiveDateTime",
        16: "Observation.performer",
        17: "Observation.method",
        18: "Observation.device",
    },
    "SPM": {
        2: "Specimen.identifier",
        4: "Specimen.type",
        17: "Specimen.collection.collectedDateTime",
        18: "Specimen.receivedTime",
    },
}

DESTINATIONS: dict[str, Fields] = {**PERSON, **VISIT, **ORDERS, **RESULTS}


def destination(code: str, segment: str, field: int) -> str:
    """ "PID", 5 → "Patient.name"; "" for a field that no table names."""
    own = DESTINATIONS.get(f"{code}/{segment}", {})
    return own.get(field) or DESTINATIONS.get(segment, {}).get(field, "")
