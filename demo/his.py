"""The facilities' hospital information systems: a SQLite database each, with the read-only views the hub asks for.

View and column names: patients, visits, diagnoses, orders, prescriptions, each with `changed_at`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from demo.people import Person
from demo.story import PANELS, Exam, LabReport, Visit

SCHEMA = """
CREATE TABLE patient(patient_id TEXT PRIMARY KEY, name TEXT, sex TEXT, birth TEXT, id_type TEXT, id_no TEXT, phone TEXT,
    address TEXT, card_no TEXT, insurance_no TEXT, ehr_no TEXT, changed_at TEXT NOT NULL);
CREATE TABLE visit(visit_id TEXT PRIMARY KEY, patient_id TEXT, class TEXT, reg_time TEXT, "start" TEXT, "end" TEXT, dept TEXT,
    doctor TEXT, first_flag TEXT, facility TEXT, changed_at TEXT NOT NULL);
CREATE TABLE diagnosis(visit_id TEXT, seq INTEGER, patient_id TEXT, main_flag TEXT, icd TEXT, name TEXT, time TEXT,
    changed_at TEXT NOT NULL, PRIMARY KEY(visit_id, seq));
CREATE TABLE orders(order_id TEXT PRIMARY KEY, visit_id TEXT, patient_id TEXT, type TEXT, code TEXT, content TEXT, start TEXT,
    status TEXT, doctor TEXT, changed_at TEXT NOT NULL);
CREATE TABLE prescription(rx_no TEXT, item_no INTEGER, visit_id TEXT, patient_id TEXT, type TEXT, doctor TEXT, time TEXT,
    code TEXT, name TEXT, spec TEXT, dose TEXT, unit TEXT, route TEXT, freq TEXT, days INTEGER, grp INTEGER, qty TEXT,
    changed_at TEXT NOT NULL, PRIMARY KEY(rx_no, item_no));
CREATE VIEW v_patient AS SELECT * FROM patient;
CREATE VIEW v_visit AS SELECT * FROM visit;
CREATE VIEW v_diagnosis AS SELECT * FROM diagnosis;
CREATE VIEW v_order AS SELECT * FROM orders;
CREATE VIEW v_prescription AS SELECT * FROM prescription;
"""


class HospitalDatabase:
    """One facility's HIS."""

    def __init__(self, path: Path, facility: str) -> None:
        self.path = path
        self.facility = facility
        self.rows = 0
        with self._connect() as db:
            db.executescript("PRAGMA journal_mode=WAL;" + SCHEMA)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path)

    def register(self, people: Iterable[Person], at: datetime) -> None:
        rows = [
            (
                p.local[self.facility],
                p.name,
                p.sex,
                p.birth.isoformat(),
                "01" if p.number_at(self.facility) else "99",
                p.number_at(self.facility),
                p.phone,
                p.address,
                f"K{p.number:07d}",
                "",
                "",
                _time(at),
            )
            for p in people
            if self.facility in p.local
        ]
        self._insert("patient", rows)

    def record(self, visits: Iterable[Visit]) -> None:
        """Everything the visits left in this facility's tables, changed when it happened."""
        own = [visit for visit in visits if visit.facility == self.facility]
        self._insert("visit", [_visit_row(visit) for visit in own])
        self._insert("diagnosis", [_diagnosis_row(visit) for visit in own])
        self._insert("orders", [_order_row(visit, order) for visit in own for order in visit.orders])
        self._insert("prescription", [row for visit in own for row in _prescription_rows(visit)])

    def _insert(self, table: str, rows: Sequence[tuple[object, ...]]) -> None:
        if not rows:
            return
        with self._connect() as db:
            marks = ",".join("?" * len(rows[0]))
            db.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 - our own table names
        self.rows += len(rows)


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S")


def _visit_row(visit: Visit) -> tuple[object, ...]:
    return (
        visit.number,
        visit.patient_number,
        "3" if visit.inpatient else "1",
        _time(visit.start),
        _time(visit.start),
        _time(visit.end) if visit.end else None,
        visit.department,
        visit.doctor.partition("^")[2],
        "1",
        visit.facility,
        _time(visit.end or visit.start),
    )


def _diagnosis_row(visit: Visit) -> tuple[object, ...]:
    icd, name = visit.diagnosis
    at = visit.start + timedelta(minutes=15)
    return (visit.number, 1, visit.patient_number, "1", icd, name, _time(at), _time(at))


def _order_row(visit: Visit, order: LabReport | Exam) -> tuple[object, ...]:
    laboratory = isinstance(order, LabReport)
    number, code = (order.order, order.panel) if isinstance(order, LabReport) else (order.accession, order.modality)
    content = PANELS[order.panel][0] if isinstance(order, LabReport) else order.title
    at = visit.start + timedelta(minutes=5)
    kind = "03" if laboratory else "02"  # CV06.00.229: 02 imaging and physiology, 03 laboratory
    doctor = visit.doctor.partition("^")[2]
    return (number, visit.number, visit.patient_number, kind, code, content, _time(at), "completed", doctor, _time(at))


def _prescription_rows(visit: Visit) -> Iterable[tuple[object, ...]]:
    at = visit.start + timedelta(minutes=20)
    for item, (code, name, spec, dose, unit, route, freq, days) in enumerate(visit.drugs, 1):
        yield (
            f"P{visit.number}",
            item,
            visit.number,
            visit.patient_number,
            "1",
            visit.doctor.partition("^")[2],
            _time(at),
            code,
            name,
            spec,
            dose,
            unit,
            route,
            freq,
            days,
            item,
            "1",
            _time(at),
        )
