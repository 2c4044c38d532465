"""C-CDA and other CDA R2 entries → resources, by section and kind of statement.

https://hl7.org/cda/us/ccda/ ; mappings as in https://build.fhir.org/ig/HL7/ccda-on-fhir/. Read: problems, allergies, medications,
immunizations, results, vital signs, procedures, encounters, social history and other observations. What is planned, and what has
no code and no name, stays in the narrative and is counted as unmapped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mappers.base import Resource
from mappers.cda.ccda_values import amount, codeable, interpretations, pointed_at, reference_ranges, times, value_x
from mappers.cda.document import Document, coding
from mappers.cda.entries import Section, Statement, every
from mappers.cda.medications import product_of
from mappers.cda.reader import Element, attribute, below, child, children, id_of, local, text_of
from profiles.names import DIAGNOSTIC_SERVICE, LOINC, OBSERVATION_CATEGORY

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
NO_KNOWN_ALLERGY = {"coding": [{"system": "http://snomed.info/sct", "code": "716186003", "display": "No known allergy"}]}
PROBLEMS = frozenset({"11450-4", "11348-0", "46241-6", "42347-5", "11535-2", "10219-4", "10218-6", "59769-0"})
ALLERGIES, IMMUNIZATIONS, ENCOUNTERS = "48765-2", "11369-6", "46240-8"
RESULTS, VITALS, SOCIAL = "30954-2", "8716-3", "29762-2"
NOT_DONE_YET = frozenset({"18776-5", "59772-4", "61146-7"})  # plans and goals
CATEGORY = {RESULTS: "laboratory", VITALS: "vital-signs", SOCIAL: "social-history", "11502-2": "laboratory"}
OBSERVED = {"completed": "final", "active": "preliminary", "aborted": "cancelled", "cancelled": "cancelled"}
DONE = {"completed": "completed", "active": "in-progress", "aborted": "stopped", "cancelled": "not-done"}
SEVERITY = {"255604002": "mild", "6736007": "moderate", "24484000": "severe"}  # SNOMED CT
# observation/code of an allergy's parts and of a problem's state
REACTION_RELATION, SEVERITY_CODE, STATUS_CODE = "MFST", "SEV", "33999-4"


def state_ccda(document: Document) -> None:
    for section in document.sections:
        if section.code in NOT_DONE_YET:
            continue
        if section.code == RESULTS:
            _state_panels(document, section)
        for found in _done(section):
            if found.element not in document.used:
                _state(document, section, found)


def _done(section: Section) -> Iterator[Statement]:
    return (found for found in every(section.statements) if attribute(found.element, "moodCode") in ("EVN", "INT", ""))


def _state(document: Document, section: Section, found: Statement) -> None:
    element = found.element
    if found.what == "substanceAdministration":
        (_state_immunization if section.code == IMMUNIZATIONS else _state_medication)(document, found)
    elif attribute(element, "moodCode") == "INT":
        return
    elif found.what == "procedure" or (found.what in ("act", "observation") and section.code == "47519-4"):
        _state_procedure(document, found)
    elif found.what == "encounter" and section.code == ENCOUNTERS:
        _state_encounter(document, found)
    elif found.what == "observation" and section.code == ALLERGIES:
        _state_allergy(document, found)
    elif found.what == "observation" and section.code in PROBLEMS:
        _state_problem(document, found)
    elif found.what == "observation":
        _state_observation(document, section, found)


def _id(document: Document, resource_type: str, element: Element) -> str:
    """By the entry's own id; entries copied with their id stay apart by their order."""
    own = id_of(child(element, "id"))
    name = own.text if own else "-"
    return document.id(resource_type, name, document.nth(resource_type, name))


def _negated(element: Element) -> bool:
    return attribute(element, "negationInd") == "true"


def _around(found: Statement, name: str) -> Element | None:
    return next((e for e in found.element.iterancestors(name)), None)


