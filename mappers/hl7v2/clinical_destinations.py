"""Where the fields of orders, results, drugs, documents and appointments go: the ledger's words for `destinations`.

A row per segment; "MDM/OBX" is that message's own. Element paths are those of FHIR R4.
"""

from __future__ import annotations

from collections.abc import Mapping

Fields = Mapping[int, str]


def _of(resource: str, elements: Fields) -> Fields:
    """Elements of one resource; one that names another itself (`Specimen.type`) stays as it is."""
    return {number: path if path[:1].isupper() else f"{resource}.{path}" for number, path in elements.items()}


_ORC = {
    1: "status",
    2: "identifier",
    3: "identifier",
    5: "status",
    7: "priority",
    9: "authoredOn",
    12: "requester",
}
_SERVICE_ORC = _of("ServiceRequest", {**_ORC, 4: "requisition", 7: "priority, ServiceRequest.occurrence[x]"})

ORDERS: dict[str, Fields] = {
    "ORC": _SERVICE_ORC,
    "OBR": _of(
        "ServiceRequest",
        {
            2: "identifier",
            3: "identifier",
            4: "code",
            5: "priority",
            6: "authoredOn",
            7: "occurrence[x]",
            14: "Specimen.receivedTime",
            15: "Specimen.type",
            16: "requester",
            24: "category",
            27: "priority, ServiceRequest.occurrence[x]",
            31: "reasonCode",
            36: "occurrence[x]",
        },
    ),
    "TQ1": _of("ServiceRequest", {7: "occurrence[x]", 9: "priority"}),
    "NTE": {3: "note"},
}

RESULTS: dict[str, Fields] = {
    "ORU/OBR": _of(
        "DiagnosticReport",
        {
            2: "ServiceRequest.identifier",
            3: "identifier",
            4: "code",
            6: "effective[x]",
            7: "effective[x]",
            8: "effective[x]",
            14: "Specimen.receivedTime",
            15: "Specimen.type",
            16: "ServiceRequest.requester",
            22: "issued",
            24: "category",
            25: "status",
            26: "Observation.derivedFrom",
            29: "Observation.derivedFrom",
            32: "resultsInterpreter",
            33: "resultsInterpreter",
            34: "performer",
            55: "status",
        },
    ),
    "OBX": _of(
        "Observation",
        {
            2: "value[x]",
            3: "code",
            4: "id",
            5: "value[x]",
            6: "valueQuantity.unit",
            7: "referenceRange",
            8: "interpretation",
            9: "interpretation",
            10: "status",
            11: "status",
            14: "effectiveDateTime",
            15: "performer",
            16: "performer",
            17: "method",
            18: "device",
            20: "bodySite",
            21: "identifier",
            23: "performer",
            31: "status",
        },
    ),
    "SPM": _of(
        "Specimen",
        {
            2: "identifier",
            3: "parent",
            4: "type",
            6: "container.additiveCodeableConcept",
            7: "collection.method",
            8: "collection.bodySite",
            12: "collection.quantity",
            14: "note",
            17: "collection.collected[x]",
            18: "receivedTime",
            20: "status",
            21: "condition, Specimen.status",
            24: "condition",
            27: "container.type",
            35: "status",
        },
    ),
    "SAC": _of(
        "Specimen",
        {
            2: "accessionIdentifier",
            3: "container.identifier",
            6: "type",
            9: "container.type",
            27: "container.additiveCodeableConcept",
        },
    ),
}
RESULTS["OUL/OBR"] = RESULTS["ORU/OBR"]

_IMAGING = {
    1: "ServiceRequest.identifier",
    3: "ServiceRequest.supportingInfo",
    5: "ServiceRequest.category",
    6: "ServiceRequest.orderDetail",
    7: "ServiceRequest.performer",
    8: "ServiceRequest.locationCode",
}

# ---------------------------------------------------------------- drugs

