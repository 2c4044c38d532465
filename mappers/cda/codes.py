"""Roots of numbers and of code systems in Chinese documents, and the small code maps that a header needs."""

from __future__ import annotations

import re

from profiles.names import LOINC

CN = "2.16.156.10011"
DOCUMENT_SYSTEM = f"{CN}.2.4"
TEMPLATE_ROOT = f"{CN}.2.1.1."  # then 20 + n for document C00nn

# Roots of numbers. A patient's own number is worth most; an outpatient or inpatient number is local to its kind.
PATIENT_ROOTS = (f"{CN}.2.5.1.4", "1.2.156.112635.1.2.1.3")  # the facility's patient number, by the platform and by a vendor
NUMBER_ROOTS = {  # in order of worth, where there is no patient number
    f"{CN}.1.13": "chart",
    f"{CN}.1.11": "outpatient",
    f"{CN}.1.10": "outpatient",
    f"{CN}.1.12": "inpatient",
}
VISIT_NUMBERS = (f"{CN}.1.10", f"{CN}.1.11", f"{CN}.1.12")
VISIT_ROOTS = (f"{CN}.2.5.1.9", "1.2.156.112635.1.2.1.6", "1.2.156.112635.1.2.1.12")
NOT_A_PATIENT = frozenset(  # specimen, request, report, document and domain numbers stand among the patient's ids
    f"{CN}.{end}" for end in ("1.1", "1.8", "1.14", "1.20", "1.24", "1.28", "1.32", "1.33", "1.34", "2.5.1.5", "2.5.1.9")
) | {"1.2.156.112635.1.2.1.2", *VISIT_ROOTS}
NOT_A_VISIT = frozenset({"1.2.156.112635.1.2.1.7", f"{CN}.2.5.1.8"})  # how often someone came is not which visit
ID_CARD_ROOT, HEALTH_CARD_ROOT, EHR_ROOT, INSURANCE_ROOT = (f"{CN}.{end}" for end in ("1.3", "1.19", "1.2", "1.15"))
REQUEST_ROOT, IMAGING_REPORT_ROOT, LAB_REPORT_ROOT, SPECIMEN_ROOT = (f"{CN}.{end}" for end in ("1.24", "1.32", "1.33", "1.14"))
BED_ROOT, ROOM_ROOT, DEPARTMENT_ROOT, WARD_ROOT = (f"{CN}.{end}" for end in ("1.22", "1.21", "1.26", "1.27"))
PRESCRIPTION_ROOT, CONSENT_ROOT, ORDER_ROOT = (f"{CN}.{end}" for end in ("1.20", "1.34", "1.28"))
STAFF_ROOTS = (f"{CN}.1.4", f"{CN}.1.7")
DATA_ELEMENTS = f"{CN}.2.2.1"
FRONT_SHEET = f"{CN}.2.2.4"
SSN_ROOT = "2.16.840.1.113883.4.1"

# 患者类型 CV09.00.404 and the words a vendor writes → Encounter.class
PATIENT_CLASS = {"1": "AMB", "2": "EMER", "3": "IMP", "9": "AMB", "门诊": "AMB", "急诊": "EMER", "住院": "IMP", "体检": "AMB"}
ADMIT_SOURCE = {"1": "outp", "2": "emd", "3": "hosp-trans", "9": "other"}  # 入院途径 CV09.00.403; insurers count otherwise
# 婚姻状况 GB/T 2261.2 → v3-MaritalStatus. A one-digit code may be a hospital's own: then the name says.
MARITAL = {"10": "S", "20": "M", "21": "M", "22": "M", "23": "M", "30": "W", "40": "D", "90": "UNK"}
MARITAL_WORDS = {"未婚": "S", "已婚": "M", "初婚": "M", "再婚": "M", "复婚": "M", "丧偶": "W", "离婚": "D", "离异": "D"}
# 随访方式 CV06.00.207 → Encounter.class
VISIT_CLASS = {"1": "AMB", "2": "HH", "3": "VR", "4": "VR", "5": "VR"}
DISCHARGE = {"1": "home", "2": "other-hcf", "3": "other-hcf", "4": "aadvice", "5": "exp", "9": "oth"}  # 离院方式 CV06.00.226
GENDER = {"1": "male", "2": "female", "0": "unknown", "9": "unknown", "M": "male", "F": "female", "UN": "other"}
GENDER_WORDS = {"男": "male", "女": "female", "男性": "male", "女性": "female"}

URIS = {
    "2.16.840.1.113883.6.1": LOINC,
    "2.16.840.1.11883.6.1": LOINC,  # as many documents have it: a 3 is missing
    "2.16.840.1.113883.6.96": "http://snomed.info/sct",
    "2.16.840.1.113883.6.88": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "2.16.840.1.113883.6.3": "http://hl7.org/fhir/sid/icd-10",
    "2.16.840.1.113883.6.90": "http://hl7.org/fhir/sid/icd-10-cm",
    "2.16.840.1.113883.6.103": "http://hl7.org/fhir/sid/icd-9-cm",
    "2.16.840.1.113883.6.12": "http://www.ama-assn.org/go/cpt",
    "2.16.840.1.113883.12.292": "http://hl7.org/fhir/sid/cvx",
    "2.16.840.1.113883.6.59": "http://hl7.org/fhir/sid/cvx",
    "2.16.840.1.113883.6.69": "http://hl7.org/fhir/sid/ndc",
    "2.16.840.1.113883.6.104": "http://hl7.org/fhir/sid/icd-9-cm",
    "2.16.840.1.113883.6.4": "http://www.cms.gov/Medicare/Coding/ICD10",
    "2.16.840.1.113883.4.9": "http://fdasis.nlm.nih.gov",
    "2.16.840.1.113883.5.2": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus",
    "2.16.840.1.113883.5.4": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
    "2.16.840.1.113883.5.83": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
    "2.16.840.1.113883.5.112": "http://terminology.hl7.org/CodeSystem/v3-RouteOfAdministration",
    "2.16.840.1.113883.5.111": "http://terminology.hl7.org/CodeSystem/v3-RoleCode",
    "2.16.840.1.113883.3.26.1.1": "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl",
    "2.16.840.1.113883.6.8": "http://unitsofmeasure.org",
    "2.16.840.1.113883.5.25": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
    "1.2.840.10008.2.16.4": "http://dicom.nema.org/resources/ontology/DCM",
}
OID = re.compile(r"[0-2](\.(0|[1-9]\d*)){2,}")
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
LOINC_CODE = re.compile(r"\d{1,5}-\d")


_DIGIT_TOO_MANY = re.compile(rf"{re.escape(CN)}\.2\.3\.3\.1\.(\d+)")


def mended_root(root: str) -> str:
    """A value set's OID without the digit too many that some documents have: 2.3.3.1.265 for 2.3.1.265."""
    return _DIGIT_TOO_MANY.sub(rf"{CN}.2.3.1.\1", root)


def system_uri(root: str, facility: str) -> str:
    """A root as URI: the official one, urn:oid or urn:uuid; what is neither is the facility's own."""
    root = mended_root(root)
    if root in URIS:
        return URIS[root]
    if OID.fullmatch(root):
        return f"urn:oid:{root}"
    if UUID.fullmatch(root):
        return f"urn:uuid:{root.lower()}"
    return f"urn:hub:{facility}:{re.sub(r'[^A-Za-z0-9.-]+', '-', root).strip('-')[:64] or 'code'}"
