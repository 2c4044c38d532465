"""HL7 v2 ORC, RXA, RXR and OBX of VXU → Immunization.

https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-rxa-to-immunization.html; HL7 v2.5.1 4A.4 and tables 0322, 0323.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mappers.base import CannotMap, Resource
from mappers.datatypes import decimal_of, quantity
from mappers.hl7v2.codes import shared_concept
from mappers.hl7v2.dosage import route_of, unit_text
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.groups import Drug, Group, Result
from mappers.hl7v2.message import Segment
from mappers.hl7v2.observation import note_text, state_observations
from mappers.hl7v2.types import codeable_concept, concepts, number_identifier, people
from mappers.identity_keys import resource_id

STATUS = {"CP": "completed", "PA": "completed", "RE": "not-done", "NA": "not-done"}  # HL7 table 0322 (RXA-20)
NO_VACCINE = "998"  # CVX: no vaccine given; the OBX say why
UNKNOWN_AMOUNT = 999
NEW_RECORD = "00"  # NIP001 (RXA-9): given here and now; any other code is history
ORIGIN = "http://terminology.hl7.org/CodeSystem/immunization-origin"
ORIGINS = {"01": None, "02": "provider", "03": None, "04": "record", "05": "recall", "06": "school", "07": "jurisdiction"}

# OBX-3 (LOINC) → where of the Immunization it goes
ELIGIBILITY, FUNDING = "64994-7", "30963-3"
EDUCATION = {"29768-9": "publicationDate", "29769-7": "presentationDate"}
STATEMENT = "Vaccine Information Statement"  # what the two codes are about
REACTION = "31044-1"
DOSE_NUMBER, SERIES_DOSES, VACCINE_TYPE = "30973-2", "59782-3", "30956-7"


def state_immunizations(draft: Draft, groups: list[Group]) -> None:
    """One Immunization an RXA. Raise CannotMap without any."""
    stated = 0
    for group in groups:
        for place, drug in enumerate(drug for drug in group.drugs if drug.segment.name == "RXA"):
            stated += 1
            results = group.results if place == 0 else []
            key = _key(draft, group, drug.segment)
            if drug.segment.value(5) == NO_VACCINE:
                state_observations(draft, _only(group, results), ("immunization", *key))
            else:
                _state(draft, group, drug, results, key)
    if not stated:
        raise CannotMap("a vaccination without RXA")


def _only(group: Group, results: list[Result]) -> Group:
    return Group(orc=group.orc, results=results)


def _key(draft: Draft, group: Group, rxa: Segment) -> tuple[str, ...]:
    """ORC-3, the filler's number, else ORC-2; else patient, vaccine and day."""
    number = (group.orc.value(3) or group.orc.value(2)) if group.orc else ""
    if number:
        return (draft.facility, number)
    draft.note("missing", "ORC-3", "no vaccination number; patient, vaccine and day identify it", "information")
    return (draft.facility, *draft.patient_key, rxa.value(5) or rxa.value(5, 2) or "-", rxa.value(3)[:8] or "-")


