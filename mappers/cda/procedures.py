"""procedure of WS/T 500 → Procedure, or ServiceRequest where it is only planned; nursing operations and transfusions too.

What stands below a procedure is placed by the table PARTS; measurements below it become Observations that are part of it.
"""

from __future__ import annotations

from typing import Any

from mappers.base import Resource
from mappers.cda.codes import CN
from mappers.cda.document import Document
from mappers.cda.entries import Section, Statement, data_element, every, first
from mappers.cda.people import person
from mappers.cda.reader import attribute, child, children
from mappers.cda.values import boolean, concept, named
from mappers.identity_keys import local_system

NAME = "DE06.00.094"
PLANNED = frozenset({"RQO", "INT", "PRP", "PRMS", "ARQ", "DEF"})
OPERATION_TEXT, NURSING, NURSING_PARTS = "DE05.10.063", "DE06.00.342", ("DE06.00.210", "DE06.00.209")
BAG, REACTION, REACTION_KIND = "DE01.00.023", "DE06.00.264", "DE06.00.265"
# Data element below a procedure → element of Procedure that takes its words
PARTS = {
    "DE06.00.187": "bodySite",
    "DE06.00.093": "bodySite",
    "DE08.50.037": "usedCode",
    "DE08.50.040": "usedCode",
    "DE06.00.340": "reasonCode",
    "DE06.00.107": "reasonCode",
    "DE06.00.253": "outcome",
}
SINGLE = frozenset({"outcome"})
# … → extension that takes its code
CODED_PARTS = {
    "DE06.00.255": "urn:hub:ext:operation-level",
    "DE06.00.257": "urn:hub:ext:incision-class",
    "DE05.10.147": "urn:hub:ext:incision-healing",
    "DE06.00.073": "urn:hub:ext:anaesthesia-method",
    "DE05.10.129": "urn:hub:ext:asa-class",
}
# … → a line of note, with its label
NOTES = (
    "DE05.10.063",
    "DE06.00.251",
    "DE06.00.250",
    "DE06.00.226",
    "DE06.00.181",
    "DE06.00.228",
    "DE08.50.022",
    "DE04.10.260",
    "DE06.00.260",
)
SECTION_KIND = {"56836-0": "输血", "59774-0": "麻醉", "10213-7": "麻醉"}  # what a procedure without a code is, by its section


def state_procedures(document: Document) -> None:
    for section in document.sections:
        for found in section.every():
            if found.what == "procedure" and found.element not in document.used:
                _state(document, section, found)
            elif found.code == NURSING and found.says_something:
                _state_nursing(document, found)


def _code(document: Document, section: Section, found: Statement) -> dict[str, Any] | None:
    """The operation's code and name; a data element in the code's place is a template left as it was."""
    element = child(found.element, "code")
    stated = attribute(element, "code")
    name = first(found.children, NAME)
    display = attribute(element, "displayName")
    text = (name.text if name else "") or display
    if data_element(stated):
        document.note("invalid-value", f"section {section.name}", "a procedure coded by a data element; only its name is taken")
        stated = ""
    if name:
        document.use("Procedure.code", name.element)
    if stated:
        code = Statement(
            found.element, "", "", "", "CD", text, "", stated, attribute(element, "codeSystem") or f"{CN}.2.3.3.12", display
        )
        return (concept(document, code) or {}) | ({"text": text} if text else {})
    kind = SECTION_KIND.get(section.code, "") if any(inner.says_something for inner in found.children) else ""
    return {"text": text or kind} if text or kind else None


def _times(document: Document, found: Statement) -> dict[str, Any]:
    start, end, at = (document.time(text) for text in (found.low, found.high, found.time))
    if start and end:
        return {"performedPeriod": document.period(start, end)}
    when = at or start or end
    return {"performedDateTime": when} if when else {}


def _state(document: Document, section: Section, found: Statement) -> None:
    code = _code(document, section, found)
    if code is None:
        return
    if attribute(found.element, "moodCode") in PLANNED:
        _state_plan(document, found, code)
        return
    procedure: Resource = {
        "resourceType": "Procedure",
        "id": document.id("Procedure", document.nth("Procedure")),
        "status": "completed",
        "code": code,
        "subject": document.patient,
        **_times(document, found),
    }
    if performers := _performers(document, found):
        procedure["performer"] = performers
    site = child(found.element, "targetSiteCode")
    if name := attribute(site, "displayName"):
        procedure["bodySite"] = [{"text": name}]
    for inner in every(found.children):
        _place(document, procedure, inner)
    _state_blood(document, procedure, found)
    document.procedures[found.element] = procedure
    document.use("Procedure", found.element)
    document.add(document.of_document(procedure), at=found.element)


