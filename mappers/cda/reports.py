"""C0006 and C0007 → DiagnosticReport with its Observations and Specimen.

They state by `fill`: the LIS, RIS and PACS know more than a shared document does (it has no reference range, no mark, no
instrument, no study), so their own word goes before it whenever it comes. Recognition never runs on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from connectors.xml import Element
from mappers.base import Resource
from mappers.cda.codes import IMAGING_REPORT_ROOT, LAB_REPORT_ROOT, OID, REQUEST_ROOT, SPECIMEN_ROOT
from mappers.cda.document import Document, coding
from mappers.cda.entries import LOINC_CODE, Statement, first
from mappers.cda.people import person
from mappers.cda.reader import attribute, child
from mappers.cda.values import measured, named
from mappers.datatypes import fhir_instant
from mappers.identity_keys import local_system, resource_id
from profiles.names import DIAGNOSTIC_SERVICE, LOINC, OBSERVATION_CATEGORY, OBSERVATION_INTERPRETATION

KIND, ITEM, ITEM_NAME, METHOD, SITE = "DE04.30.018", "DE04.30.019", "DE04.30.020", "DE02.10.027", "DE06.00.093"
SEEN, MEANS, RESULT, REMARK = "DE04.50.131", "DE04.50.132", "DE04.50.130", "DE06.00.179"
FLAG, AMOUNT, UNIT = "DE04.30.017", "DE04.30.015", "DE04.30.016"
SPECIMEN_KIND, SPECIMEN_STATE = "DE04.50.134", "DE04.50.135"
DATA_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
INTERPRETATION = {"正常": ("N", "Normal"), "异常": ("A", "Abnormal"), "不确定": ("IND", "Indeterminate")}
RESULT_CODES = {"1": "正常", "2": "异常", "3": "不确定"}  # 检查/检验结果代码
# 检查类别 as written → HL7 table 0074
EXAM_SERVICE = (
    ("CT", "CT"), ("MR", "NMR"), ("核磁", "NMR"), ("磁共振", "NMR"), ("超声", "RUS"), ("B超", "RUS"),
    ("心电", "EC"), ("核医学", "NMS"),
    ("内镜", "OTH"), ("胃镜", "OTH"), ("病理", "PAT"),
)  # fmt: skip


class Result(NamedTuple):
    """One item of a laboratory report, as far as its parts could be told."""

    item: Statement
    flag: Statement | None = None  # the coded result
    amount: Statement | None = None
    name: Statement | None = None


def _all(document: Document) -> list[Statement]:
    return [found for section in document.sections for found in section.every()]


def _used(document: Document, to: str, *found: Statement | None) -> None:
    document.use(to, *(one.element for one in found if one is not None))


def _report(document: Document, number: str, category: dict[str, Any], code: dict[str, Any]) -> Resource:
    report: Resource = {
        "resourceType": "DiagnosticReport",
        "id": resource_id("DiagnosticReport", document.facility, number) if number else document.id("DiagnosticReport"),
        "status": "final",
        "category": [category],
        "code": code,
        "subject": document.patient,
        "performer": [document.organization],
    }
    if number:
        report["identifier"] = [{"system": local_system(document.facility, "report"), "value": number}]
    if request := document.number(REQUEST_ROOT):
        report["basedOn"] = [{"reference": f"ServiceRequest/{resource_id('ServiceRequest', document.facility, request)}"}]
    author = child(document.root, "author")
    if issued := fhir_instant(attribute(child(author, "time"), "value"), document.context.zone):
        report["issued"] = issued
    if writer := person(document, child(author, "assignedAuthor")):
        report["resultsInterpreter"] = [writer]
    return document.of_document(report)


def _observation(document: Document, key: tuple[str, ...], category: str, code: dict[str, Any]) -> Resource:
    return document.of_document(
        {
            "resourceType": "Observation",
            "id": resource_id("Observation", document.facility, *key),
            "status": "final",
            "category": [coding(OBSERVATION_CATEGORY, category)],
            "code": code,
            "subject": document.patient,
            "performer": [document.organization],
        }
    )


def _remarks(document: Document, found: list[Statement], report: Resource) -> None:
    remark = first(found, REMARK)
    if remark and "conclusion" in report:
        report["conclusion"] += f"\n备注：{remark.text}"
        _used(document, "DiagnosticReport.conclusion", remark)


# ---------------------------------------------------------------- C0006


def _exam_parts(found: list[Statement]) -> tuple[Statement | None, Statement | None]:
    """客观所见 and 主观提示: by name, for vendors write one code twice; by code where the name says neither."""
    parts = [one for one in found if one.code in (SEEN, MEANS) and one.value]
    seen = next((one for one in parts if "客观" in one.label or "所见" in one.label), None)
    means = next((one for one in parts if "主观" in one.label or "提示" in one.label), None)
    rest = [one for one in parts if one is not seen and one is not means]
    seen = seen or next((one for one in rest if one.code == SEEN), None)
    means = means or next((one for one in rest if one.code == MEANS and one is not seen), None)
    return seen, means


def state_imaging(document: Document) -> None:
    """DiagnosticReport with what was seen and what it means. The study itself comes from the PACS."""
    found = _all(document)
    number = document.number(IMAGING_REPORT_ROOT)
    kind, exam = first(found, KIND), first(found, ITEM, ITEM_NAME)
    seen, means = _exam_parts(found)
    words = f"{kind.text if kind else ''} {exam.text if exam else ''}".upper()
    service = next((code for word, code in EXAM_SERVICE if word in words), "RAD")
    category = coding(DIAGNOSTIC_SERVICE, service) | ({"text": kind.text} if kind and kind.text else {})
    code = (_item_code(document, exam, first(found, ITEM_NAME)) if exam else None) or coding(
        LOINC, "18748-4", "Diagnostic imaging study"
    )
    report = _report(document, number, category, code)
    if exam and (when := document.time(exam.time or exam.low)):
        report["effectiveDateTime"] = when
    if means:
        report["conclusion"] = means.value
        _remarks(document, found, report)
    results = [_findings(document, number, found, seen, report)] if seen else []
    results += [_exam_value(document, number, amount, exam, report) for amount in _exam_amounts(found)]
    if results:
        report["result"] = [{"reference": f"Observation/{result['id']}"} for result in results]
    _used(document, "DiagnosticReport", kind, exam, seen, means)
    place = means or seen or exam
    document.add(report, at=place.element if place else None, mode="fill")


def _findings(document: Document, number: str, found: list[Statement], seen: Statement, report: Resource) -> Resource:
    code = {"coding": [{"system": LOINC, "code": "59776-5", "display": "Procedure findings Narrative"}], "text": "检查所见"}
    key = (number, "findings") if number else (*document.key, "findings")
    observation = _observation(document, key, "imaging", code) | {"valueString": seen.value}
    site, method = first(found, SITE), first(found, METHOD)
    if site and site.text:
        observation["bodySite"] = {"text": site.text}
    if method and method.value:
        observation["method"] = {"text": method.value}
    if when := report.get("effectiveDateTime"):
        observation["effectiveDateTime"] = when
    _used(document, "Observation", site, method)
    return document.add(observation, at=seen.element, mode="fill")


def _exam_amounts(found: list[Statement]) -> list[Statement]:
    return [one for one in found if one.code == AMOUNT and one.value]


def _exam_value(document: Document, number: str, amount: Statement, exam: Statement | None, report: Resource) -> Resource:
    """A measured value of an examination, under the item's name."""
    key = (number or "-".join(document.key), "value", document.nth("exam value"))
    observation = _observation(
        document, key, "imaging", {"text": exam.text if exam and exam.text else amount.label or "检查定量结果"}
    )
    observation |= _lab_value(None, amount)
    if when := report.get("effectiveDateTime"):
        observation["effectiveDateTime"] = when
    _used(document, "Observation.value", amount, amount.within(UNIT))
    return document.add(observation, at=amount.element, mode="fill")


