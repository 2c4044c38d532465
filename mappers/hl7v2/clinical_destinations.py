"""Where the fields of orders, results, drugs, documents and appointments go: the ledger's words for `destinations`.

A row per segment; "MDM/OBX" is that message's own. Element paths are those of FHIR R4.
"""

from __future__ import annotations

from mappers.hl7v2.drug_destinations import DRUGS, ORC, Fields, of

__all__ = ["CLINICAL", "Fields"]

_SERVICE_ORC = of(
    "ServiceRequest",
    {
        **ORC,
        4: "requisition",
        7: "priority, ServiceRequest.occurrence[x]",
        8: "basedOn, ServiceRequest.replaces",
        16: "extension(request-statusReason)",
    },
)

ORDERS: dict[str, Fields] = {
    "ORC": _SERVICE_ORC,
    "OBR": of(
        "ServiceRequest",
        {
            2: "identifier",
            3: "identifier",
            4: "code",
            5: "priority",
            6: "authoredOn",
            7: "occurrence[x]",
            13: "note",
            10: "Specimen.collection.collector",
            14: "Specimen.receivedTime",
            15: "Specimen.type",
            16: "requester",
            24: "category",
            27: "priority, ServiceRequest.occurrence[x]",
            31: "reasonCode",
            36: "occurrence[x]",
        },
    ),
    "TQ1": of("ServiceRequest", {7: "occurrence[x]", 8: "occurrence[x]", 9: "priority"}),
    "NTE": {3: "note"},
}

RESULTS: dict[str, Fields] = {
    "ORU/OBR": of(
        "DiagnosticReport",
        {
            2: "ServiceRequest.identifier",
            3: "identifier",
            4: "code",
            6: "effective[x]",
            7: "effective[x]",
            8: "effective[x]",
            10: "Specimen.collection.collector",
            14: "Specimen.receivedTime",
            15: "Specimen.type",
            16: "ServiceRequest.requester",
            22: "issued",
            23: "issued",
            24: "category",
            25: "status",
            26: "Observation.derivedFrom",
            29: "Observation.derivedFrom",
            31: "ServiceRequest.reasonCode",
            32: "resultsInterpreter",
            33: "resultsInterpreter",
            34: "performer",
            55: "status",
        },
    ),
    "OBX": of(
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
    "SPM": of(
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
    "SAC": of(
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

# ---------------------------------------------------------------- diets, supplies, charges, documents, appointments, problems

OTHERS: dict[str, Fields] = {
    "IPC": _IMAGING,
    "ODS": of("NutritionOrder", {1: "oralDiet, NutritionOrder.supplement", 3: "oralDiet.type", 4: "oralDiet.instruction"}),
    "ODT": of("NutritionOrder", {1: "oralDiet.instruction", 3: "oralDiet.instruction"}),
    "RQD": of(
        "SupplyRequest",
        {2: "item[x]", 3: "item[x]", 4: "item[x]", 5: "quantity", 6: "quantity", 10: "occurrence[x]"},
    ),
    "RQ1": of("SupplyRequest", {2: "item[x]", 4: "item[x]"}),
    "PRT": {2: "performer", 4: "performer", 5: "performer", 8: "performer", 10: "device"},
    "ROL": {2: "performer", 3: "performer", 4: "performer"},
    "FT1": of(
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
    "TXA": of(
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
    "MDM/OBX": of("DocumentReference", {2: "content", 3: "content.attachment.title", 5: "content.attachment"}),
    "SCH": of(
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
    "AIS": of(
        "Appointment", {2: "serviceType", 3: "serviceType", 4: "start", 7: "minutesDuration", 8: "minutesDuration", 12: "id"}
    ),
    "AIG": of("Appointment", {2: "participant", 3: "participant", 4: "participant.type", 8: "start", 14: "participant.status"}),
    "AIL": of("Appointment", {2: "participant", 3: "participant", 4: "participant.type", 6: "start", 12: "participant.status"}),
    "AIP": of("Appointment", {2: "participant", 3: "participant", 4: "participant.type", 6: "start", 12: "participant.status"}),
    "SIU/TQ1": of("Appointment", {6: "minutesDuration", 7: "start", 8: "end"}),
    "PRB": of(
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
            26: "severity",
        },
    ),
    "PPR/ROL": of("Condition", {2: "asserter", 4: "asserter"}),
    "RF1": of(
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
    "PRD": of(
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
