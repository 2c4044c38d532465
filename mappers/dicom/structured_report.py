"""A structured report (SR) → DiagnosticReport with its words, and an Observation for each plain measurement of TID 1500.

Document content: https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.17.3.html, TID 1500 and 1501: PS3.16
chtml/part16/chapter_A.html. The tree is shown as text whatever its template; only a NUM that stands in a Measurement Group becomes
an Observation, for elsewhere nobody knows what it measures.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset

from mappers.base import Change, Issue, Resource
from mappers.datatypes import decimal_of
from mappers.dicom.codes import code_of, codeable
from mappers.dicom.datatypes import human_names
from mappers.dicom.instance import CONCEPT_NAME, CONTENT_SEQUENCE, VERIFYING_OBSERVERS, Instance
from mappers.identity_keys import local_system, resource_id
from profiles.names import DIAGNOSTIC_SERVICE, DICOM_UID, LOINC, OBSERVATION_CATEGORY, UCUM

_BASE = "1.2.840.10008.5.1.4.1.1.88."
REPORT_CLASSES = frozenset(_BASE + tail for tail in ("11", "22", "33", "34", "35"))  # Basic Text … Extensible

VALUE_TYPE = 0x0040A040
CODE, MEASURED, NUMERIC_VALUE, UNITS = 0x0040A168, 0x0040A300, 0x0040A30A, 0x004008EA
COMPLETION, VERIFICATION, VERIFYING_NAME = 0x0040A491, 0x0040A493, 0x0040A075
CONTENT_DATE, CONTENT_TIME, MODALITY = 0x00080023, 0x00080033, 0x00080060

# Value type → where its value stands
_VALUES = {
    "TEXT": 0x0040A160,
    "PNAME": 0x0040A123,
    "DATE": 0x0040A121,
    "TIME": 0x0040A122,
    "DATETIME": 0x0040A120,
    "UIDREF": 0x0040A124,
}
_UNSHOWN = frozenset({"IMAGE", "COMPOSITE", "WAVEFORM", "SCOORD", "SCOORD3D", "TCOORD", "UIDREF"})

IMAGE_LIBRARY, MEASUREMENT_GROUP = "111028", "125007"
_CONCLUSIONS = frozenset({("DCM", "121073"), ("DCM", "121077"), ("LN", "19005-8"), ("LN", "55110-1"), ("DCM", "121076")})
_FINDING, _DERIVATION = ("DCM", "121071"), ("DCM", "121401")
_SITES = frozenset({("SRT", "G-C0E3"), ("SCT", "363698007")})
_METHODS = frozenset({("SRT", "G-C036"), ("SCT", "370129005")})

MAX_CONTENT_ITEMS = 20_000
MAX_MEASUREMENTS = 1_000
MAX_TEXT = 256 * 1024  # of the report's words, in characters


@dataclass(slots=True)
class ContentItem:
    kind: str
    scheme: str
    code: str
    meaning: str
    depth: int
    path: str  # "1.3.2": its place in the tree, which never changes for one SOP instance
    item: Dataset
    children: list[ContentItem] = field(default_factory=list)

    @property
    def concept(self) -> tuple[str, str]:
        return self.scheme, self.code


def changes_from_report(instance: Instance, issues: list[Issue]) -> tuple[Change, ...]:
    tree = _Reader(instance, issues).tree()
    measured = _measurements(instance, tree, issues)
    report = _report(instance, tree, measured, issues)
    return tuple(Change(resource) for resource in (*measured, report))


class _Reader:
    """The content tree, counted: a stranger's tree may be as large as its file."""

    def __init__(self, instance: Instance, issues: list[Issue]) -> None:
        self._instance = instance
        self._issues = issues
        self._count = 0

    def tree(self) -> list[ContentItem]:
        items = self._below(self._instance.dataset, 0, "")
        if self._count > MAX_CONTENT_ITEMS:
            self._issues.append(Issue("not-mapped", "(0040,A730)", f"only the first {MAX_CONTENT_ITEMS} items are read"))
        return items

    def _below(self, dataset: Dataset, depth: int, path: str) -> list[ContentItem]:
        element = dataset.get(CONTENT_SEQUENCE)
        found = []
        for number, item in enumerate(element.value if element is not None and element.value else (), 1):
            self._count += 1
            if self._count > MAX_CONTENT_ITEMS:
                break
            found.append(self._item(item, depth, f"{path}.{number}" if path else str(number)))
        return found

    def _item(self, item: Dataset, depth: int, path: str) -> ContentItem:
        concept = _first(item, CONCEPT_NAME)
        scheme, code, meaning = code_of(self._instance, concept) if concept is not None else ("", "", "")
        kind = self._instance.nested_text(item, VALUE_TYPE)
        return ContentItem(kind, scheme, code, meaning, depth, path, item, self._below(item, depth + 1, path))