def _item_code(document: Document, item: Statement, name: Statement | None = None) -> dict[str, Any] | None:
    """The item's own code, or its words; LOINC where the document says so."""
    text = (name.text if name is not None and name is not item else "") or named(document, item) or item.value
    code = item.coded or (item.value if item.value.isascii() else "")
    if not code:
        return {"text": text} if text else None
    stated = item.system if OID.fullmatch(item.system) else ""
    system = document.uri(stated) if stated else LOINC if LOINC_CODE.fullmatch(code) else local_system(document.facility, "item")
    own = {"system": system, "code": code, **({"display": item.display} if item.display else {})}
    return {"coding": [own, *(dict(more) for more in document.context.translate(system, code))], "text": text or code}


# ---------------------------------------------------------------- C0007


def _grouped(found: Iterable[Statement]) -> list[list[Statement]]:
    """What stands in one organizer together; entries on their own are one group."""
    groups: dict[Element | None, list[Statement]] = {}
    for one in found:
        group = one.group if one.group is not None and one.group.tag == "organizer" else None
        groups.setdefault(group, []).append(one)
    return list(groups.values())


def _results(document: Document, found: list[Statement]) -> list[Result]:
    """Items with coded result and quantity: below the item, else siblings that their order pairs, if the counts agree."""
    results: list[Result] = []
    for group in _grouped(found):
        items = [one for one in group if one.code == ITEM and one.says_something]
        own = [Result(item, *(first(item.children, code) for code in (FLAG, AMOUNT, ITEM_NAME))) for item in items]
        if any(result.flag or result.amount for result in own):
            results += own
            continue
        flags, amounts, names = ([one for one in group if one.code == code] for code in (FLAG, AMOUNT, ITEM_NAME))
        if any(len(beside) not in (0, len(items)) for beside in (flags, amounts)):
            told = f"{len(items)} items, {len(flags)} coded results, {len(amounts)} quantities: they cannot be paired"
            document.note("conflict", "section 30954-2", told)
            continue
        nothing: list[Statement | None] = [None] * len(items)
        named = names if len(names) == len(items) else nothing
        results += [Result(*parts) for parts in zip(items, flags or nothing, amounts or nothing, named, strict=True)]
    return results


