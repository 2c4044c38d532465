"""Coded entries of DICOM → Coding and CodeableConcept.

Code sequence macro: https://dicom.nema.org/medical/dicom/current/output/chtml/part03/chapter_8.html; coding schemes: PS3.16 8-1.
"""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset

from mappers.dicom.instance import Instance
from mappers.identity_keys import local_system
from profiles.names import DCM, LOINC, UCUM

CODE_VALUE, CODING_SCHEME, CODE_MEANING = 0x00080100, 0x00080102, 0x00080104
LONG_CODE_VALUE, URN_CODE_VALUE = 0x00080119, 0x00080120

# (0008,0102) → URI; a scheme of the site's own (99…) becomes a local system of the facility
CODING_SCHEMES = {
    "DCM": DCM,
    "LN": LOINC,
    "UCUM": UCUM,
    "SCT": "http://snomed.info/sct",
    "SRT": "http://snomed.info/srt",
    "SNM3": "http://snomed.info/srt",
    "FMA": "http://purl.org/sig/ont/fma",
    "RADLEX": "http://radlex.org",
    "MDC": "urn:iso:std:iso:11073:10101",
    "I10": "http://hl7.org/fhir/sid/icd-10",
    "UMLS": "http://www.nlm.nih.gov/research/umls",
    "NCIt": "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl",
}


def code_of(instance: Instance, item: Dataset) -> tuple[str, str, str]:
    """Scheme, code and meaning; what is missing is empty."""
    value = next(filter(None, (instance.nested_text(item, tag) for tag in (CODE_VALUE, LONG_CODE_VALUE, URN_CODE_VALUE))), "")
    return instance.nested_text(item, CODING_SCHEME), value, instance.nested_text(item, CODE_MEANING)


def codeable(instance: Instance, item: Dataset) -> dict[str, Any]:
    """A CodeableConcept; empty if the entry says nothing."""
    scheme, value, meaning = code_of(instance, item)
    concept: dict[str, Any] = {}
    if value and scheme:
        system = CODING_SCHEMES.get(scheme) or local_system(instance.facility, scheme)
        concept["coding"] = [{"system": system, "code": value, **({"display": meaning} if meaning else {})}]
    if meaning or value:
        concept["text"] = meaning or value
    return concept
