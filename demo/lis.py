"""The facilities' laboratory systems: HL7 v2 messages, each facility with its own habits, sent over MLLP.

CTY: 2.4, GB18030 bytes and an empty MSH-18, marks as 【全国HR】 before the item name. TCM: 2.5, UTF-8, numeric item codes,
marks as ★. TWP: 2.4, UTF-8, Chinese item codes, no marks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources

from demo.people import Person
from demo.story import MARKED, PANELS, LabReport, Result, Visit
from profiles.names import LOINC

HABITS = {
    # facility: version, charset of the bytes, MSH-18
    "CTY": ("2.4", "gb18030", ""),
    "TCM": ("2.5", "utf-8", "UNICODE UTF-8"),
    "TWP": ("2.4", "utf-8", ""),
}
MARKS = {"CTY": "【全国HR】", "TCM": "★", "TWP": ""}


@dataclass(frozen=True, slots=True)
class Message:
    control_id: str
    at: datetime
    content: bytes


def local_codes(facility: str) -> dict[str, str]:
    """LOINC → the facility's own item code, read from the county's ConceptMap."""
    text = resources.files("profiles.cn").joinpath("concept_maps", f"{facility.lower()}-item.json").read_text("utf-8")
    return {
        target["code"]: element["code"]
        for group in json.loads(text)["group"]
        if group["target"] == LOINC
        for element in group["element"]
        for target in element["target"]
    }


class LaboratorySystem:
    """Writes one facility's messages, oldest first."""

    def __init__(self, facility: str) -> None:
        self.facility = facility
        self.version, self.charset, self.declared = HABITS[facility]
        self.codes = local_codes(facility)
        self.count = 0

    def registrations(self, people: Iterable[Person], at: datetime) -> Iterable[Message]:
        """A04 for everyone known here; now and then an A08 with a new telephone and an A40 that joins a double entry."""
        for person in people:
            if self.facility not in person.local:
                continue
            yield self._message("ADT^A04", at, self._evn("A04", at), self._pid(person))
            if person.number % 17 == 3:
                later = at + timedelta(hours=3)
                yield self._message(
                    "ADT^A08", later, self._evn("A08", later), self._pid(person, phone=f"1370000{person.number:04d}")
                )
            if person.number % 29 == 7:
                double = f"{person.local[self.facility]}D"
                yield self._message("ADT^A04", at, self._evn("A04", at), self._pid(person, number=double))
                later = at + timedelta(hours=5)
                yield self._message(
                    "ADT^A40", later, self._evn("A40", later), self._pid(person), f"MRG|{double}^^^{self.facility}^MR"
                )

    def orders_and_results(self, visits: Iterable[Visit]) -> Iterable[Message]:
        for visit in visits:
            if visit.facility == self.facility:
                for report in visit.labs:
                    yield self._order(visit, report)
                    yield self._result(visit, report)

    def _order(self, visit: Visit, report: LabReport) -> Message:
        at = visit.start + timedelta(minutes=5)
        name = PANELS[report.panel][0]
        return self._message(
            "ORM^O01",
            at,
            self._pid(visit.person),
            self._pv1(visit),
            f"ORC|NW|{report.order}|||IP||||{_time(at)}|||{visit.doctor}",
            f"OBR|1|{report.order}||{report.panel}^{name}^L|||{_time(report.collected)}",
        )

    def _result(self, visit: Visit, report: LabReport) -> Message:
        name, specimen, specimen_code, _ = PANELS[report.panel]
        obr = [""] * 26
        obr[0:5] = ["OBR", "1", report.order, report.number, f"{report.panel}^{name}^L"]
        obr[7] = _time(report.collected)
        obr[14] = _time(report.collected + timedelta(minutes=15))
        obr[15] = f"{specimen_code}&{specimen}"
        obr[16] = visit.doctor
        obr[22] = _time(report.reported)
        obr[24:26] = ["LAB", "F"]
        return self._message(
            "ORU^R01",
            report.reported,
            self._pid(visit.person),
            self._pv1(visit),
            f"ORC|RE|{report.order}|{report.number}",
            "|".join(obr),
            *(self._obx(i, r, report) for i, r in enumerate(report.results, 1)),
        )

    def _obx(self, number: int, result: Result, report: LabReport) -> str:
        item = result.item
        mark = MARKS[self.facility] if item.loinc in MARKED[self.facility] else ""
        value = f"<^{result.value[1:]}" if result.value.startswith("<") and self.facility == "TCM" else result.value
        kind = "SN" if "^" in value else "NM"
        observed = _time(report.collected)
        return (
            f"OBX|{number}|{kind}|{self.codes[item.loinc]}^{mark}{item.name}^L||{value}|{item.unit}|{item.low}-{item.high}|"
            f"{result.flag}|||F|||{observed}||9001^检验师|仪器法"
        )

    def _pid(self, person: Person, *, number: str = "", phone: str = "") -> str:
        identifiers = f"{number or person.local[self.facility]}^^^{self.facility}^MR"
        if person.number_at(self.facility):
            identifiers += f"~{person.number_at(self.facility)}^^^CN^ID"
        sex = {"1": "M", "2": "F"}[person.sex]
        return f"PID|1||{identifiers}||{person.name}||{person.birth:%Y%m%d}|{sex}|||{person.address}||{phone or person.phone}"

    def _pv1(self, visit: Visit) -> str:
        segment = [""] * 45
        segment[0:4] = ["PV1", "1", "I" if visit.inpatient else "O", visit.department]
        segment[7] = visit.doctor
        segment[19] = visit.number
        segment[44] = _time(visit.start)
        return "|".join(segment)

    @staticmethod
    def _evn(trigger: str, at: datetime) -> str:
        return f"EVN|{trigger}|{_time(at)}"

    def _message(self, kind: str, at: datetime, *segments: str) -> Message:
        self.count += 1
        control_id = f"{self.facility}{self.count:07d}"
        msh = f"MSH|^~\\&|LIS|{self.facility}|HUB|COUNTY|{_time(at)}||{kind}|{control_id}|P|{self.version}||||||{self.declared}"
        return Message(control_id, at, "\r".join((msh, *segments, "")).encode(self.charset))


def _time(at: datetime) -> str:
    return at.strftime("%Y%m%d%H%M%S")