def _interpretation(document: Document, flag: Statement) -> list[dict[str, Any]]:
    """Which way, the document does not say; a code whose name says otherwise says nothing."""
    meant = RESULT_CODES.get(flag.coded, flag.display)
    if flag.display and meant != flag.display:
        document.note("conflict", FLAG, "the result's code and its name contradict each other", value=flag.coded)
        return []
    return [coding(OBSERVATION_INTERPRETATION, *INTERPRETATION[meant])] if meant in INTERPRETATION else []


def _lab_value(flag: Statement | None, amount: Statement | None) -> dict[str, Any]:
    if amount and amount.value:
        unit = amount.unit or (inner.value if (inner := amount.within(UNIT)) else "")
        found = measured(amount, unit)
        return {"valueQuantity": found} if found else {"valueString": amount.value}
    if flag and flag.text:
        return {"valueString": flag.text}
    return {"dataAbsentReason": coding(DATA_ABSENT, "unknown")}


def _lab_observation(document: Document, number: str, result: Result, method: Statement | None) -> Resource:
    item = result.item.coded or result.item.value
    key = (number, item) if number else (*document.key, item)
    again = document.nth("Observation", *key)
    code = _lab_code(document, result.item, result.name)
    observation = _observation(document, key if again == "1" else (*key, again), "laboratory", code)
    specimen = result.item.within(SPECIMEN_KIND)
    if when := document.time((specimen.low if specimen else "") or result.item.time):
        observation["effectiveDateTime"] = when
    if method:
        observation["method"] = {"text": method.text}
    observation |= _lab_value(result.flag, result.amount)
    if result.flag and (interpretation := _interpretation(document, result.flag)):
        observation["interpretation"] = interpretation
    _used(document, "Observation", *result, result.amount.within(UNIT) if result.amount else None, method)
    return observation


def _lab_code(document: Document, test: Statement, name: Statement | None) -> dict[str, Any]:
    """The laboratory's own code, with what ConceptMaps make of it; LOINC only where the document names it."""
    code, text = test.coded or test.value, (name.text if name else "") or test.display
    is_loinc = test.system != "" and document.uri(test.system) == LOINC
    system = LOINC if is_loinc else local_system(document.facility, "item")
    own = {"system": system, "code": code, **({"display": text} if text else {})}
    return {"coding": [own, *(dict(more) for more in document.context.translate(system, code))], "text": text or code}


def _specimen(document: Document, found: list[Statement]) -> Resource | None:
    number = document.number(SPECIMEN_ROOT)
    kind, state = first(found, SPECIMEN_KIND), first(found, SPECIMEN_STATE)
    if not number:
        return None
    specimen: Resource = {
        "resourceType": "Specimen",
        "id": resource_id("Specimen", document.facility, number),
        "identifier": [{"system": local_system(document.facility, "specimen"), "value": number}],
        "subject": document.patient,
    }
    if kind and kind.text:
        specimen["type"] = {"text": kind.text}
        if collected := document.time(kind.low):
            specimen["collection"] = {"collectedDateTime": collected}
        if received := document.time(kind.high):
            specimen["receivedTime"] = received
    if state and state.text:
        specimen["condition"] = [{"text": state.text}]
    _used(document, "Specimen", *(one for one in found if one.code in (SPECIMEN_KIND, SPECIMEN_STATE)))
    return document.add(specimen, mode="fill")


def state_lab(document: Document) -> None:
    found = _all(document)
    number = document.number(LAB_REPORT_ROOT)
    kind, words = first(found, KIND), first(found, RESULT)
    category = coding(DIAGNOSTIC_SERVICE, "LAB") | ({"text": kind.text} if kind and kind.text else {})
    report = _report(document, number, category, coding(LOINC, "11502-2", "Laboratory report"))
    specimen = _specimen(document, found)
    if specimen:
        report["specimen"] = [{"reference": f"Specimen/{specimen['id']}"}]
    results = _results(document, found)
    method = first(found, METHOD) if len(results) == 1 else None  # beside several items it is nobody's
    for result in results:
        observation = _lab_observation(document, number, result, first(result.item.children, METHOD) or method)
        if specimen:
            observation["specimen"] = report["specimen"][0]
        document.add(observation, at=result.item.element, mode="fill")
        report.setdefault("result", []).append({"reference": f"Observation/{observation['id']}"})
        if when := observation.get("effectiveDateTime"):
            report.setdefault("effectiveDateTime", when)
    if words and words.value:
        report["conclusion"] = words.value
        _remarks(document, found, report)
    _used(document, "DiagnosticReport", kind, words)
    place = words or kind
    document.add(report, at=place.element if place else None, mode="fill")