_REQUEST_ORC = _of("MedicationRequest", {**_ORC, 4: "groupIdentifier", 10: "recorder", 16: "statusReason", 29: "category"})
_DOSE = "dosageInstruction.doseAndRate"
_REQUEST = {
    "RXO": {
        1: "medication[x]",
        2: _DOSE,
        3: _DOSE,
        4: _DOSE,
        5: "extension",
        6: "note",
        7: "dosageInstruction.text",
        9: "substitution",
        11: "dispenseRequest.quantity",
        12: "dispenseRequest.quantity",
        13: "dispenseRequest.numberOfRepeatsAllowed",
        14: "requester",
        17: _DOSE,
        18: "extension",
        19: "extension",
        20: "reasonCode",
        21: _DOSE,
        22: _DOSE,
        23: "extension",
    },
    "RXE": {
        1: "dosageInstruction.timing",
        2: "medication[x]",
        3: _DOSE,
        4: _DOSE,
        5: _DOSE,
        6: "extension",
        7: "dosageInstruction.text",
        9: "substitution",
        10: "dispenseRequest.quantity",
        11: "dispenseRequest.quantity",
        12: "dispenseRequest.numberOfRepeatsAllowed",
        13: "requester",
        15: "identifier",
        19: "extension",
        21: "note",
        22: _DOSE,
        23: _DOSE,
        24: _DOSE,
        25: "extension",
        26: "extension",
        27: "reasonCode",
    },
    "RXG": {
        1: "id",
        3: "dosageInstruction.timing",
        4: "medication[x]",
        5: _DOSE,
        6: _DOSE,
        7: _DOSE,
        8: "extension",
        9: "note",
        13: "dosageInstruction.text",
        14: _DOSE,
        15: _DOSE,
        16: _DOSE,
        17: "extension",
        18: "extension",
    },
}
_TIMES = dict.fromkeys((3, 6, 7, 8, 10, 11, 14), "MedicationRequest.dosageInstruction.timing")

DRUGS: dict[str, Fields] = {
    **{name: _of("MedicationRequest", elements) for name, elements in _REQUEST.items()},
    "RXD": _of(
        "MedicationDispense",
        {
            1: "id",
            2: "medication[x]",
            3: "whenHandedOver",
            4: "quantity",
            5: "quantity",
            6: "extension",
            7: "identifier",
            9: "note",
            10: "performer",
            11: "substitution",
            15: "note",
            16: "extension",
            17: "extension",
        },
    ),
    "RXA": _of(
        "MedicationAdministration",
        {
            2: "id",
            3: "effective[x]",
            4: "effective[x]",
            5: "medication[x]",
            6: "dosage.dose",
            7: "dosage.dose",
            8: "extension",
            9: "note",
            10: "performer",
            13: "extension",
            14: "extension",
            18: "statusReason",
            19: "reasonCode",
            20: "status",
            21: "status",
        },
    ),
    "RXR": {1: "dosage route", 2: "dosage site", 4: "dosage method"},
    "RXC": _of(
        "Medication", {1: "ingredient.isActive", 2: "ingredient.item[x]", 3: "ingredient.strength", 4: "ingredient.strength"}
    ),
    **{f"{code}/ORC": _REQUEST_ORC for code in ("OMP", "RDE", "RDS", "RAS", "RGV")},
    **{f"{code}/TQ1": {**_TIMES, 9: "MedicationRequest.priority"} for code in ("OMP", "RDE", "RDS", "RAS", "RGV")},
    "VXU/ORC": _of("Immunization", {2: "identifier", 3: "identifier", 12: "performer"}),
    "VXU/RXR": _of("Immunization", {1: "route", 2: "site", 4: "route"}),
    "VXU/RXA": _of(
        "Immunization",
        {
            3: "occurrence[x]",
            5: "vaccineCode",
            6: "doseQuantity",
            7: "doseQuantity",
            9: "primarySource, Immunization.reportOrigin",
            10: "performer",
            11: "location",
            15: "lotNumber",
            16: "expirationDate",
            17: "manufacturer",
            18: "statusReason",
            19: "reasonCode",
            20: "status",
            21: "status",
            22: "recorded",
            27: "location",
        },
    ),
}

# ---------------------------------------------------------------- diets, supplies, charges, documents, appointments, problems

