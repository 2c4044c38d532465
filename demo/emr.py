"""The facilities' electronic records: which of the story's events become shared documents (WS/T 500), and with which facts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from demo.emr_documents import Coded, Frame, Stay, Subject, discharge_summary, imaging_report, outpatient_record
from demo.story import Exam, Visit

NAMES = {"CTY": "示范县人民医院", "TCM": "示范县中医医院"}
CATEGORIES = {"CR": "DR", "CT": "CT"}
ALLERGIES = ("青霉素过敏", "磺胺类药物过敏", "头孢类药物过敏")


def documents(facility: str, visits: Iterable[Visit]) -> Iterator[tuple[str, bytes]]:
    """(file name, content): an outpatient record or a discharge summary a visit, an imaging report a film."""
    for visit in visits:
        if visit.facility != facility:
            continue
        if visit.inpatient and visit.end:
            yield f"{visit.number}-C0053.xml", _discharge(visit)
        if not visit.inpatient:
            yield f"{visit.number}-C0002.xml", _record(visit)
        for exam in visit.exams:
            if exam.modality in CATEGORIES:
                yield f"{visit.number}-C0006.xml", _report(visit, exam)


def _allergy(visit: Visit) -> str:
    """Everybody's own for ever: the hero and one in eight others have one."""
    number = visit.person.number
    return ALLERGIES[number // 8 % len(ALLERGIES)] if number % 8 == 0 else ""


def _frame(visit: Visit, code: str) -> Frame:
    doctor, _, name = visit.doctor.partition("^")
    return Frame(
        number=f"{visit.number}{code}",
        created=visit.end or visit.start,
        facility=Coded(visit.facility, NAMES[visit.facility]),
        author=Coded(doctor, name),
        set_number=f"{visit.number}{code}",
    )


def _subject(visit: Visit) -> Subject:
    person = visit.person
    number = person.number_at(visit.facility)
    return Subject(visit.patient_number, person.name, person.sex, f"{person.birth:%Y%m%d}", number, person.phone, person.address)


def _stay(visit: Visit) -> Stay:
    return Stay(visit.number, "3" if visit.inpatient else "1", visit.start, visit.end, visit.department)


def _record(visit: Visit) -> bytes:
    icd, name = visit.diagnosis
    return outpatient_record(
        _frame(visit, "C0002"),
        _subject(visit),
        _stay(visit),
        complaint="头晕乏力一周",
        present="一周前无明显诱因出现头晕、乏力,无胸闷胸痛,饮食睡眠可。",
        past="否认肝炎、结核等传染病史。",
        allergy=_allergy(visit),
        examination="神志清,心肺听诊未闻及异常。",
        diagnoses=[Coded(icd, name)],
        orders="注意休息,按时服药,一周后复诊。",
    )


def _report(visit: Visit, exam: Exam) -> bytes:
    return imaging_report(
        _frame(visit, "C0006"),
        _subject(visit),
        _stay(visit),
        report_number=f"{exam.accession}R",
        request_number=exam.accession,
        kind=CATEGORIES[exam.modality],
        item=exam.title,
        performed=exam.performed + timedelta(minutes=20),
        findings=exam.findings,
        impression=exam.impression,
        body_part={"CHEST": "胸部", "HEAD": "头颅"}[exam.body_part],
    )


def _discharge(visit: Visit) -> bytes:
    icd, name = visit.diagnosis
    return discharge_summary(
        _frame(visit, "C0053"),
        _subject(visit),
        _stay(visit),
        admitted_with="因反复头晕三月入院。",
        course="入院后完善检查,予对症治疗,症状好转。",
        condition="一般情况可,生命体征平稳。",
        advice="规律服药,低盐饮食,门诊随访。",
        admission_diagnoses=[Coded(icd, name)],
        discharge_diagnoses=[Coded(icd, name)],
    )