# ---------------------------------------------------------------- problems and allergies


def _state_problem(document: Document, found: Statement) -> None:
    element = found.element
    code = codeable(document, child(element, "value"))
    if code is None or not (found.kind in ("CD", "CE") or code.get("text")):
        return
    concern = _around(found, "act")
    start, end = times(document, element)
    ended = end or attribute(child(concern, "statusCode"), "code") == "completed"
    condition: Resource = {
        "resourceType": "Condition",
        "id": _id(document, "Condition", element),
        "clinicalStatus": coding(f"{TERMINOLOGY}condition-clinical", "resolved" if ended else "active"),
        "category": [coding(f"{TERMINOLOGY}condition-category", "problem-list-item", "Problem List Item")],
        "code": code,
        "subject": document.patient,
        **({"onsetDateTime": start} if start else {}),
        **({"abatementDateTime": end} if end else {}),
    }
    if _negated(element):
        condition["verificationStatus"] = coding(f"{TERMINOLOGY}condition-ver-status", "refuted")
        condition.pop("abatementDateTime", None)
        condition["clinicalStatus"] = coding(f"{TERMINOLOGY}condition-clinical", "inactive")
    document.use("Condition", element, *_status_parts(found))
    document.add(document.of_document(condition), at=element)


def _status_parts(found: Statement) -> list[Element]:
    return [inner.element for inner in every(found.children) if attribute(child(inner.element, "code"), "code") == STATUS_CODE]


def _state_allergy(document: Document, found: Statement) -> None:
    element = found.element
    substance = next(below(element, "playingEntity"), None)
    code = codeable(document, child(substance, "code")) or ({"text": text} if (text := text_of(child(substance, "name"))) else None)
    if code is None and _negated(element):
        code = NO_KNOWN_ALLERGY
    if code is None:
        return
    start, end = times(document, element)
    concern = attribute(child(_around(found, "act"), "statusCode"), "code")
    allergy: Resource = {
        "resourceType": "AllergyIntolerance",
        "id": _id(document, "AllergyIntolerance", element),
        "clinicalStatus": coding(
            f"{TERMINOLOGY}allergyintolerance-clinical", "resolved" if end else "inactive" if concern == "completed" else "active"
        ),
        "code": code,
        "patient": document.patient,
        **({"onsetDateTime": start} if start else {}),
    }
    if _negated(element) and code is not NO_KNOWN_ALLERGY:
        allergy["verificationStatus"] = coding(f"{TERMINOLOGY}allergyintolerance-verification", "refuted")
    if reactions := [reaction for inner in found.children if (reaction := _reaction(document, inner))]:
        allergy["reaction"] = reactions
    document.use("AllergyIntolerance", element, *_status_parts(found))
    document.add(document.of_document(allergy), at=element)


def _reaction(document: Document, inner: Statement) -> dict[str, Any] | None:
    relation = inner.element.getparent()
    if attribute(relation, "typeCode") != REACTION_RELATION:
        return None
    manifestation = codeable(document, child(inner.element, "value"))
    if manifestation is None:
        return None
    document.use("AllergyIntolerance.reaction", inner.element)
    reaction: dict[str, Any] = {"manifestation": [manifestation]}
    for part in every(inner.children):
        known = SEVERITY.get(attribute(child(part.element, "value"), "code"))
        if attribute(child(part.element, "code"), "code") == SEVERITY_CODE and known:
            reaction["severity"] = known
            document.use("AllergyIntolerance.reaction.severity", part.element)
    return reaction


# ---------------------------------------------------------------- drugs and vaccines


def _drug(document: Document, element: Element) -> dict[str, Any] | None:
    product = product_of(element)
    return codeable(document, child(product, "code")) or ({"text": text} if (text := text_of(child(product, "name"))) else None)


