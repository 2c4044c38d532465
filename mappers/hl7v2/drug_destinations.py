"""Where the fields of drug orders, dispenses, doses and vaccinations go: the ledger's words for `destinations`."""

from __future__ import annotations

from collections.abc import Mapping

Fields = Mapping[int, str]


def of(resource: str, elements: Fields) -> Fields:
    """Elements of one resource; one that names another itself (`Specimen.type`) stays as it is."""
    return {number: path if path[:1].isupper() else f"{resource}.{path}" for number, path in elements.items()}


# ORC of any request
ORC = {
    1: "status",
    2: "identifier",
    3: "identifier",
    5: "status",
    7: "priority",
    9: "authoredOn",
    12: "requester",
}

_REQUEST_ORC = of("MedicationRequest", {**ORC, 4: "groupIdentifier", 10: "recorder", 16: "statusReason", 29: "category"})
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
    **{name: of("MedicationRequest", elements) for name, elements in _REQUEST.items()},
    "RXD": of(
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
    "RXA": of(
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
    "RXC": of(
        "Medication", {1: "ingredient.isActive", 2: "ingredient.item[x]", 3: "ingredient.strength", 4: "ingredient.strength"}
    ),
    **{f"{code}/ORC": _REQUEST_ORC for code in ("OMP", "RDE", "RDS", "RAS", "RGV")},
    **{f"{code}/TQ1": {**_TIMES, 9: "MedicationRequest.priority"} for code in ("OMP", "RDE", "RDS", "RAS", "RGV")},
    "VXU/ORC": of("Immunization", {2: "identifier", 3: "identifier", 12: "performer"}),
    "VXU/RXR": of("Immunization", {1: "route", 2: "site", 4: "route"}),
    "VXU/RXA": of(
        "Immunization",
        {
            3: "occurrence[x]",
            4: "occurrence[x]",
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
