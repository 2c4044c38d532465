"""WS/T 483: health records of primary care → Encounter of the visit, QuestionnaireResponse of the form, Immunization, referral.

A form's answers are kept one by one under their data element or label; what has a meaning of its own besides (blood pressure,
weight, diagnoses, drugs) is stated by the other makers too. Names of items are those that systems write; they were not read in the
standard itself.
"""

from __future__ import annotations

from typing import Any

from mappers.base import Change, Resource
from mappers.cda.catalogue import folded
from mappers.cda.codes import VISIT_CLASS
from mappers.cda.document import Document
from mappers.cda.entries import Section, Statement, every
from mappers.cda.people import person
from mappers.cda.reader import child
from mappers.cda.values import value_of
from profiles.names import ACT_CODE

VISIT_WAY = "DE06.00.108"
ANSWER_TYPES = {
    "valueBoolean": "valueBoolean",
    "valueQuantity": "valueQuantity",
    "valueDateTime": "valueDateTime",
    "valueString": "valueString",
    "valueInteger": "valueInteger",
}


# ---------------------------------------------------------------- the visit


def state_visit(document: Document) -> None:
    """A follow-up has no visit number: it is an Encounter of its own, at its date, in its way."""
    if document.encounter is not None:
        return
    way = next((found for section in document.sections for found in section.every() if _is_way(found)), None)
    when = document.time(way.when if way else "") or document.time(document.recorded_at)
    code = VISIT_CLASS.get(way.coded or way.value, "") if way else ""
    encounter: Resource = {
        "resourceType": "Encounter",
        "id": document.id("Encounter"),
        "status": "entered-in-error" if document.withdrawn else "finished",
        "class": {"system": ACT_CODE, "code": code or "AMB"},
        "type": [{"text": document.kind.name if document.kind else "随访"}],
        "subject": document.patient,
        "serviceProvider": document.organization,
        **({"period": {"start": when}} if when else {}),
    }
    if way is not None:
        document.use("Encounter.class", way.element)
        document.observed_at = way.when
    if author := person(document, child(document.root, "author", "assignedAuthor")):
        encounter["participant"] = [{"individual": author}]
    document.encounter = encounter
    document.changes.append(Change(encounter))


def _is_way(found: Statement) -> bool:
    return found.says_something and (
        found.code == VISIT_WAY or (not found.code and folded(found.label) in ("随访方式", "随访方式代码"))
    )


# ---------------------------------------------------------------- the form


def state_answers(document: Document) -> None:
    items = [item for section in document.sections if (item := _group(document, section))]
    if not items:
        return
    when = document.time(document.recorded_at)
    author = person(document, child(document.root, "author", "assignedAuthor"))
    response: Resource = {
        "resourceType": "QuestionnaireResponse",
        "id": document.id("QuestionnaireResponse"),
        "questionnaire": f"urn:hub:questionnaire:wst483-{int(document.code[1:])}",
        "status": "completed",
        "subject": document.patient,
        **({"authored": when} if when else {}),
        **({"author": author} if author and "reference" in author else {}),
        "item": items,
    }
    document.add(document.of_document(response))


def _group(document: Document, section: Section) -> Resource | None:
    answers = [
        item for number, found in enumerate(section.statements, start=1) if (item := _item(document, section, found, number))
    ]
    if not answers:
        return None
    return {"linkId": section.name, "text": section.title or section.label or section.name, "item": answers}


def _item(document: Document, section: Section, found: Statement, number: int) -> Resource | None:
    """An entry with its answer, and those below it."""
    if found.what not in ("observation", "act"):
        return None
    name = found.code or folded(found.label) or str(number)
    inner = [below for place, one in enumerate(found.children, start=1) if (below := _item(document, section, one, place))]
    answer = _answer(document, found)
    if answer is None and not inner:
        return None
    item: Resource = {"linkId": f"{section.name}.{name}.{number}", **({"text": found.label} if found.label else {})}
    if answer is not None:
        document.used.setdefault(found.element, "QuestionnaireResponse.item")
        item["answer"] = [{**answer, **({"item": inner} if inner else {})}]
    else:
        item["item"] = inner
    return item