def _state(draft: Draft, group: Group, drug: Drug, results: list[Result], key: tuple[str, ...]) -> None:
    rxa = drug.segment
    immunization: Resource = {"resourceType": "Immunization", "id": resource_id("Immunization", *key)}
    numbers = ((group.orc.value(3), "vaccination", "FILL"), (group.orc.value(2), "order", "PLAC")) if group.orc else ()
    if identifiers := [number_identifier(draft, number, kind, code) for number, kind, code in numbers if number]:
        immunization["identifier"] = identifiers
    immunization["status"] = _status(draft, rxa)
    immunization["vaccineCode"] = _vaccine(draft, rxa)
    immunization["patient"] = draft.patient
    told = {result.obx.number for result in results if _speaks_of_the_vaccine(result)}
    rest = [result for result in results if result.obx.number not in told]
    reactions = _state_rest(draft, _only(group, rest), immunization["id"], key)
    amount = decimal_of(rxa.value(6))
    expires = draft.date(rxa, 16)
    route = route_of(draft, drug.routes)
    note = [text for text in (_free_note(rxa), note_text(drug.notes)) if text]
    stated: dict[str, Any] = {
        "statusReason": codeable_concept(draft, rxa, 18, "refusal-reason"),
        "encounter": draft.encounter,
        **_occurrence(draft, rxa),
        "recorded": draft.datetime(rxa, 22),
        "primarySource": _is_primary(rxa),
        "reportOrigin": _report_origin(rxa),
        "location": _location(draft, rxa),
        "manufacturer": _manufacturer(draft, rxa),
        "lotNumber": rxa.value(15),
        "expirationDate": expires if expires and len(expires) == 10 else None,
        "site": route.get("site"),
        "route": route.get("route"),
        "doseQuantity": quantity(amount, unit_text(rxa, 7)) if amount is not None and amount != UNKNOWN_AMOUNT else None,
        "performer": _performers(draft, group, rxa),
        "note": [{"text": text} for text in note],
        "reasonCode": concepts(draft, rxa, 19, "reason"),
        **_said_by_results(draft, results),
        "reaction": [{"detail": reference} for reference in reactions],
    }
    draft.state(immunization | {element: value for element, value in stated.items() if value not in (None, "", [], {})})


def _status(draft: Draft, rxa: Segment) -> str:
    """RXA-21 D takes the record back; an RXA-20 that is not there is a vaccination that was given (4A.4.7.20)."""
    if rxa.value(21).upper() == "D":
        return "entered-in-error"
    code = rxa.value(20)
    if not code:
        draft.note("missing", f"{rxa.where}-20", "no completion status: the standard reads it as completed", "information")
        return "completed"
    return draft.translate(STATUS, code, f"{rxa.where}-20", "HL7 table 0322") or "completed"


def _vaccine(draft: Draft, rxa: Segment) -> dict[str, Any]:
    code = shared_concept(draft, rxa, 5, "vaccine")
    if code is None:
        draft.note("missing", f"{rxa.where}-5", "a vaccination without a vaccine")
    return code or {"text": "unnamed"}


def _occurrence(draft: Draft, rxa: Segment) -> dict[str, Any]:
    """occurrence[x] is required: without a day the words of R4 for it."""
    when = draft.datetime(rxa, 3) or draft.datetime(rxa, 4)
    if when is None:
        draft.note("missing", f"{rxa.where}-3", "no day of vaccination")
        return {"occurrenceString": "unknown"}
    return {"occurrenceDateTime": when}


def _is_primary(rxa: Segment) -> bool | None:
    code = rxa.value(9)
    return code == NEW_RECORD if code else None


def _report_origin(rxa: Segment) -> dict[str, Any] | None:
    code, name = rxa.value(9), rxa.value(9, 2)
    if not code or code == NEW_RECORD:
        return None
    mapped = ORIGINS.get(code)
    coding = [{"system": ORIGIN, "code": mapped}] if mapped else []
    source = {"system": "urn:oid:2.16.840.1.114222.4.5.305", "code": code} | ({"display": name} if name else {})  # NIP001
    return {"coding": [*coding, source]} | ({"text": name} if name else {})


def _free_note(rxa: Segment) -> str:
    """RXA-9 in words, where it is not the code of the source of information."""
    return rxa.value(9, 2) if not rxa.value(9) else ""


def _location(draft: Draft, rxa: Segment) -> dict[str, Any] | None:
    """RXA-11 (LA2): a place, else its facility (component 4); 2.7 has it in RXA-27."""
    for field in (11, 27):
        place = " ".join(part for component in (1, 2, 3) if (part := rxa.value(field, component)))
        name = rxa.value(field, 4) or place
        if name:
            return {"type": "Location", "identifier": {"system": draft.local("location"), "value": name}, "display": place or name}
    return None