def _state_medication(document: Document, found: Statement) -> None:
    element = found.element
    code = _drug(document, element)
    if code is None:
        return
    planned = attribute(element, "moodCode") == "INT"
    kind = "MedicationRequest" if planned else "MedicationStatement"
    start, end = times(document, element)
    period = {**({"start": start} if start else {}), **({"end": end} if end else {})}
    resource: Resource = {
        "resourceType": kind,
        "id": _id(document, kind, element),
        "status": _medication_status(element, planned=planned),
        "medicationCodeableConcept": code,
        "subject": document.patient,
    }
    said = _dosage(document, element)
    if planned:
        resource["intent"] = "order"
        if period:
            said = said | {
                "timing": said.get("timing", {}) | {"repeat": said.get("timing", {}).get("repeat", {}) | {"boundsPeriod": period}}
            }
    elif period:
        resource["effectivePeriod"] = period
    if said:
        resource["dosageInstruction" if planned else "dosage"] = [said]
    reference = document.encounter_reference
    if reference:
        resource["encounter" if planned else "context"] = reference
    if reasons := _reasons(document, found):
        resource["reasonCode"] = reasons
    document.use(kind, element)
    document.add(resource, at=element)


def _reasons(document: Document, found: Statement) -> list[dict[str, Any]]:
    """What it is for: observations in an entryRelationship RSON."""
    reasons = []
    for inner in found.children:
        reason = codeable(document, child(inner.element, "value"))
        if attribute(inner.element.getparent(), "typeCode") == "RSON" and reason:
            reasons.append(reason)
            document.use("reasonCode", inner.element)
    return reasons


def _medication_status(element: Element, *, planned: bool) -> str:
    status = attribute(child(element, "statusCode"), "code")
    if _negated(element):
        return "cancelled" if planned else "not-taken"
    return {"completed": "completed", "active": "active", "aborted": "stopped"}.get(status, "active" if status else "unknown")


def _dosage(document: Document, element: Element) -> dict[str, Any]:
    text = pointed_at(document, child(element, "text"))
    route, dose = codeable(document, child(element, "routeCode")), amount(child(element, "doseQuantity"))
    timing = next((found for time in children(element, "effectiveTime") if (found := _repeat(time))), None)
    return {
        **({"text": text} if text else {}),
        **({"timing": {"repeat": timing}} if timing else {}),
        **({"route": route} if route else {}),
        **({"doseAndRate": [{"doseQuantity": dose}]} if dose else {}),
    }


def _repeat(time: Element) -> dict[str, Any] | None:
    """PIVL: every so many hours."""
    period = amount(child(time, "period"))
    unit = (period or {}).get("code") or (period or {}).get("unit")
    if period is None or unit not in ("s", "min", "h", "d", "wk", "mo", "a"):
        return None
    return {"frequency": 1, "period": period["value"], "periodUnit": unit}


def _state_immunization(document: Document, found: Statement) -> None:
    element = found.element
    code = _drug(document, element)
    start, end = times(document, element)
    if code is None:
        return
    product = product_of(element)
    maker = text_of(child(next(below(element, "manufacturerOrganization"), None), "name"))
    lot, route = text_of(child(product, "lotNumberText")), codeable(document, child(element, "routeCode"))
    dose = amount(child(element, "doseQuantity"))
    immunization: Resource = {
        "resourceType": "Immunization",
        "id": _id(document, "Immunization", element),
        "status": "not-done" if _negated(element) else "completed",
        "vaccineCode": code,
        "patient": document.patient,
        **({"occurrenceDateTime": start or end} if start or end else {"occurrenceString": "unknown"}),
        **({"lotNumber": lot} if lot else {}),
        **({"route": route} if route else {}),
        **({"doseQuantity": dose} if dose else {}),
        **({"manufacturer": {"display": maker}} if maker else {}),
    }
    document.use("Immunization", element)
    document.add(document.of_document(immunization), at=element)


# ---------------------------------------------------------------- procedures and encounters


