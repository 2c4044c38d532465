"""What R4 gives a Patient no element for: extensions of FHIR's own, and of the US core where a source uses its codes.

https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-pid-to-patient.html
"""

from __future__ import annotations

from typing import Any

from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Segment
from mappers.hl7v2.types import concepts, human_name
from profiles.names import ETHNIC_GROUP, ETHNIC_GROUP_CN

CORE = "http://hl7.org/fhir/StructureDefinition/"
MAIDEN_NAME, BIRTH_PLACE, BIRTH_TIME = (f"{CORE}patient-{name}" for name in ("mothersMaidenName", "birthPlace", "birthTime"))
# PID field → an extension that holds one concept, by itself or as its `code`
CONCEPTS = {
    17: (f"{CORE}patient-religion", "religion", False),
    26: (f"{CORE}patient-citizenship", "citizenship", True),
    28: (f"{CORE}patient-nationality", "nationality", True),
}
DELETABLE = {6: MAIDEN_NAME, 22: ETHNIC_GROUP, 23: BIRTH_PLACE, **{field: url for field, (url, _, _) in CONCEPTS.items()}}

RACE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"
CDC_RACE = "urn:oid:2.16.840.1.113883.6.238"
RACES = frozenset({"1002-5", "2028-9", "2054-5", "2076-8", "2106-3"})  # of CDC's race and ethnicity: the five that US law counts


def patient_extensions(draft: Draft, pid: Segment) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if (mother := human_name(draft, pid, 6)) and (name := mother.get("family") or mother["text"]):
        found.append({"url": MAIDEN_NAME, "valueString": name})
    place = pid.value(23)
    if place.isdigit():
        draft.refuse(pid, 23)  # a code of the source's own, whose table nobody has named
    elif place:
        found.append({"url": BIRTH_PLACE, "valueAddress": {"text": place}})
    for field, (url, kind, nested) in CONCEPTS.items():
        for concept in concepts(draft, pid, field, kind):
            value = {"valueCodeableConcept": concept}
            found.append({"url": url, "extension": [{"url": "code", **value}]} if nested else {"url": url, **value})
    found += _ethnic_group(draft, pid) + _race(draft, pid)
    if draft.mode == "patch":  # a url without a value: there is none
        found += [{"url": url} for field, url in DELETABLE.items() if pid.deleted(field)]
    return found


def _ethnic_group(draft: Draft, pid: Segment) -> list[dict[str, Any]]:
    groups = concepts(draft, pid, 22, "ethnic-group")
    for group in groups:
        coding = (group.get("coding") or [{}])[0]
        code = coding.get("code", "")
        if code.isdecimal() and len(code) == 2 and coding["system"] == draft.local("ethnic-group"):
            coding["system"] = ETHNIC_GROUP_CN  # two digits: GB/T 3304
    return [{"url": ETHNIC_GROUP, "valueCodeableConcept": group} for group in groups]


def _race(draft: Draft, pid: Segment) -> list[dict[str, Any]]:
    """PID-10, where the codes are CDC's: nothing else is known to be one of these five."""
    parts, names = [], []
    for number in range(1, pid.count(10) + 1):
        code, name = pid.value(10, 1, 1, number), pid.value(10, 2, 1, number)
        if code in RACES:
            coding = {"system": CDC_RACE, "code": code, **({"display": name} if name else {})}
            parts.append({"url": "ombCategory", "valueCoding": coding})
        names.append(name or code)
    if not parts:
        draft.refuse(pid, 10)
        return []
    return [{"url": RACE, "extension": [*parts, {"url": "text", "valueString": ", ".join(filter(None, names))}]}]


def birth_time(draft: Draft, pid: Segment) -> dict[str, Any]:
    """The companion of birthDate, where PID-7 states a time of day."""
    when = draft.datetime(pid, 7)
    if not when or "T" not in when:
        return {}
    return {"_birthDate": {"extension": [{"url": BIRTH_TIME, "valueDateTime": when}]}}
