"""WS/T 500 documents whose entries become resources of their own: C0002, C0003, C0006, C0007, C0049, C0053.

Handbook 5.4. Lab and imaging results state by `fill`: the LIS, RIS and PACS know more than a shared document does (no reference
range, no mark, no study), so their own word goes before it whenever it comes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from mappers.base import Change, Resource
from mappers.cda.codes import DISCHARGE, IMAGING_REPORT_ROOT, LAB_REPORT_ROOT, OID, REQUEST_ROOT, SPECIMEN_ROOT
from mappers.cda.composition import section_code, sections_of
from mappers.cda.entries import Item, every, items_of
from mappers.cda.header import Document, person
from mappers.cda.reader import attribute, child, ids
from mappers.datatypes import fhir_instant, parse_quantity
from mappers.identity_keys import local_system, resource_id
from profiles.names import DIAGNOSTIC_SERVICE, LOINC, OBSERVATION_CATEGORY, OBSERVATION_INTERPRETATION

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
DIAGNOSIS_CODE, DIAGNOSIS_NAME, TCM_CODE, TCM_NAME = "DE05.01.024", "DE05.01.025", "DE05.10.130", "DE05.10.172"
ALLERGY_FLAG, ALLERGY_TEXTS = "DE02.10.023", ("DE05.01.022", "DE02.10.022", "DE02.10.024")
# Section → Encounter.diagnosis.use
DIAGNOSIS_USE = {"46241-6": "AD", "11535-2": "DD"}
LABEL_USE = {"入院": "AD", "出院": "DD"}
NO_ALLERGY = {"无", "否认", "无过敏史", "未发现", "否"}
SUBSTANCE = re.compile(r"(?:患者)?(?:有)?(?:对)?(?P<name>[^，。；：:（()）]{1,20}?)(?:类药物)?(?:过敏史?)?")
RESULT_CODES = {"1": "正常", "2": "异常", "3": "不确定"}  # 检查/检验结果代码
# 检查类别 as written → HL7 table 0074
EXAM_SERVICE = (
    ("CT", "CT"), ("MR", "NMR"), ("核磁", "NMR"), ("磁共振", "NMR"), ("超声", "RUS"), ("B超", "RUS"),
    ("心电", "EC"), ("核医学", "NMS"),
    ("内镜", "OTH"), ("胃镜", "OTH"), ("病理", "PAT"),
)  # fmt: skip


def coding(system: str, code: str, display: str = "") -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, **({"display": display} if display else {})}]}


def concept(document: Document, item: Item) -> dict[str, Any] | None:
    """A coded value with its translations, or its words."""
    if not item.coded:
        return {"text": item.value} if item.value else None
    system = document.uri(item.system)
    own = {"system": system, "code": item.coded, **({"display": item.display} if item.display else {})}
    found = [own, *(dict(more) for more in document.context.translate(system, item.coded))]
    return {"coding": found, "text": item.display or item.coded}


def _by_section(document: Document) -> Iterator[tuple[str, list[Item]]]:
    stack = sections_of(child(document.root, "component", "structuredBody"))
    while stack:
        section = stack.pop(0)
        stack = sections_of(section) + stack
        yield section_code(document, section), items_of(section)


def _first(items: list[Item], *codes: str) -> Item | None:
    return next((item for code in codes for item in every(items) if item.code == code), None)


def _all(document: Document) -> list[Item]:
    return [item for _, items in _by_section(document) for item in every(items)]


def _with_encounter(document: Document, resource: Resource) -> Resource:
    if document.encounter_reference:
        resource["encounter"] = document.encounter_reference
    return resource


# ---------------------------------------------------------------- conditions


def _diagnoses(items: list[Item]) -> Iterator[tuple[Item, Item | None]]:
    """A code with the name that follows it; a name alone where no code goes before it."""
    flat = [item for item in every(items) if item.code in (DIAGNOSIS_CODE, DIAGNOSIS_NAME, TCM_CODE, TCM_NAME)]
    names = {DIAGNOSIS_CODE: DIAGNOSIS_NAME, TCM_CODE: TCM_NAME}
    place = 0
    while place < len(flat):
        item, place = flat[place], place + 1
        if not (item.coded or item.value):
            continue
        after = flat[place] if place < len(flat) else None
        if after is not None and after.code == names.get(item.code) and not after.coded:
            place += 1
            yield item, after
        else:
            yield item, None


def _condition(document: Document, item: Item, name: Item | None, use: str, number: int) -> Resource | None:
    code = concept(document, item)
    if name is not None and name.value and code:
        code["text"] = name.value
    if code is None:
        return None
    document.used.add(item.element)
    if name is not None:
        document.used.add(name.element)
    condition: Resource = {
        "resourceType": "Condition",
        "id": document.id("Condition", use or "diagnosis", str(number)),
        "clinicalStatus": coding(f"{TERMINOLOGY}condition-clinical", "active"),
        "category": [coding(f"{TERMINOLOGY}condition-category", "encounter-diagnosis", "Encounter Diagnosis")],
        "code": code,
        "subject": document.patient,
    }
    if document.withdrawn:
        del condition["clinicalStatus"]
        condition["verificationStatus"] = coding(f"{TERMINOLOGY}condition-ver-status", "entered-in-error")
    if when := document.time(item.time):
        condition["recordedDate"] = when
    return _with_encounter(document, condition)


def state_conditions(document: Document) -> None:
    """Each diagnosis entry, by its place in the document: a corrected diagnosis takes the place of the former one."""
    stated: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    for section, items in _by_section(document):
        for item, name in _diagnoses(items):
            by_label = next((use for word, use in LABEL_USE.items() if word in item.label), "")
            use = DIAGNOSIS_USE.get(section) or by_label
            counts[use] = counts.get(use, 0) + 1
            condition = _condition(document, item, name, use, counts[use])
            if condition is None:
                continue
            document.changes.append(Change(condition))
            document.link(item.element, condition)
            entry: dict[str, Any] = {"condition": {"reference": f"Condition/{condition['id']}"}}
            if use:
                entry["use"] = coding(f"{TERMINOLOGY}diagnosis-role", use)
            stated.append(entry)
    if stated and document.encounter is not None:
        document.encounter["diagnosis"] = stated


# ---------------------------------------------------------------- allergies


def _substances(text: str) -> list[str]:
    """青霉素、头孢过敏 → 青霉素, 头孢. Longer prose names no substance that a machine could be sure of."""
    parts = [part.strip() for part in re.split(r"[、，,;；]|及|和", text.strip().rstrip("。")) if part.strip()]
    found = [match["name"].strip() for part in parts if (match := SUBSTANCE.fullmatch(part))]
    sure = len(found) == len(parts) and all(word not in text for word in ("描述", "不详", "未知", "。"))
    return found if sure else []


def state_allergies(document: Document) -> None:
    items = _all(document)
    flag, words = _first(items, ALLERGY_FLAG), _first(items, *ALLERGY_TEXTS)
    text = (words.text if words else "").strip()
    denied = (flag is not None and flag.value.lower() in ("false", "0", "n", "否")) or text in NO_ALLERGY
    if denied and text and text not in NO_ALLERGY and not text.startswith(("无", "否认")):
        document.note("conflict", "section 48765-2", "the flag says no allergy and the text names one; only the narrative is kept")
        return
    document.used |= {item.element for item in (flag, words) if item is not None}
    if denied:
        said = words or flag
        _allergy(document, said, coding("http://snomed.info/sct", "716186003", "No known allergy") | {"text": "无过敏史"}, "none")
        return
    if words is not None and words.coded and (code := concept(document, words)):
        _allergy(document, words, code, words.coded)
        return
    substances = _substances(text) if text else []
    if text and not substances:
        document.used.discard(words.element if words else document.root)
        document.note("not-mapped", "section 48765-2", "an allergy in prose that names no single substance; its narrative is kept")
    for name in substances:
        _allergy(document, words, {"text": name}, name)


def _allergy(document: Document, said: Item | None, code: dict[str, Any], key: str) -> None:
    """By patient and substance: many documents state the same allergy."""
    allergy: Resource = {
        "resourceType": "AllergyIntolerance",
        "id": resource_id("AllergyIntolerance", *document.patient_key, key),
        "clinicalStatus": coding(f"{TERMINOLOGY}allergyintolerance-clinical", "active"),
        "code": code,
        "patient": document.patient,
    }
    if document.withdrawn:
        del allergy["clinicalStatus"]
        allergy["verificationStatus"] = coding(f"{TERMINOLOGY}allergyintolerance-verification", "entered-in-error")
    document.changes.append(Change(_with_encounter(document, allergy)))
    if said is not None:
        document.link(said.element, allergy)


# ---------------------------------------------------------------- C0002, C0003: the outpatient record


def map_outpatient(document: Document) -> None:
    state_conditions(document)
    state_allergies(document)
    complaint = _first(_all(document), "DE04.01.119")
    if complaint and complaint.value and document.encounter is not None:
        document.used.add(complaint.element)
        document.encounter["reasonCode"] = [{"text": complaint.value}]


# ---------------------------------------------------------------- C0049, C0053: discharge


def map_discharge(document: Document) -> None:
    state_conditions(document)
    encounter, items = document.encounter, _all(document)
    if encounter is None:
        return
    way = _first(items, "DE06.00.223")
    if way and (disposition := DISCHARGE.get(way.coded or way.value)):
        document.used.add(way.element)
        text = way.display or way.value
        words = {"text": text} if text else {}
        found = coding(f"{TERMINOLOGY}discharge-disposition", disposition) | words
        encounter["hospitalization"] = {"dischargeDisposition": found}
    elif way and (way.coded or way.value):
        document.note("unmapped-code", "DE06.00.223", system=way.system, value=(way.coded or way.value)[:32])
    days = _first(items, "DE06.00.310")
    if days and (length := parse_quantity(days.value, "d")):
        document.used.add(days.element)
        encounter["length"] = length
    encounter["status"] = "finished"  # a discharge summary is written at the end


# ---------------------------------------------------------------- reports


def _number(document: Document, root: str) -> str:
    """A report, request or specimen number: it stands among the patient's ids."""
    found = ids(child(document.root, "recordTarget", "patientRole"))
    return next((number.extension for number in found if number.root == root and number.extension), "")


