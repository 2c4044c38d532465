"""What the codes of WS/T 500 documents mean: document types, section codes, roots of numbers, code systems."""

from __future__ import annotations

import re

from profiles.names import LOINC

CN = "2.16.156.10011"
DOCUMENT_SYSTEM = f"{CN}.2.4"
TEMPLATE_ROOT = f"{CN}.2.1.1."  # then 20 + n for document C00nn

# WS/T 500.1-53 in order
_NAMES = """
病历概要 门(急)诊病历 急诊留观病历 西药处方 中药处方 检查报告
检验报告 治疗记录 一般手术记录 麻醉术前访视记录 麻醉记录 麻醉术后访视记录
输血记录 待产记录 阴道分娩记录 剖宫产记录 一般护理记录 病重(病危)护理记录
手术护理记录 生命体征测量记录 出入量记录 高值耗材使用记录 入院评估 护理计划
出院评估与指导 手术知情同意书 麻醉知情同意书 输血治疗同意书 特殊检查及特殊治疗同意书
病危(重)通知书 其他知情同意书 住院病案首页 中医住院病案首页 入院记录 24h内入出院记录
24h内入院死亡记录 首次病程记录 日常病程记录 上级医师查房记录 疑难病例讨论记录 交接班记录
转科记录 阶段小结 抢救记录 会诊记录 术前小结 术前讨论 术后首次病程记录 出院记录 死亡记录
死亡病例讨论记录 住院医嘱 出院小结
"""
DOCUMENT_NAMES = {f"C{number:04}": name for number, name in enumerate(_NAMES.split(), start=1)}
# Document type → LOINC, where one says the same
DOCUMENT_LOINC = {
    "C0002": ("34108-1", "Outpatient Note"),
    "C0003": ("34111-5", "Emergency department Note"),
    "C0004": ("57833-6", "Prescription for medication"),
    "C0006": ("18748-4", "Diagnostic imaging study"),
    "C0007": ("11502-2", "Laboratory report"),
    "C0009": ("11504-8", "Surgical operation note"),
    "C0034": ("34117-2", "History and physical note"),
    "C0045": ("11488-4", "Consult note"),
    "C0049": ("18842-5", "Discharge summary"),
    "C0053": ("18842-5", "Discharge summary"),
}
# Document type → Encounter.class, where the type leaves no doubt; C0004-C0008 occur in every setting
DOCUMENT_CLASS = {"C0002": "AMB", "C0003": "EMER"} | {f"C{number:04}": "IMP" for number in (*range(17, 26), *range(32, 54))}

SECTION_TITLES = {
    "10154-3": "主诉",
    "10164-2": "现病史",
    "11348-0": "既往史",
    "48765-2": "过敏史",
    "29545-1": "体格检查",
    "30954-2": "检查检验",
    "29548-5": "诊断",
    "18776-5": "治疗计划",
    "46209-3": "医嘱",
    "48767-8": "嘱托",
    "10160-0": "用药",
    "48768-6": "费用",
    "47519-4": "手术操作",
    "8716-3": "生命体征",
    "11450-4": "主要健康问题",
    "46241-6": "入院诊断",
    "11535-2": "出院诊断",
    "8648-8": "住院过程",
    "11336-5": "住院史",
    "10157-6": "家族史",
    "11369-6": "免疫",
    "29762-2": "社会史",
    "49033-4": "月经史",
    "56836-0": "输血",
    "51848-0": "评估",
    "69730-0": "健康指导",
    "42349-1": "转诊原因",
    "10184-0": "出院情况",
    "8654-6": "出院医嘱",
}
# A label that contradicts its code says what is meant: vendors copy a code and write the right name
LABEL_MEANS = {"CHIEF COMPLAINT": "10154-3", "主诉": "10154-3", "HISTORY OF PRESENT ILLNESS": "10164-2", "现病史": "10164-2"}

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
SSN_ROOT = "2.16.840.1.113883.4.1"

# 患者类型 CV09.00.404 and the words a vendor writes → Encounter.class
PATIENT_CLASS = {"1": "AMB", "2": "EMER", "3": "IMP", "9": "AMB", "门诊": "AMB", "急诊": "EMER", "住院": "IMP", "体检": "AMB"}
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
    "2.16.840.1.113883.6.8": "http://unitsofmeasure.org",
    "2.16.840.1.113883.5.25": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
    "1.2.840.10008.2.16.4": "http://dicom.nema.org/resources/ontology/DCM",
}
OID = re.compile(r"[0-2](\.(0|[1-9]\d*)){2,}")
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
LOINC_CODE = re.compile(r"\d{1,5}-\d")


def system_uri(root: str, facility: str) -> str:
    """A root as URI: the official one, urn:oid or urn:uuid; what is neither is the facility's own."""
    root = root.replace(f"{CN}.2.3.3.1.", f"{CN}.2.3.1.")  # a digit too many
    if root in URIS:
        return URIS[root]
    if OID.fullmatch(root):
        return f"urn:oid:{root}"
    if UUID.fullmatch(root):
        return f"urn:uuid:{root.lower()}"
    return f"urn:hub:{facility}:{re.sub(r'[^A-Za-z0-9.-]+', '-', root).strip('-')[:64] or 'code'}"
