"""Diagnoses → Condition and Encounter.diagnosis, in each of the shapes that documents give them.

A code with the name beside it, before or after; a name with its code below; an organizer of name, code and the state at admission
(front sheet). Western diagnoses are DE05.01.024 and .025, Chinese ones DE05.10.130 and .172; causes of death may be DE05.01.021.
"""

from __future__ import annotations

from typing import Any

from mappers.base import Resource
from mappers.cda.codes import CN
from mappers.cda.document import Document, coding
from mappers.cda.entries import Section, Statement, every
from mappers.cda.values import concept, named

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
WESTERN = ("DE05.01.024", "DE05.01.021", "DE05.01.078")
CODES = {**dict.fromkeys(WESTERN, "DE05.01.025"), "DE05.10.130": "DE05.10.172"}  # code element → name element
NAMES = frozenset({"DE05.01.025", "DE05.10.172", "DE05.10.152"})
TCM_SYSTEM = f"{CN}.2.3.3.14"
AT_ADMISSION = "DE09.00.104"  # 入院病情
ONSET = "DE04.01.018"
ADMISSION_CONDITION = "urn:hub:ext:admission-condition"  # Condition; valueCoding: 入院病情 CV05.10.019

# Section → Encounter.diagnosis.use
SECTION_USE = {"46241-6": "AD", "11535-2": "DD", "10219-4": "pre-op", "10218-6": "post-op"}
LABEL_USE = (("入院诊断", "AD"), ("术前", "pre-op"), ("术后", "post-op"), ("出院", "DD"), ("入院", "AD"))
# A label's word → what it says of how sure the diagnosis is
CERTAINTY = (("初步", "provisional"), ("疑似", "provisional"), ("确定", "confirmed"), ("修正", "confirmed"))


def state_conditions(document: Document) -> None:
    """Each diagnosis, by its place in the document: a corrected one takes the place of the former.

    The visit's own list of diagnoses is stated by records of the visit alone, not by each report and form that repeats one.
    """
    stated: list[dict[str, Any]] = []
    for section in document.sections:
        for said, name in _diagnoses(section):
            use = _use(section, said)
            condition = _condition(document, section, said, name, use)
            entry: dict[str, Any] = {"condition": {"reference": f"Condition/{condition['id']}"}}
            if use:
                entry["use"] = coding(f"{TERMINOLOGY}diagnosis-role", use)
            if any("主要诊断" in (found.label if found else "") for found in (said, name)):
                entry["rank"] = 1
            stated.append(entry)
    if stated and document.encounter is not None and (document.kind is None or document.kind.diagnoses):
        document.encounter["diagnosis"] = stated


def _diagnoses(section: Section) -> list[tuple[Statement, Statement | None]]:
    """Codes, each with its name, and names without a code: below one another, in one organizer, or side by side."""
    flat = [found for found in section.every() if found.code in CODES or found.code in NAMES]
    flat = [found for found in flat if found.says_something and not found.negated]
    elements = {found.element for found in flat}
    nested = {inner.element: found for found in flat for inner in every(found.children) if inner.element in elements}
    names_first = bool(flat) and flat[0].code in NAMES
    result: list[tuple[Statement, Statement | None]] = []
    place = 0
    while place < len(flat):
        one, place = flat[place], place + 1
        after = flat[place] if place < len(flat) else None
        if after is not None and _belong(one, after, nested.get(after.element) is one, names_first=names_first):
            place += 1
            result.append((one, after) if one.code in CODES else (after, one))
        else:
            result.append((one, None))
    return result


def _belong(one: Statement, after: Statement, below: bool, *, names_first: bool) -> bool:
    """One is the code and the other the name of the same diagnosis."""
    if (one.code in CODES) == (after.code in CODES):
        return False
    code, name = (one, after) if one.code in CODES else (after, one)
    if below:
        return True
    if CODES[code.code] != name.code and not (code.system.startswith(TCM_SYSTEM) and name.code == "DE05.10.172"):
        return False
    if ("证候" in code.label) != ("证候" in name.label):
        return False
    in_one_organizer = one.group is after.group and one.group is not None and one.group.tag == "organizer"
    return in_one_organizer or (one.code in NAMES) == names_first


def _use(section: Section, said: Statement) -> str:
    return next((use for word, use in LABEL_USE if word in said.label), "") or SECTION_USE.get(section.code, "")


def _condition(document: Document, section: Section, said: Statement, name: Statement | None, use: str) -> Resource:
    stated = concept(document, said) or {}
    if name is not None and name.value:
        stated["text"] = name.value
    place = use or "diagnosis"
    condition: Resource = {
        "resourceType": "Condition",
        "id": document.id("Condition", place, document.nth("Condition", place)),
        "clinicalStatus": coding(f"{TERMINOLOGY}condition-clinical", "active"),
        "category": [coding(f"{TERMINOLOGY}condition-category", "encounter-diagnosis", "Encounter Diagnosis")],
        "code": stated,
        "subject": document.patient,
    }
    if status := next((status for word, status in CERTAINTY if word in said.label), ""):
        condition["verificationStatus"] = coding(f"{TERMINOLOGY}condition-ver-status", status)
    if when := document.time(said.time):
        condition["recordedDate"] = when
    _add_state_at_admission(document, section, said, condition)
    document.use("Condition.code", *(found.element for found in (said, name) if found))
    return document.add(document.of_document(condition), at=said.element)


def _add_state_at_admission(document: Document, section: Section, said: Statement, condition: Resource) -> None:
    if said.group is None or said.group.tag != "organizer":
        return
    state = next((found for found in section.beside(said) if found.code == AT_ADMISSION and found.coded), None)
    if state is None:
        return
    name = named(document, state)
    value = {"system": document.uri(state.system), "code": state.coded, **({"display": name} if name else {})}
    condition["extension"] = [{"url": ADMISSION_CONDITION, "valueCoding": value}]
    document.use("Condition.extension", state.element)


def state_onset(document: Document) -> None:
    """发病日期时间 where the document has one diagnosis that it can be of."""
    onset = next((found for section in document.sections for found in section.every() if found.code == ONSET and found.value), None)
    conditions = [change.resource for change in document.changes if change.resource["resourceType"] == "Condition"]
    when = document.time(onset.value) if onset else None
    if onset is not None and when and len(conditions) == 1:
        conditions[0]["onsetDateTime"] = when
        document.use("Condition.onsetDateTime", onset.element)
