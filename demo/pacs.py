"""The facilities' modalities: what the story's exams look like as DICOM studies, each facility with its own way of writing text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from demo.pacs_objects import Exam as Acquisition
from demo.pacs_objects import Heart, chest_film, head_ct, twelve_lead_ecg, uid
from demo.story import Exam, Visit

HABITS = {
    # (facility, modality): calling AE title, character set of the bytes, what (0008,0005) says if it is wrong
    ("CTY", "CR"): ("CTYPACS", "GB18030", ""),
    ("CTY", "CT"): ("CTYPACS", "GB18030", ""),
    ("CTY", "ECG"): ("CTYPACS", "ISO_IR 192", ""),
    ("TCM", "CR"): ("TCMPACS", "GB18030", "ISO_IR 100"),  # GBK bytes under a Latin label: the commonest fault
    ("TCM", "ECG"): ("TCMPACS", "ISO_IR 192", ""),
    ("TWP", "CR"): ("TWPECG", "ISO_IR 192", ""),
    ("TWP", "ECG"): ("TWPECG", "GB18030", ""),
}
COMPOUND_SURNAMES = ("欧阳", "尉迟")


@dataclass(frozen=True, slots=True)
class Study:
    calling_ae: str
    instances: tuple[bytes, ...]  # Part 10 files


def studies(visits: Sequence[Visit], seed: int) -> list[Study]:
    """Every exam of every visit as a study, oldest first."""
    return [_study(visit, exam, seed + number) for number, visit in enumerate(visits) for exam in visit.exams]


def _study(visit: Visit, exam: Exam, seed: int) -> Study:
    calling_ae, charset, label = HABITS[visit.facility, exam.modality]
    person = visit.person
    acquisition = Acquisition(
        patient_id=visit.patient_number,
        name=person_name(person.name),
        sex={"1": "M", "2": "F"}[person.sex],
        birth_date=person.birth,
        accession=exam.accession,
        study_uid=uid("yitong-demo", exam.accession),
        started=exam.performed,
        charset=charset,
        label=label,
        description=exam.title,
    )
    if exam.modality == "CT":
        return Study(calling_ae, head_ct(acquisition, seed=seed))
    if exam.modality == "CR":
        return Study(calling_ae, chest_film(acquisition, seed=seed))
    return Study(calling_ae, twelve_lead_ecg(acquisition, seed=seed, heart=Heart(rate=58 + seed % 40)))


def person_name(name: str) -> str:
    """DICOM PN: family^given."""
    length = 2 if name.startswith(COMPOUND_SURNAMES) else 1
    return f"{name[:length]}^{name[length:]}"
