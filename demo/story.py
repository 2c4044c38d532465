"""What happened to the residents in the last weeks: visits, diagnoses, orders, results, images, medicines.

Plain facts, before any system of any facility has written them in its own way.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from demo.people import Person

DEPARTMENTS = {
    "CTY": ("心血管内科", "内分泌科", "普外科", "骨科"),
    "TCM": ("中医内科", "针灸科", "康复科"),
    "TWP": ("全科", "公共卫生科"),
}
DOCTORS = {
    "CTY": ("1001^李卫东", "1002^王淑芬", "1003^陈建平"),
    "TCM": ("2001^查文清", "2002^解春雨"),
    "TWP": ("3001^仇大勇", "3002^单小梅"),
}
DIAGNOSES = (
    ("I10.x00", "原发性高血压"),
    ("E11.900", "2型糖尿病"),
    ("J06.900", "急性上呼吸道感染"),
    ("M54.500", "腰痛"),
    ("K29.700", "胃炎"),
    ("I25.100", "冠状动脉粥样硬化性心脏病"),
)
DRUGS = (
    # code, name, specification, dose, unit, route (CV06.00.102), frequency, days
    ("D001", "苯磺酸氨氯地平片", "5mg*28片", "5", "mg", "1", "qd", 14),
    ("D002", "盐酸二甲双胍片", "0.5g*20片", "0.5", "g", "1", "bid", 14),
    ("D003", "阿莫西林胶囊", "0.25g*24粒", "0.5", "g", "1", "q8h", 5),
    ("D004", "阿司匹林肠溶片", "100mg*30片", "100", "mg", "1", "qd", 28),
    ("D005", "复方丹参滴丸", "27mg*180丸", "270", "mg", "1", "tid", 14),
)


@dataclass(frozen=True, slots=True)
class Item:
    """One laboratory item: LOINC names it here; each LIS has its own code for it."""

    loinc: str
    name: str
    unit: str
    low: str
    high: str
    mean: float
    spread: float
    digits: int


def _item(loinc: str, name: str, unit: str, low: str, high: str, mean: float, spread: float, digits: int) -> Item:
    return Item(loinc, name, unit, low, high, mean, spread, digits)


ITEMS = {
    item.loinc: item
    for item in (
        _item("2823-3", "钾", "mmol/L", "3.50", "5.30", 4.2, 0.45, 2),
        _item("2951-2", "钠", "mmol/L", "137.0", "147.0", 141, 3, 1),
        _item("2075-0", "氯", "mmol/L", "99.0", "110.0", 104, 3, 1),
        _item("2000-8", "钙", "mmol/L", "2.11", "2.52", 2.3, 0.1, 2),
        _item("14682-9", "肌酐", "μmol/L", "41", "81", 68, 18, 1),
        _item("22664-7", "尿素", "mmol/L", "3.1", "8.8", 5.6, 1.6, 2),
        _item("14933-6", "尿酸", "umol/l", "155", "357", 310, 70, 0),
        _item("14749-6", "葡萄糖", "mmol/L", "3.90", "6.10", 5.9, 1.6, 2),
        _item("14647-2", "总胆固醇", "mmol/L", "0", "5.18", 4.8, 1.0, 2),
        _item("14927-8", "甘油三酯", "mmol/L", "0", "1.70", 1.5, 0.7, 2),
        _item("6690-2", "白细胞", "10^9/L", "3.5", "9.5", 6.4, 1.9, 2),
        _item("789-8", "红细胞", "×10¹²/L", "3.8", "5.1", 4.5, 0.5, 2),
        _item("718-7", "血红蛋白", "g/L", "115", "150", 132, 14, 0),
        _item("777-3", "血小板", "10^9/L", "125", "350", 220, 55, 0),
        _item("4548-4", "糖化血红蛋白", "%", "4.0", "6.0", 6.1, 1.1, 1),
        _item("1742-6", "丙氨酸氨基转移酶", "U/L", "7", "40", 26, 14, 1),
        _item("1920-8", "天门冬氨酸氨基转移酶", "IU/L", "13", "35", 24, 9, 1),
        _item("1834-1", "甲胎蛋白", "ng/mL", "0", "7.0", 2.4, 1.2, 2),
        _item("3016-3", "促甲状腺激素", "mIU/L", "0.27", "4.20", 2.1, 1.1, 3),
    )
}
PANELS = {
    "BIO": ("生化全套", "血清", "SER", ("2823-3", "2951-2", "2075-0", "2000-8", "14682-9", "22664-7", "14933-6", "14749-6")),
    "LIP": ("血脂", "血清", "SER", ("14647-2", "14927-8")),
    "CBC": ("血常规", "全血", "BLD", ("6690-2", "789-8", "718-7", "777-3")),
    "A1C": ("糖化血红蛋白", "全血", "BLD", ("4548-4",)),
    "LFT": ("肝功能", "血清", "SER", ("1742-6", "1920-8")),
    "TUM": ("肿瘤标志物", "血清", "SER", ("1834-1", "3016-3")),
}
MARKED = {  # facility → items that carry a recognition mark on its reports
    "CTY": {"2823-3", "2951-2", "2075-0", "14749-6", "6690-2", "718-7", "777-3", "4548-4", "14682-9"},
    "TCM": {"14749-6", "6690-2"},
    "TWP": set[str](),
}


@dataclass(frozen=True, slots=True)
class Result:
    item: Item
    value: str  # as the analyser prints it: "4.12", "<0.01"

    @property
    def flag(self) -> str:
        if self.value.startswith("<"):
            return "L" if Decimal(self.value[1:]) <= Decimal(self.item.low) else ""
        value = Decimal(self.value)
        return "H" if value > Decimal(self.item.high) else "L" if value < Decimal(self.item.low) else ""


@dataclass(frozen=True, slots=True)
class LabReport:
    number: str
    order: str
    panel: str
    collected: datetime
    reported: datetime
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Exam:
    """An imaging study or an ECG."""

    accession: str
    modality: str  # CR, CT, ECG
    body_part: str
    title: str
    performed: datetime
    findings: str
    impression: str


@dataclass(frozen=True, slots=True)
class Visit:
    person: Person
    facility: str
    number: str
    start: datetime
    end: datetime | None  # None: still in hospital
    department: str
    doctor: str  # "1001^李卫东"
    inpatient: bool
    diagnosis: tuple[str, str]
    drugs: tuple[tuple[str, str, str, str, str, str, str, int], ...]
    labs: tuple[LabReport, ...]
    exams: tuple[Exam, ...]

    @property
    def patient_number(self) -> str:
        return self.person.local[self.facility]

    @property
    def orders(self) -> list[LabReport | Exam]:
        return [*self.labs, *self.exams]


FINDINGS = {
    "CR": ("胸部正位", "CHEST", "胸廓对称,双肺纹理增多,心影不大,双侧膈面光整,肋膈角锐利。", "双肺纹理增多,请结合临床。"),
    "CT": ("头颅CT平扫", "HEAD", "脑实质密度未见明显异常,脑室系统不扩张,中线结构居中。", "颅脑CT平扫未见明显异常。"),
    "ECG": ("常规十二导联心电图", "", "", ""),
}


def make_visits(people: tuple[Person, ...], seed: int, now: datetime) -> tuple[Visit, ...]:
    """Every visit of every person, oldest first. `now` is aware; nothing lies after it."""
    rng = random.Random(seed + 1)
    visits = [*_hero_visits(people[0], rng, now)]
    for person in people[1:]:
        for facility in person.local:
            for turn in range(rng.choices((1, 2), weights=(75, 25))[0]):
                visits.append(_visit(person, facility, turn, rng, now))
    return tuple(sorted(visits, key=lambda v: v.start))


def _visit(person: Person, facility: str, turn: int, rng: random.Random, now: datetime) -> Visit:
    number = f"{facility[0]}V{person.number:05d}{turn}"
    start = now - timedelta(days=rng.uniform(0.5, 80))
    start = start.replace(minute=rng.randrange(60), second=0, microsecond=0)
    inpatient = facility != "TWP" and rng.random() < 0.12
    end = start + (timedelta(days=rng.randrange(3, 9)) if inpatient else timedelta(minutes=40))
    panels = rng.sample(sorted(PANELS), rng.choices((0, 1, 2), weights=(40, 45, 15))[0])
    modality = rng.choices(("", "CR", "CT", "ECG"), weights=(78, 9, 4, 9))[0]
    if (facility, modality) in {("TWP", "CT"), ("TCM", "CT")}:
        modality = "CR"
    return Visit(
        person=person,
        facility=facility,
        number=number,
        start=start,
        end=end if end < now else None,
        department=rng.choice(DEPARTMENTS[facility]),
        doctor=rng.choice(DOCTORS[facility]),
        inpatient=inpatient,
        diagnosis=rng.choice(DIAGNOSES),
        drugs=tuple(rng.sample(DRUGS, rng.choices((0, 1, 2), weights=(30, 45, 25))[0])),
        labs=tuple(lab_report(number, i, panel, start + timedelta(minutes=10), rng) for i, panel in enumerate(panels)),
        exams=(exam(number, modality, start + timedelta(minutes=25)),) if modality else (),
    )


def lab_report(visit: str, turn: int, panel: str, collected: datetime, rng: random.Random) -> LabReport:
    return LabReport(
        number=f"R{visit}{turn}",
        order=f"L{visit}{turn}",
        panel=panel,
        collected=collected,
        reported=collected + timedelta(hours=2, minutes=rng.randrange(50)),
        results=tuple(_result(ITEMS[loinc], rng) for loinc in PANELS[panel][3]),
    )


def _result(item: Item, rng: random.Random) -> Result:
    if item.loinc in {"1834-1", "3016-3"} and rng.random() < 0.3:
        return Result(item, "<0.01")
    return Result(item, f"{max(item.mean * 0.2, rng.gauss(item.mean, item.spread)):.{item.digits}f}")


def exam(visit: str, modality: str, performed: datetime) -> Exam:
    title, part, findings, impression = FINDINGS[modality]
    return Exam(f"X{visit}", modality, part, title, performed, findings, impression)


def _hero_visits(hero: Person, rng: random.Random, now: datetime) -> list[Visit]:
    """曾晓燕: CT and a marked potassium at the county hospital two days ago, a chest film at the TCM hospital, an ECG at
    the township this morning, where her doctor is about to order potassium again."""

    def hero_visit(
        facility: str, turn: int, ago: timedelta, panels: tuple[str, ...], modality: str, drugs: tuple[int, ...]
    ) -> Visit:
        start = (now - ago).replace(second=0, microsecond=0)
        number = f"{facility[0]}V{hero.number:05d}{turn}"
        return Visit(
            person=hero,
            facility=facility,
            number=number,
            start=start,
            end=start + timedelta(minutes=40),
            department=DEPARTMENTS[facility][0],
            doctor=DOCTORS[facility][0],
            inpatient=False,
            diagnosis=DIAGNOSES[0] if facility != "TCM" else DIAGNOSES[1],
            drugs=tuple(DRUGS[i] for i in drugs),
            labs=tuple(lab_report(number, i, p, start + timedelta(minutes=10), rng) for i, p in enumerate(panels)),
            exams=(exam(number, modality, start + timedelta(minutes=20)),) if modality else (),
        )

    return [
        hero_visit("CTY", 1, timedelta(days=40), ("BIO", "CBC", "A1C"), "", (0,)),
        hero_visit("TCM", 2, timedelta(days=12), ("CBC", "LIP"), "CR", (4,)),
        hero_visit("CTY", 3, timedelta(days=2, hours=3), ("BIO", "TUM"), "CT", (0, 3)),
        hero_visit("TWP", 4, timedelta(hours=2), (), "ECG", ()),
    ]
