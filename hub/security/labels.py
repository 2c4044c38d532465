"""Records that are closed to whoever was not named for them: HIV, sexually transmitted, psychiatric, reproductive, addiction,
genetic, abuse, staff and persons of note, and what a source calls restricted.

A source says so by `meta.security`; where none does, by the codes of restricted.toml. The label makes the compartment in which
the stores keep the record (hub.store.compartments), so that it is left out of every query, total, include and history alike.
https://hl7.org/fhir/R4/security-labels.html, https://terminology.hl7.org/ValueSet-v3-InformationSensitivityPolicy.html
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from hub.search.extract import patient_of
from hub.store.compartments import restricted_compartment

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
_STATED: Mapping[str, tuple[str, ...]] = {
    "HIV": ("HIV",),
    "STD": ("STD",),
    "PSY": ("PSY", "PSYTHPN"),
    "SEX": ("SEX",),
    "ETH": ("ETH", "ETHUD", "SUD", "OPIOIDUD"),
    "GDIS": ("GDIS",),
    "SDV": ("SDV", "MST"),
    "VIP": ("VIP", "EMP", "CEL"),
}
LABELS: Mapping[tuple[str, str], str] = {
    **{(ACT_CODE, code): label for label, codes in _STATED.items() for code in codes},
    **{(CONFIDENTIALITY, code): "R" for code in ("R", "V")},
}
"""A security label's system and code → the class that a Consent may name."""
CLASSES = frozenset(LABELS.values())
OPEN_TYPES = frozenset({"Patient", "Consent", "AuditEvent"})
"""Whom a record is about, what the person decided of it, and who looked is no part of what is closed."""
_ICD_10 = ("icd-10", "2.16.156.10011.2.3.3.11")
_LOINC = "http://loinc.org"


@cache
def _by_code() -> tuple[Mapping[str, str], Mapping[str, str]]:
    """ICD-10 categories and LOINC codes → label."""
    rules = tomllib.loads((Path(__file__).parent / "restricted.toml").read_text("utf-8"))
    icd, loinc = ({code: label for label, codes in rules[kind].items() for code in codes} for kind in ("icd10", "loinc"))
    return icd, loinc


def labels_of(resource: Mapping[str, Any]) -> tuple[str, ...]:
    """Classes that close it, in order; () for an ordinary record."""
    found = set(_stated(resource))
    found.update(label for coding in _codings(resource) if (label := _of_code(coding)))
    return tuple(sorted(found))


def compartment_of(resource: dict[str, Any]) -> str:
    """The compartment in which a store keeps it; "" for none."""
    patient = patient_of(resource)
    if not patient or resource["resourceType"] in OPEN_TYPES:
        return patient
    labels = labels_of(resource)
    return restricted_compartment("+".join(labels), patient) if labels else patient


def class_of(coding: object) -> str:
    """Of a security label; "" for one that closes nothing. Without a system its code alone decides."""
    if not isinstance(coding, Mapping):
        return ""
    code, system = coding.get("code"), coding.get("system")
    if system is None:
        return next((label for (_, known), label in LABELS.items() if known == code), "")
    return LABELS.get((str(system), str(code)), "")


def security_of(label: str) -> dict[str, str]:
    """The coding that stands for a class in meta.security."""
    return {"system": CONFIDENTIALITY if label == "R" else ACT_CODE, "code": label}


def _stated(resource: Mapping[str, Any]) -> Iterator[str]:
    meta = resource.get("meta")
    labels = meta.get("security") if isinstance(meta, Mapping) else None
    for coding in labels if isinstance(labels, list) else ():
        if label := class_of(coding):
            yield label


def _codings(resource: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Of every CodeableConcept that is a member of the resource, or of its components."""
    for name, value in resource.items():
        for each in value if isinstance(value, list) else (value,):
            if isinstance(each, dict):
                codings = each.get("coding")
                yield from (coding for coding in codings if isinstance(coding, dict)) if isinstance(codings, list) else ()
                if name == "component":
                    yield from _codings(each)


def _of_code(coding: Mapping[str, Any]) -> str:
    system, code = coding.get("system"), coding.get("code")
    if not isinstance(system, str) or not isinstance(code, str):
        return ""
    icd, loinc = _by_code()
    if system == _LOINC:
        return loinc.get(code, "")
    return icd.get(code[:3].upper(), "") if any(part in system for part in _ICD_10) else ""