def _state_procedure(document: Document, found: Statement) -> None:
    element = found.element
    code = codeable(document, child(element, "code"))
    if code is None:
        return
    start, end = times(document, element)
    procedure: Resource = {
        "resourceType": "Procedure",
        "id": _id(document, "Procedure", element),
        "status": "not-done" if _negated(element) else DONE.get(attribute(child(element, "statusCode"), "code"), "unknown"),
        "code": code,
        "subject": document.patient,
    }
    if start and end:
        procedure["performedPeriod"] = {"start": start, "end": end}
    elif start or end:
        procedure["performedDateTime"] = start or end
    sites = [site for e in children(element, "targetSiteCode") if (site := codeable(document, e))]
    if sites:
        procedure["bodySite"] = sites
    document.use("Procedure", element)
    document.add(document.of_document(procedure), at=element)


def _state_encounter(document: Document, found: Statement) -> None:
    element = found.element
    start, end = times(document, element)
    kind = codeable(document, child(element, "code"))
    period = {**({"start": start} if start else {}), **({"end": end} if end else {})}
    encounter: Resource = {
        "resourceType": "Encounter",
        "id": _id(document, "Encounter", element),
        "status": "finished" if attribute(child(element, "statusCode"), "code") in ("completed", "") else "unknown",
        "class": {"system": f"{TERMINOLOGY}v3-NullFlavor", "code": "UNK"},
        "subject": document.patient,
        **({"type": [kind]} if kind else {}),
        **({"period": period} if period else {}),
    }
    document.use("Encounter", element)
    document.add(encounter, at=element)


# ---------------------------------------------------------------- observations and panels


def _state_observation(document: Document, section: Section, found: Statement) -> Resource | None:
    element = found.element
    code = codeable(document, child(element, "code"))
    value = value_x(document, child(element, "value"))
    if code is None or not value:
        return None
    start, end = times(document, element)
    observation: Resource = {
        "resourceType": "Observation",
        "id": _id(document, "Observation", element),
        "status": OBSERVED.get(attribute(child(element, "statusCode"), "code"), "unknown"),
        "category": [coding(OBSERVATION_CATEGORY, CATEGORY.get(section.code, "exam"))],
        "code": code,
        "subject": document.patient,
        **value,
        **(
            {"effectivePeriod": {"start": start, "end": end}}
            if start and end
            else {"effectiveDateTime": start or end}
            if start or end
            else {}
        ),
    }
    if marks := interpretations(element):
        observation["interpretation"] = marks
    if ranges := reference_ranges(document, element):
        observation["referenceRange"] = ranges
    document.use("Observation", element)
    return document.add(document.of_document(observation), at=element)


def _state_panels(document: Document, section: Section) -> None:
    """An organizer of results is a DiagnosticReport of its observations."""
    panels: dict[Element, list[Resource]] = {}
    for found in section.statements:
        if found.what != "observation" or found.group is None or local(found.group) != "organizer":
            continue
        if observation := _state_observation(document, section, found):
            panels.setdefault(found.group, []).append(observation)
    for organizer, results in panels.items():
        start, end = times(document, organizer)
        first_time = results[0].get("effectiveDateTime")
        report: Resource = {
            "resourceType": "DiagnosticReport",
            "id": _id(document, "DiagnosticReport", organizer),
            "status": OBSERVED.get(attribute(child(organizer, "statusCode"), "code"), "unknown"),
            "category": [coding(DIAGNOSTIC_SERVICE, "LAB")],
            "code": codeable(document, child(organizer, "code"))
            or coding(LOINC, "30954-2", "Relevant diagnostic tests/laboratory data Narrative"),
            "subject": document.patient,
            "result": [{"reference": f"Observation/{result['id']}"} for result in results],
            **({"effectiveDateTime": when} if (when := start or end or first_time) else {}),
        }
        document.use("DiagnosticReport", organizer)
        document.add(document.of_document(report), at=organizer)