def _answer(document: Document, found: Statement) -> dict[str, Any] | None:
    if not found.says_something:
        return None
    value = value_of(document, found)
    if "valueCodeableConcept" in value:
        stated = value["valueCodeableConcept"]
        return {"valueCoding": stated["coding"][0]} if stated.get("coding") else {"valueString": stated["text"]}
    if not value:
        return {"valueString": found.text}
    return {ANSWER_TYPES[name]: stated for name, stated in value.items() if name in ANSWER_TYPES}


# ---------------------------------------------------------------- WS/T 483.9


VACCINE = ("疫苗名称", "疫苗名称代码", "疫苗种类")
VACCINATED, LOT, SITE, DOSE, MAKER = (
    ("接种日期", "接种日期时间"),
    ("疫苗批号", "批号"),
    ("接种部位",),
    ("剂次", "接种剂次"),
    ("疫苗生产厂家", "生产厂家"),
)


def state_vaccination(document: Document) -> None:
    """Labelled entries, one vaccination from each 疫苗名称 to the next."""
    for section in document.sections:
        flat = [found for found in every(section.statements) if found.what == "observation" and found.says_something]
        starts = [place for place, found in enumerate(flat) if folded(found.label) in VACCINE]
        for place, start in enumerate(starts):
            end = starts[place + 1] if place + 1 < len(starts) else len(flat)
            _state_dose(document, flat[start], flat[start + 1 : end])


def _labelled(found: list[Statement], names: tuple[str, ...]) -> Statement | None:
    return next((one for one in found if folded(one.label) in names), None)


def _state_dose(document: Document, vaccine: Statement, rest: list[Statement]) -> None:
    given, lot, site, dose, maker = (_labelled(rest, names) for names in (VACCINATED, LOT, SITE, DOSE, MAKER))
    when = document.time(given.value if given else vaccine.when)
    code = value_of(document, vaccine)
    immunization: Resource = {
        "resourceType": "Immunization",
        "id": document.id("Immunization", "entry", document.nth("Immunization", "entry")),
        "status": "completed",
        "vaccineCode": code.get("valueCodeableConcept") or {"text": vaccine.text},
        "patient": document.patient,
        **({"occurrenceDateTime": when} if when else {"occurrenceString": "未注明"}),
    }
    if lot:
        immunization["lotNumber"] = lot.text
    if site:
        immunization["site"] = {"text": site.text}
    if maker:
        immunization["manufacturer"] = {"display": maker.text}
    if dose:
        number = {"doseNumberPositiveInt": int(dose.value)} if dose.value.isdecimal() and 0 < int(dose.value) < 100 else None
        immunization["protocolApplied"] = [number or {"doseNumberString": dose.text}]
    document.use("Immunization", *(found.element for found in (vaccine, given, lot, site, dose, maker) if found))
    document.add(document.of_document(immunization), at=vaccine.element)


# ---------------------------------------------------------------- WS/T 483.20


REASON, TO, TO_DEPARTMENT = (
    ("转诊原因", "转院原因", "转诊(院)原因"),
    ("转入医疗机构名称", "转入机构名称", "转入医院"),
    ("转入医疗机构科室", "转入科室", "转入机构科室名称"),
)


def state_referral(document: Document) -> None:
    flat = [found for section in document.sections for found in section.every() if found.says_something]
    reason, to, department = (_labelled(flat, names) for names in (REASON, TO, TO_DEPARTMENT))
    if not (reason or to):
        document.note("missing", "转诊原因", "neither a reason nor a receiver; kept as a document", severity="information")
        return
    author = person(document, child(document.root, "author", "assignedAuthor"))
    when = document.time(document.recorded_at)
    request: Resource = {
        "resourceType": "ServiceRequest",
        "id": document.id("ServiceRequest", "referral"),
        "status": "active",
        "intent": "order",
        "code": {
            "coding": [{"system": "http://snomed.info/sct", "code": "3457005", "display": "Patient referral"}],
            "text": "转诊",
        },
        "subject": document.patient,
        **({"authoredOn": when} if when else {}),
        **({"requester": author} if author else {}),
    }
    if reason:
        request["reasonCode"] = [{"text": reason.text}]
    if to:
        request["performer"] = [{"type": "Organization", "display": to.text}]
    if department:
        request["performerType"] = {"text": department.text}
    document.use("ServiceRequest", *(found.element for found in (reason, to, department) if found))
    document.add(document.of_document(request), at=(reason or to).element)  # type: ignore[union-attr]
