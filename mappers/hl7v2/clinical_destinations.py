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
            32: "resultsInterpreter",
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
            16: "performer",
            17: "method",
            18: "device",
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

CLINICAL: dict[str, Fields] = {**ORDERS, **RESULTS}