def _first(dataset: Dataset, tag: int) -> Dataset | None:
    element = dataset.get(tag)
    found: Dataset | None = element.value[0] if element is not None and element.value else None
    return found


def _walk(items: list[ContentItem]) -> Iterator[ContentItem]:
    for item in items:
        yield item
        yield from _walk(item.children)


def _value(instance: Instance, item: ContentItem) -> str:
    """An item's value as words; empty for what words do not hold."""
    if item.kind == "CODE":
        concept = _first(item.item, CODE)
        return code_of(instance, concept)[2] if concept is not None else ""
    if item.kind == "NUM":
        number, unit = _measured(instance, item)
        return f"{number} {unit[1]}".strip() if number else ""
    if item.kind == "PNAME":
        names = human_names(instance.nested_text(item.item, _VALUES["PNAME"]))
        return str(names[0]["text"]) if names else ""
    return instance.nested_text(item.item, _VALUES[item.kind], whole=True) if item.kind in _VALUES else ""


def _measured(instance: Instance, item: ContentItem) -> tuple[str, tuple[str, str, str]]:
    """The number as it is written, and its unit's scheme, code and meaning."""
    measured = _first(item.item, MEASURED)
    if measured is None:
        return "", ("", "", "")
    unit = _first(measured, UNITS)
    return instance.nested_text(measured, NUMERIC_VALUE), code_of(instance, unit) if unit is not None else ("", "", "")


def _report(instance: Instance, tree: list[ContentItem], measured: list[Resource], issues: list[Issue]) -> Resource:
    header = instance.header
    verified = header.text(VERIFICATION) == "VERIFIED"
    partial = header.text(COMPLETION) == "PARTIAL"
    report: Resource = {
        "resourceType": "DiagnosticReport",
        "id": resource_id("DiagnosticReport", instance.facility, "sr", instance.instance_uid),
        "identifier": [{"system": DICOM_UID, "value": f"urn:oid:{instance.instance_uid}"}],
    }
    if based_on := instance.based_on():
        report["basedOn"] = based_on
    report |= {
        "status": "partial" if partial else "final" if verified else "preliminary",
        "category": [{"coding": [{"system": DIAGNOSTIC_SERVICE, "code": "RAD", "display": "Radiology"}]}],
        "code": _title(instance),
        "subject": instance.subject,
    }
    if at := instance.stated_datetime(CONTENT_DATE, CONTENT_TIME, issues):
        report["effectiveDateTime"] = at
        if "T" in at:
            report["issued"] = at
    report["performer"] = [instance.organization]
    readers = (instance.nested_text(item, VERIFYING_NAME) for item in instance.items(VERIFYING_OBSERVERS))
    if names := [human_names(reader)[0]["text"] for reader in readers if human_names(reader)]:
        report["resultsInterpreter"] = [{"display": name} for name in names]
    if measured:
        report["result"] = [{"reference": f"Observation/{one['id']}"} for one in measured]
    report["imagingStudy"] = [{"reference": f"ImagingStudy/{instance.study_id}"}]
    if conclusion := _conclusion(instance, tree):
        report["conclusion"] = conclusion
    if words := _words(instance, tree, issues):
        data = base64.b64encode(words.encode()).decode()
        report["presentedForm"] = [{"contentType": "text/plain; charset=utf-8", "data": data, "title": "结构化报告"}]
    return report


def _title(instance: Instance) -> dict[str, Any]:
    own = next((concept for item in instance.items(CONCEPT_NAME) if (concept := codeable(instance, item))), {})
    general = {"system": LOINC, "code": "18748-4", "display": "Diagnostic imaging study"}
    return {"coding": [*own.get("coding", ()), general], "text": own.get("text", "检查报告")}