def _report(document: Document, number: str, category: dict[str, Any], code: dict[str, Any]) -> Resource:
    report: Resource = {
        "resourceType": "DiagnosticReport",
        "id": resource_id("DiagnosticReport", document.facility, number) if number else document.id("DiagnosticReport"),
        "status": "entered-in-error" if document.withdrawn else "final",
        "category": [category],
        "code": code,
        "subject": document.patient,
        "performer": [document.organization],
    }
    if number:
        report["identifier"] = [{"system": local_system(document.facility, "report"), "value": number}]
    if request := _number(document, REQUEST_ROOT):
        report["basedOn"] = [{"reference": f"ServiceRequest/{resource_id('ServiceRequest', document.facility, request)}"}]
    author = child(document.root, "author")
    if issued := fhir_instant(attribute(child(author, "time"), "value"), document.context.zone):
        report["issued"] = issued
    if writer := person(document, child(author, "assignedAuthor")):
        report["resultsInterpreter"] = [writer]
    return _with_encounter(document, report)


def _observation(document: Document, key: tuple[str, ...], category: str, code: dict[str, Any]) -> Resource:
    observation: Resource = {
        "resourceType": "Observation",
        "id": resource_id("Observation", document.facility, *key),
        "status": "entered-in-error" if document.withdrawn else "final",
        "category": [coding(OBSERVATION_CATEGORY, category)],
        "code": code,
        "subject": document.patient,
        "performer": [document.organization],
    }
    return _with_encounter(document, observation)