OTHERS: dict[str, Fields] = {
    "IPC": _IMAGING,
    "ODS": _of("NutritionOrder", {1: "oralDiet, NutritionOrder.supplement", 3: "oralDiet.type", 4: "oralDiet.instruction"}),
    "ODT": _of("NutritionOrder", {1: "oralDiet.instruction", 3: "oralDiet.instruction"}),
    "RQD": _of(
        "SupplyRequest",
        {2: "item[x]", 3: "item[x]", 4: "item[x]", 5: "quantity", 6: "quantity", 10: "occurrence[x]"},
    ),
    "RQ1": _of("SupplyRequest", {2: "item[x]", 4: "item[x]"}),
    "PRT": {2: "performer", 4: "performer", 5: "performer", 8: "performer", 10: "device"},
    "ROL": {2: "performer", 3: "performer", 4: "performer"},
    "FT1": _of(
        "ChargeItem",
        {
            2: "identifier",
            4: "occurrence[x]",
            5: "enteredDate",
            6: "status",
            7: "code",
            8: "note",
            9: "note",
            10: "quantity",
            11: "priceOverride",
            12: "priceOverride",
            13: "performingOrganization",
            19: "reason",
            20: "performer",
            21: "performer",
            23: "service",
            24: "enterer",
            25: "code",
        },
    ),
    "TXA": _of(
        "DocumentReference",
        {
            2: "type",
            3: "content.attachment.contentType",
            4: "context.period",
            5: "author",
            6: "date",
            9: "author",
            10: "authenticator",
            12: "masterIdentifier",
            13: "relatesTo",
            14: "context.related",
            15: "context.related",
            16: "content.attachment.title",
            17: "docStatus",
            18: "securityLabel",
            19: "status",
            22: "authenticator",
            25: "description",
        },
    ),
    "MDM/OBX": _of("DocumentReference", {2: "content", 3: "content.attachment.title", 5: "content.attachment"}),
    "SCH": _of(
        "Appointment",
        {
            1: "identifier",
            2: "identifier",
            6: "cancelationReason, Appointment.reasonCode",
            7: "reasonCode, Appointment.description",
            8: "appointmentType",
            9: "minutesDuration",
            10: "minutesDuration",
            11: "start, Appointment.end",
            16: "participant",
            25: "status",
            26: "basedOn",
        },
    ),
    "AIS": _of(
        "Appointment", {2: "serviceType", 3: "serviceType", 4: "start", 7: "minutesDuration", 8: "minutesDuration", 12: "id"}
    ),
    "AIG": _of("Appointment", {2: "participant", 3: "participant", 4: "participant.type", 8: "start", 14: "participant.status"}),
    "AIL": _of("Appointment", {2: "participant", 3: "participant", 4: "participant.type", 6: "start", 12: "participant.status"}),
    "AIP": _of("Appointment", {2: "participant", 3: "participant", 4: "participant.type", 6: "start", 12: "participant.status"}),
    "SIU/TQ1": _of("Appointment", {6: "minutesDuration", 7: "start", 8: "end"}),
    "PRB": _of(
        "Condition",
        {
            1: "verificationStatus",
            2: "recordedDate",
            3: "code",
            4: "identifier",
            7: "recordedDate",
            9: "abatement[x]",
            13: "verificationStatus",
            14: "clinicalStatus",
            16: "onset[x]",
            17: "onset[x]",
            18: "severity",
        },
    ),
    "PPR/ROL": _of("Condition", {2: "asserter", 4: "asserter"}),
    "RF1": _of(
        "ServiceRequest",
        {
            1: "Task.status",
            2: "priority",
            3: "code",
            4: "orderDetail",
            5: "category",
            6: "identifier",
            7: "occurrence[x]",
            8: "occurrence[x]",
            9: "authoredOn",
            10: "reasonCode",
            11: "identifier",
        },
    ),
    "PRD": _of(
        "ServiceRequest",
        {
            1: "requester, ServiceRequest.performer",
            2: "requester, ServiceRequest.performer",
            4: "requester, ServiceRequest.performer",
            7: "requester, ServiceRequest.performer",
            10: "requester, ServiceRequest.performer",
        },
    ),
    "REF/OBR": RESULTS["ORU/OBR"],
}

CLINICAL: dict[str, Fields] = {**ORDERS, **RESULTS, **DRUGS, **OTHERS}