def _conclusion(instance: Instance, tree: list[ContentItem]) -> str:
    """The words of what the template calls conclusion or impression, and of nothing else."""
    said: list[str] = []
    for item in _walk(tree):
        if item.concept in _CONCLUSIONS:
            said += [text for one in (item, *item.children) if one.kind in ("TEXT", "CODE") and (text := _value(instance, one))]
    return "\n".join(dict.fromkeys(said))


def _words(instance: Instance, tree: list[ContentItem], issues: list[Issue]) -> str:
    """The tree as indented lines, without the list of images."""
    lines: list[str] = []
    left = MAX_TEXT
    stack = list(reversed(tree))
    while stack:
        item = stack.pop()
        if item.code == IMAGE_LIBRARY or item.kind in _UNSHOWN:
            continue
        value = _value(instance, item)
        line = "  " * item.depth + ": ".join(part for part in (item.meaning, value) if part)
        left -= len(line)
        if left < 0:
            issues.append(Issue("not-mapped", "(0040,A730)", f"only the first {MAX_TEXT} characters are shown"))
            break
        if line.strip():
            lines.append(line)
        stack.extend(reversed(item.children))
    return "\n".join("\n".join(lines).splitlines())


def _measurements(instance: Instance, tree: list[ContentItem], issues: list[Issue]) -> list[Resource]:
    found: list[Resource] = []
    for group in _walk(tree):
        if group.code != MEASUREMENT_GROUP or group.kind != "CONTAINER":
            continue
        for item in group.children:
            if item.kind == "NUM" and (observation := _measurement(instance, group, item, issues)):
                found.append(observation)
    if len(found) > MAX_MEASUREMENTS:
        issues.append(Issue("not-mapped", "(0040,A730)", f"only the first {MAX_MEASUREMENTS} of {len(found)} measurements"))
    return found[:MAX_MEASUREMENTS]


def _measurement(instance: Instance, group: ContentItem, item: ContentItem, issues: list[Issue]) -> Resource | None:
    number, unit = _measured(instance, item)
    value = decimal_of(number)
    concept = _first(item.item, CONCEPT_NAME)
    code = codeable(instance, concept) if concept is not None else {}
    if value is None or not code:
        issues.append(Issue("invalid-value", f"(0040,A730) {item.path}", "a measurement without number or name"))
        return None
    observation: Resource = {
        "resourceType": "Observation",
        "id": resource_id("Observation", instance.facility, instance.instance_uid, item.path),
        "status": "final" if instance.header.text(VERIFICATION) == "VERIFIED" else "preliminary",
        "category": [{"coding": [{"system": OBSERVATION_CATEGORY, "code": "imaging"}]}],
        "code": code,
        "subject": instance.subject,
        "valueQuantity": {"value": value, **_unit(instance, unit)},
        "derivedFrom": [{"reference": f"ImagingStudy/{instance.study_id}"}],
    }
    if at := instance.stated_datetime(CONTENT_DATE, CONTENT_TIME, []):
        observation["effectiveDateTime"] = at
    observation["performer"] = [instance.organization]
    _describe(instance, observation, [*group.children, *item.children])
    return observation


def _unit(instance: Instance, unit: tuple[str, str, str]) -> dict[str, str]:
    scheme, code, meaning = unit
    if not code:
        return {}
    system = UCUM if scheme == "UCUM" else local_system(instance.facility, scheme or "unit")
    return {"unit": meaning or code, "system": system, "code": code}


def _describe(instance: Instance, observation: Resource, items: list[ContentItem]) -> None:
    """Where, how, of what, and which statistic: what the group and the measurement say of it."""
    components = []
    for item in items:
        coded = _first(item.item, CODE)
        concept = codeable(instance, coded) if coded is not None else {}
        if item.concept in _SITES and concept:
            observation["bodySite"] = concept
        elif item.concept in _METHODS and concept:
            observation["method"] = concept
        elif item.concept in (_FINDING, _DERIVATION) and concept and (name := _first(item.item, CONCEPT_NAME)) is not None:
            components.append({"code": codeable(instance, name), "valueCodeableConcept": concept})
    if components:
        observation["component"] = components