def _exam_parts(items: list[Item]) -> tuple[Item | None, Item | None]:
    """客观所见 and 主观提示: by name, for vendors write one code twice; by code where the name says neither."""
    parts = [item for item in items if item.code in ("DE04.50.131", "DE04.50.132") and item.value]
    seen = next((item for item in parts if "客观" in item.label or "所见" in item.label), None)
    means = next((item for item in parts if "主观" in item.label or "提示" in item.label), None)
    rest = [item for item in parts if item is not seen and item is not means]
    seen = seen or next((item for item in rest if item.code == "DE04.50.131"), None)
    means = means or next((item for item in rest if item.code == "DE04.50.132" and item is not seen), None)
    return seen, means


def map_imaging(document: Document) -> None:
    """C0006 → DiagnosticReport with what was seen and what it means. The study itself comes from the PACS."""
    state_conditions(document)
    items = _all(document)
    number = _number(document, IMAGING_REPORT_ROOT)
    kind, exam = _first(items, "DE04.30.018"), _first(items, "DE04.30.019", "DE04.30.020")
    seen, means = _exam_parts(items)
    site, method = _first(items, "DE06.00.093"), _first(items, "DE02.10.027")
    words = f"{kind.text if kind else ''} {exam.text if exam else ''}"
    service = next((code for word, code in EXAM_SERVICE if word in words), "RAD")
    category = coding(DIAGNOSTIC_SERVICE, service) | ({"text": kind.text} if kind and kind.text else {})
    standard = coding(LOINC, "18748-4", "Diagnostic imaging study")
    code = (exam and _exam_code(document, exam)) or standard
    report = _report(document, number, category, code)
    if exam and (when := document.time(exam.time or exam.low)):
        report["effectiveDateTime"] = when
    if means:
        report["conclusion"] = means.value
    if seen:
        findings = {"coding": [{"system": LOINC, "code": "59776-5", "display": "Procedure findings Narrative"}], "text": "检查所见"}
        key = (number, "findings") if number else (*document.key, "findings")
        observation = _observation(document, key, "imaging", findings) | {"valueString": seen.value}
        if site and site.text:
            observation["bodySite"] = {"text": site.text}
        if method and method.value:
            observation["method"] = {"text": method.value}
        if when := report.get("effectiveDateTime"):
            observation["effectiveDateTime"] = when
        report["result"] = [{"reference": f"Observation/{observation['id']}"}]
        document.changes.append(Change(observation, "fill"))
    document.used |= {item.element for item in (kind, exam, seen, means, site, method) if item is not None}
    if place := means or seen or exam:
        document.link(place.element, report)
    document.changes.append(Change(report, "fill"))