def _manufacturer(draft: Draft, rxa: Segment) -> dict[str, Any] | None:
    code, name, system = rxa.value(17), rxa.value(17, 2), rxa.value(17, 3)
    if not code and not name:
        return None
    space = "http://hl7.org/fhir/sid/mvx" if system.upper() == "MVX" else draft.local("manufacturer")
    return {"type": "Organization"} | ({"identifier": {"system": space, "value": code}} if code else {}) | {"display": name or code}


def _performers(draft: Draft, group: Group, rxa: Segment) -> list[dict[str, Any]]:
    """RXA-10 gave it, ORC-12 ordered it."""
    system = "http://terminology.hl7.org/CodeSystem/v2-0443"
    places = [("AP", people(draft, rxa, 10)), ("OP", people(draft, group.orc, 12) if group.orc else [])]
    return [
        {"function": {"coding": [{"system": system, "code": role}]}, "actor": person} for role, found in places for person in found
    ]


# ---------------------------------------------------------------- OBX


def _state_rest(draft: Draft, group: Group, immunization: str, key: tuple[str, ...]) -> list[dict[str, Any]]:
    """What has no place in the Immunization is an Observation of it; → references to those that tell of a reaction."""
    before = len(draft.changes)
    references = state_observations(draft, group, ("immunization", *key))
    for change in draft.changes[before:]:
        if change.resource["resourceType"] == "Observation":
            change.resource["partOf"] = [{"reference": f"Immunization/{immunization}"}]
    return [
        reference
        for reference, result in zip(references, group.results, strict=False)
        if _item(result) == REACTION and result.obx.has(5) and reference["reference"].startswith("Observation/")
    ]


def _item(result: Result) -> str:
    return result.obx.value(3)


def _speaks_of_the_vaccine(result: Result) -> bool:
    known = {ELIGIBILITY, FUNDING, DOSE_NUMBER, SERIES_DOSES, VACCINE_TYPE, *EDUCATION}
    return _item(result) in known and not result.obx.deleted(5) and result.obx.has(5)


def _said_by_results(draft: Draft, results: Sequence[Result]) -> dict[str, Any]:
    """Eligibility, funding, education and dose number; what else stands in OBX is an Observation."""
    eligible: list[dict[str, Any]] = []
    education: dict[str, dict[str, Any]] = {}
    protocol: dict[str, Any] = {}
    funding: dict[str, Any] | None = None
    for result in results:
        obx, code = result.obx, _item(result)
        if code == ELIGIBILITY:
            eligible += [found] if (found := codeable_concept(draft, obx, 5, "eligibility")) else []
        elif code == FUNDING:
            funding = codeable_concept(draft, obx, 5, "funding")
        elif code in EDUCATION and (day := draft.datetime(obx, 5)):
            education.setdefault(obx.value(4), {})[EDUCATION[code]] = day
        elif code == VACCINE_TYPE and (kind := codeable_concept(draft, obx, 5, "document-type")):
            education.setdefault(obx.value(4), {})["documentType"] = kind["text"]
        elif code in {DOSE_NUMBER, SERIES_DOSES}:
            protocol |= _dose("doseNumber" if code == DOSE_NUMBER else "seriesDoses", obx.value(5))
    if protocol and not any(name.startswith("doseNumber") for name in protocol):
        protocol["doseNumberString"] = "unknown"  # required beside the number of doses of the series
    return {
        "programEligibility": eligible,
        "fundingSource": funding,
        "education": [{"documentType": STATEMENT, **entry} for entry in education.values()],
        "protocolApplied": [protocol] if protocol else [],
    }


def _dose(element: str, text: str) -> dict[str, Any]:
    if text.isdecimal() and int(text) > 0:
        return {f"{element}PositiveInt": int(text)}
    return {f"{element}String": text} if text else {}