def _place(document: Document, procedure: Resource, inner: Statement) -> None:
    """One statement below a procedure, by the tables above."""
    if not inner.says_something:
        return
    if inner.code in PARTS:
        to, words = PARTS[inner.code], {"text": named(document, inner) or inner.text}
        if to in SINGLE:
            procedure[to] = words
        else:
            procedure.setdefault(to, []).append(words)
        document.use(f"Procedure.{to}", inner.element)
    elif inner.code in CODED_PARTS and (stated := concept(document, inner)):
        procedure.setdefault("extension", []).append({"url": CODED_PARTS[inner.code], "valueCodeableConcept": stated})
        document.use("Procedure.extension", inner.element)
        if anaesthetist := person(document, child(inner.element, "performer", "assignedEntity")):
            procedure.setdefault("performer", []).append({"function": {"text": "麻醉医师"}, "actor": anaesthetist})
    elif inner.code in NOTES:
        procedure.setdefault("note", []).append({"text": f"{inner.label}：{inner.text}" if inner.label else inner.text})
        document.use("Procedure.note", inner.element)


def _performers(document: Document, found: Statement) -> list[dict[str, Any]]:
    roles = [("手术者", child(performer, "assignedEntity")) for performer in children(found.element, "performer")]
    roles += [("", child(participant, "participantRole")) for participant in children(found.element, "participant")]
    result = []
    for function, role in roles:
        actor = person(document, role)
        title = attribute(child(role, "code"), "displayName") or function
        if actor:
            result.append({**({"function": {"text": title}} if title else {}), "actor": actor})
    return result


def _state_plan(document: Document, found: Statement, code: dict[str, Any]) -> None:
    """What a consent form or a plan speaks of: asked for, not done."""
    request: Resource = {
        "resourceType": "ServiceRequest",
        "id": document.id("ServiceRequest", document.nth("ServiceRequest")),
        "status": "active",
        "intent": "plan",
        "code": code,
        "subject": document.patient,
    }
    if when := document.time(found.when):
        request["occurrenceDateTime"] = when
    notes = [inner for inner in every(found.children) if inner.says_something and inner.element not in document.used]
    if notes:
        request["note"] = [{"text": f"{inner.label}：{inner.text}"} for inner in notes]
        document.use("ServiceRequest.note", *(inner.element for inner in notes))
    document.use("ServiceRequest", found.element)
    document.add(document.of_document(request), at=found.element)


def _state_blood(document: Document, procedure: Resource, found: Statement) -> None:
    """A transfusion's bag and its reaction."""
    bag, reaction = first(every(found.children), BAG), first(every(found.children), REACTION)
    if bag:
        identifier = {"system": local_system(document.facility, "blood-bag"), "value": bag.value or bag.coded}
        procedure["usedReference"] = [{"type": "Substance", "identifier": identifier}]
        document.use("Procedure.usedReference", bag.element)
    if reaction and boolean(reaction.value or reaction.coded) is True:
        kind = first(every(found.children), REACTION_KIND)
        procedure["complication"] = [(concept(document, kind) if kind else None) or {"text": "输血反应"}]
        document.use("Procedure.complication", reaction.element, kind.element if kind else None)


def _state_nursing(document: Document, found: Statement) -> None:
    """护理操作名称 with its items and results."""
    when = document.time(found.when) or document.time(document.recorded_at)
    procedure: Resource = {
        "resourceType": "Procedure",
        "id": document.id("Procedure", "nursing", document.nth("Procedure", "nursing")),
        "status": "completed",
        "category": {"text": "护理操作"},
        "code": {"text": found.text},
        "subject": document.patient,
        **({"performedDateTime": when} if when else {}),
    }
    notes = [inner for inner in every(found.children) if inner.code in NURSING_PARTS and inner.says_something]
    if notes:
        procedure["note"] = [{"text": f"{inner.label}：{inner.text}"} for inner in notes]
    document.use("Procedure", found.element, *(inner.element for inner in notes))
    document.add(document.of_document(procedure), at=found.element)


def state_operation(document: Document) -> None:
    """What an operation's record says beside the procedure is the procedure's, if there is one and no more."""
    main = [resource for element, resource in document.procedures.items() if resource["resourceType"] == "Procedure"]
    if len(main) != 1:
        return
    for section in document.sections:
        for found in section.every():
            if found.element not in document.used and _is_of_operation(found):
                _place(document, main[0], found)


def _is_of_operation(found: Statement) -> bool:
    return found.code == OPERATION_TEXT or found.code in ("DE06.00.187", "DE08.50.037", "DE06.00.073", "DE06.00.260")
