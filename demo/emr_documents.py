"""The EMR's shared documents as a hospital writes them: CDA of the WS/T 500 shape, from plain facts.

C0002 outpatient record, C0006 examination report, C0053 discharge summary. Header order, roots and data elements follow the
standard's own worked examples; what a real document leaves empty is left empty here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from lxml import etree

V3 = "urn:hl7-org:v3"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
CN = "2.16.156.10011"
LOINC_OID = "2.16.840.1.113883.6.1"
NAMES = {"C0002": "门(急)诊病历", "C0006": "检查报告", "C0053": "出院小结"}
CLASS_NAMES = {"1": "门诊", "2": "急诊", "3": "住院"}
SEX_NAMES = {"1": "男性", "2": "女性", "0": "未知的性别", "9": "未说明的性别"}
DISCHARGE_NAMES = {
    "1": "医嘱离院",
    "2": "医嘱转院",
    "3": "医嘱转社区卫生服务机构/乡镇卫生院",
    "4": "非医嘱离院",
    "5": "死亡",
    "9": "其他",
}

Node = etree._Element
NAMESPACES: Any = {None: V3, "xsi": XSI}


@dataclass(frozen=True, slots=True)
class Subject:
    """The patient as the EMR knows them."""

    number: str  # the HIS's patient number
    name: str
    sex: str  # GB/T 2261.1
    birth: str  # YYYYMMDD; empty: unknown
    id_number: str = ""
    phone: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Stay:
    """The visit or admission a document belongs to."""

    number: str  # the HIS's visit number
    kind: str  # 1 outpatient, 2 emergency, 3 inpatient
    start: datetime
    end: datetime | None = None
    department: str = ""
    ward: str = ""
    bed: str = ""


@dataclass(frozen=True, slots=True)
class Coded:
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Frame:
    """What every document states of itself."""

    number: str  # 文档流水号
    created: datetime
    facility: Coded
    author: Coded
    set_number: str = ""
    version: int = 1
    replaces: str = ""  # the number of the document it corrects
    signer: Coded | None = None
    ids: dict[str, str] = field(default_factory=dict)  # further numbers among the patient's: root below 2.16.156.10011 → number


def _node(parent: Node | None, name: str, text: str = "", **attributes: str) -> Node:
    values = {key.rstrip("_"): value for key, value in attributes.items() if value}
    tag = f"{{{V3}}}{name}"
    node = etree.Element(tag, values, nsmap=NAMESPACES) if parent is None else etree.SubElement(parent, tag, values)
    if text:
        node.text = text
    return node


def _path(parent: Node, *names: str) -> Node:
    for name in names:
        parent = _node(parent, name)
    return parent


def _stamp(time: datetime | None) -> str:
    return time.strftime("%Y%m%d%H%M%S") if time else ""


def _id(parent: Node, root: str, extension: str) -> None:
    _node(parent, "id", root=f"{CN}.{root}", extension=extension)


def _head(code: str, frame: Frame) -> Node:
    root = _node(None, "ClinicalDocument")
    _node(root, "realmCode", code="CN")
    _node(root, "typeId", root="2.16.840.1.113883.1.3", extension="POCD_MT000040")
    _node(root, "templateId", root=f"{CN}.2.1.1.{20 + int(code[1:])}")
    _id(root, "1.1", frame.number)
    _node(root, "code", code=code, codeSystem=f"{CN}.2.4", codeSystemName="卫生信息共享文档规范编码体系")
    _node(root, "title", NAMES[code])
    _node(root, "effectiveTime", value=_stamp(frame.created))
    _node(root, "confidentialityCode", code="N", codeSystem="2.16.840.1.113883.5.25", displayName="正常访问保密级别")
    _node(root, "languageCode", code="zh-CN")
    _node(root, "setId", root=f"{CN}.1.1" if frame.set_number else "", extension=frame.set_number)
    _node(root, "versionNumber", value=str(frame.version))
    return root


def _patient(root: Node, frame: Frame, subject: Subject, stay: Stay) -> None:
    role = _path(root, "recordTarget", "patientRole")
    _id(role, "2.5.1.4", subject.number)
    _id(role, "1.12" if stay.kind == "3" else "1.11", stay.number)
    for end, number in frame.ids.items():
        _id(role, end, number)
    system = f"{CN}.2.3.1.271"
    _node(_node(role, "patientType"), "patienttypeCode", code=stay.kind, codeSystem=system, displayName=CLASS_NAMES[stay.kind])
    if subject.address:
        _node(_node(role, "addr", use="H"), "houseNumber", subject.address)
    if subject.phone:
        _node(role, "telecom", value=subject.phone)
    person = _node(role, "patient", classCode="PSN", determinerCode="INSTANCE")
    if subject.id_number:
        _id(person, "1.3", subject.id_number)
    _node(person, "name", subject.name)
    sex_name = SEX_NAMES.get(subject.sex, "")
    _node(person, "administrativeGenderCode", code=subject.sex, codeSystem=f"{CN}.2.3.3.4", displayName=sex_name)
    if subject.birth:
        _node(person, "birthTime", value=subject.birth)


def _people(root: Node, frame: Frame) -> None:
    author = _node(root, "author", typeCode="AUT", contextControlCode="OP")
    _node(author, "time", value=_stamp(frame.created))
    assigned = _node(author, "assignedAuthor", classCode="ASSIGNED")
    _id(assigned, "1.7", frame.author.code)
    _node(_node(assigned, "assignedPerson"), "name", frame.author.name)
    custodian = _path(root, "custodian", "assignedCustodian", "representedCustodianOrganization")
    _id(custodian, "1.5", frame.facility.code)
    _node(custodian, "name", frame.facility.name)
    signer = frame.signer or frame.author
    legal = _node(root, "legalAuthenticator")
    _node(legal, "time", value=_stamp(frame.created))
    _node(legal, "signatureCode")
    entity = _node(legal, "assignedEntity")
    _id(entity, "1.4", signer.code)
    _node(entity, "code", displayName="责任医生")
    _node(_node(entity, "assignedPerson"), "name", signer.name)


def _related(root: Node, frame: Frame) -> None:
    parent = _node(_node(root, "relatedDocument", typeCode="RPLC"), "parentDocument")
    _node(parent, "id", root=f"{CN}.1.1" if frame.replaces else "", extension=frame.replaces)
    _node(parent, "setId", root=f"{CN}.1.1" if frame.set_number and frame.replaces else "", extension=frame.set_number)
    _node(parent, "versionNumber", value=str(frame.version - 1) if frame.replaces else "")


def _visit(root: Node, frame: Frame, stay: Stay) -> None:
    """Bed, department, ward and hospital, nested inside out as the standard has them."""
    encounter = _path(root, "componentOf", "encompassingEncounter")
    _id(encounter, "2.5.1.9", stay.number)
    _node(encounter, "code", code=stay.kind, codeSystem=f"{CN}.2.3.1.271", displayName=CLASS_NAMES[stay.kind])
    time = _node(encounter, "effectiveTime")
    _node(time, "low", value=_stamp(stay.start))
    if stay.end:
        _node(time, "high", value=_stamp(stay.end))
    place = _path(encounter, "location", "healthCareFacility", "serviceProviderOrganization")
    levels = (("1.22", stay.bed), ("1.26", stay.department), ("1.27", stay.ward), ("1.5", frame.facility.name))
    for root_end, name in levels:
        place = _path(place, "asOrganizationPartOf", "wholeOrganization")
        _id(place, root_end, frame.facility.code if root_end == "1.5" else "")
        if name:
            _node(place, "name", name)


def _open(code: str, frame: Frame, subject: Subject, stay: Stay) -> tuple[Node, Node]:
    root = _head(code, frame)
    _patient(root, frame, subject, stay)
    _people(root, frame)
    _related(root, frame)
    _visit(root, frame, stay)
    return root, _path(root, "component", "structuredBody")


def _section(body: Node, loinc: str, label: str, text: str = "") -> Node:
    section = _path(body, "component", "section")
    if loinc:
        _node(section, "code", code=loinc, displayName=label, codeSystem=LOINC_OID, codeSystemName="LOINC")
    else:
        _node(section, "code", displayName=label)
    _node(section, "text", text)
    return section


def _observation(parent: Node, code: str, label: str, *, time: str = "") -> Node:
    observation = _node(parent, "observation", classCode="OBS", moodCode="EVN")
    _node(observation, "code", code=f"{code}.00", displayName=label, codeSystem=f"{CN}.2.2.1", codeSystemName="卫生信息数据元目录")
    if time:
        _node(observation, "effectiveTime", value=time)
    return observation


def _value(observation: Node, kind: str, text: str = "", **attributes: str) -> Node:
    value = _node(observation, "value", text, **attributes)
    value.set(f"{{{XSI}}}type", kind)
    return observation


def _text(parent: Node, code: str, label: str, text: str) -> None:
    if text:
        _value(_observation(_node(parent, "entry"), code, label), "ST", text)


def _diagnoses(section: Node, diagnoses: Iterable[Coded], label: str, time: datetime) -> None:
    for diagnosis in diagnoses:
        observation = _observation(_node(section, "entry"), "DE05.01.024", f"{label}代码", time=time.strftime("%Y%m%d"))
        system = f"{CN}.2.3.3.11"
        _value(observation, "CD", code=diagnosis.code, displayName=diagnosis.name, codeSystem=system, codeSystemName="ICD-10")


def _bytes(root: Node) -> bytes:
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def outpatient_record(
    frame: Frame,
    subject: Subject,
    stay: Stay,
    *,
    complaint: str,
    present: str,
    past: str = "",
    allergy: str = "",
    examination: str = "",
    diagnoses: Sequence[Coded] = (),
    orders: str = "",
) -> bytes:
    """C0002 门(急)诊病历. `allergy` names substances: 青霉素过敏; empty means that none is known."""
    root, body = _open("C0002", frame, subject, stay)
    section = _section(body, "48765-2", "Allergies, adverse reactions, alerts")
    flag = _observation(_node(section, "entry"), "DE02.10.023", "过敏史标志")
    _value(flag, "BL", value="true" if allergy else "false")
    if allergy:
        _value(_observation(_node(flag, "entryRelationship", typeCode="COMP"), "DE05.01.022", "过敏史"), "ST", allergy)
    for loinc, name, code, label, text in (
        ("10154-3", "CHIEF COMPLAINT", "DE04.01.119", "主诉", complaint),
        ("10164-2", "HISTORY OF PRESENT ILLNESS", "DE02.10.071", "现病史", present),
        ("11348-0", "HISTORY OF PAST ILLNESS", "DE02.10.099", "既往史", past),
        ("29545-1", "PHYSICAL EXAMINATION", "DE04.10.258", "体格检查", examination),
    ):
        _text(_section(body, loinc, name), code, label, text)
    _diagnoses(_section(body, "29548-5", "Diagnosis"), diagnoses, "诊断", stay.start)
    _section(body, "46209-3", "Provider Orders", orders)
    return _bytes(root)


def imaging_report(
    frame: Frame,
    subject: Subject,
    stay: Stay,
    *,
    report_number: str,
    request_number: str,
    kind: str,
    item: str,
    performed: datetime,
    findings: str,
    impression: str,
    body_part: str = "",
    item_code: str = "",
    diagnoses: Sequence[Coded] = (),
) -> bytes:
    """C0006 检查报告: what was seen and what it means; the pictures are in the PACS."""
    numbered = replace(frame, ids={**frame.ids, "1.32": report_number, "1.24": request_number})
    root, body = _open("C0006", numbered, subject, stay)
    if diagnoses:
        _diagnoses(_section(body, "29548-5", "Diagnosis"), diagnoses, "诊断", performed)
    section = _section(body, "30954-2", "STUDIES SUMMARY")
    _text(section, "DE04.30.018", "检查类别", kind)
    _text(section, "DE06.00.093", "检查部位", body_part)
    cluster = _node(_path(section, "entry"), "organizer", classCode="CLUSTER", moodCode="EVN")
    _node(cluster, "statusCode")
    exam = _observation(_node(cluster, "component"), "DE04.30.019", "检查项目代码", time=_stamp(performed))
    if item_code:
        _value(exam, "CD", code=item_code, displayName=item, codeSystemName="本院检查项目")
    else:
        _value(exam, "ST", item)
    report = _section(body, "", "检查报告")
    _text(report, "DE04.50.131", "检查报告结果-客观所见", findings)
    _text(report, "DE04.50.132", "检查报告结果-主观提示", impression)
    _text(report, "DE08.10.026", "检查报告科室", stay.department)
    _text(report, "DE08.10.013", "检查报告机构名称", frame.facility.name)
    return _bytes(root)


def discharge_summary(
    frame: Frame,
    subject: Subject,
    stay: Stay,
    *,
    admitted_with: str,
    course: str,
    condition: str,
    advice: str,
    admission_diagnoses: Sequence[Coded] = (),
    discharge_diagnoses: Sequence[Coded] = (),
    way: str = "1",
) -> bytes:
    """C0053 出院小结. `way` is 离院方式 CV06.00.226."""
    root, body = _open("C0053", frame, subject, stay)
    end = stay.end or frame.created
    section = _section(body, "46241-6", "Hospital admission diagnosis")
    _text(section, "DE05.10.148", "入院情况", admitted_with)
    _diagnoses(section, admission_diagnoses, "入院诊断", stay.start)
    _text(_section(body, "8648-8", "Hospital course"), "DE06.00.296", "诊疗过程描述", course)
    section = _section(body, "11535-2", "Hospital discharge diagnosis")
    _text(section, "DE06.00.193", "出院情况", condition)
    _diagnoses(section, discharge_diagnoses, "出院诊断", end)
    way_of = _observation(_node(section, "entry"), "DE06.00.223", "离院方式")
    _value(way_of, "CD", code=way, displayName=DISCHARGE_NAMES[way], codeSystem=f"{CN}.2.3.1.265", codeSystemName="离院方式代码表")
    days = max(1, (end.date() - stay.start.date()).days)
    stayed = _observation(_node(section, "entry"), "DE06.00.310", "实际住院天数")
    _value(stayed, "PQ", value=str(days), unit="天")
    _text(_section(body, "46209-3", "Provider Orders"), "DE06.00.287", "出院医嘱", advice)
    return _bytes(root)