def _exam_code(document: Document, exam: Item) -> dict[str, Any] | None:
    if exam.coded:
        system = document.uri(exam.system) if OID.fullmatch(exam.system) else local_system(document.facility, "item")
        own = {"system": system, "code": exam.coded, **({"display": exam.display} if exam.display else {})}
        translated = [dict(more) for more in document.context.translate(system, exam.coded)]
        return {"coding": [own, *translated], "text": exam.display or exam.coded}
    return {"text": exam.value} if exam.value else None


# ---------------------------------------------------------------- C0007


def _paired(document: Document, items: list[Item]) -> list[tuple[Item, Item | None, Item | None]]:
    """Items with their coded result and quantity: siblings that only their order pairs, so the counts must agree."""
    tests = [item for item in items if item.code == "DE04.30.019" and (item.coded or item.value)]
    flags = [item for item in items if item.code == "DE04.30.017"]
    values = [item for item in items if item.code == "DE04.30.015"]
    if any(len(found) not in (0, len(tests)) for found in (flags, values)):
        detail = f"{len(tests)} items, {len(flags)} coded results, {len(values)} quantities: they cannot be paired"
        document.note("conflict", "section 30954-2", detail)
        return []
    nothing: list[Item | None] = [None] * len(tests)
    return list(zip(tests, flags or nothing, values or nothing, strict=True))


def _abnormal(document: Document, flag: Item) -> bool:
    """Which way, the document does not say; a code whose name says otherwise says nothing."""
    meant = RESULT_CODES.get(flag.coded, flag.display)
    if flag.display and meant != flag.display:
        document.note("conflict", "DE04.30.017", "the result's code and its name contradict each other", value=flag.coded)
        return False
    return meant == "异常"


def _lab_observation(document: Document, number: str, triple: tuple[Item, Item | None, Item | None]) -> Resource:
    test, flag, value = triple
    name = test.coded or test.value
    local = {"system": local_system(document.facility, "item"), "code": name, **({"display": test.display} if test.display else {})}
    translated = [dict(more) for more in document.context.translate(local["system"], name)]
    code = {"coding": [local, *translated], "text": test.display or name}
    key = (number, name) if number else (*document.key, name)
    observation = _observation(document, key, "laboratory", code)
    specimen = test.within("DE04.50.134")
    if when := document.time((specimen.low if specimen else "") or test.time):
        observation["effectiveDateTime"] = when
    document.used |= {item.element for item in (test, flag, value) if item is not None}
    if value and value.value:
        unit = value.unit or (inner.value if (inner := value.within("DE04.30.016")) else "")
        found = parse_quantity(value.value, unit)
        observation |= {"valueQuantity": found} if found else {"valueString": value.value}
    elif flag and flag.text:
        observation["valueString"] = flag.text
    if flag and _abnormal(document, flag):
        observation["interpretation"] = [coding(OBSERVATION_INTERPRETATION, "A", "Abnormal")]
    if not any(member.startswith("value") for member in observation):
        observation["dataAbsentReason"] = coding(f"{TERMINOLOGY}data-absent-reason", "unknown")
    return observation


def _specimen(document: Document, items: list[Item]) -> Resource | None:
    number = _number(document, SPECIMEN_ROOT)
    kind, state = _first(items, "DE04.50.134"), _first(items, "DE04.50.135")
    if not number:
        return None
    specimen: Resource = {
        "resourceType": "Specimen",
        "id": resource_id("Specimen", document.facility, number),
        "identifier": [{"system": local_system(document.facility, "specimen"), "value": number}],
        "subject": document.patient,
    }
    if kind and kind.text:
        document.used.add(kind.element)
        specimen["type"] = {"text": kind.text}
        if collected := document.time(kind.low):
            specimen["collection"] = {"collectedDateTime": collected}
        if received := document.time(kind.high):
            specimen["receivedTime"] = received
    if state and state.text:
        document.used.add(state.element)
        specimen["condition"] = [{"text": state.text}]
    return specimen


def map_lab(document: Document) -> None:
    """C0007: no reference range, no mark and no instrument are in it, so recognition never runs on it."""
    state_conditions(document)
    items = _all(document)
    number = _number(document, LAB_REPORT_ROOT)
    kind, words = _first(items, "DE04.30.018"), _first(items, "DE04.50.130")
    category = coding(DIAGNOSTIC_SERVICE, "LAB") | ({"text": kind.text} if kind and kind.text else {})
    report = _report(document, number, category, coding(LOINC, "11502-2", "Laboratory report"))
    specimen = _specimen(document, items)
    if specimen:
        document.changes.append(Change(specimen, "fill"))
        report["specimen"] = [{"reference": f"Specimen/{specimen['id']}"}]
    results = []
    for triple in _paired(document, items):
        observation = _lab_observation(document, number, triple)
        if specimen:
            observation["specimen"] = report["specimen"][0]
        results.append({"reference": f"Observation/{observation['id']}"})
        document.changes.append(Change(observation, "fill"))
        if when := observation.get("effectiveDateTime"):
            report.setdefault("effectiveDateTime", when)
    if results:
        report["result"] = results
    if words and words.value:
        report["conclusion"] = words.value
    document.used |= {item.element for item in (kind, words) if item is not None}
    if place := words or kind:
        document.link(place.element, report)
    document.changes.append(Change(report, "fill"))


ENTRY_MAPS: dict[str, Callable[[Document], None]] = {
    "C0002": map_outpatient,
    "C0003": map_outpatient,
    "C0006": map_imaging,
    "C0007": map_lab,
    "C0049": map_discharge,
    "C0053": map_discharge,
}
