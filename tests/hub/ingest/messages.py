"""Synthetic HL7 v2 messages as a laboratory sends them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from connectors.base import SourceRecord

NOW = datetime(2024, 5, 1, 8, tzinfo=UTC)
RECORD = SourceRecord("cty-lis", "CTY", "hl7v2", "", b"", NOW)
ITEMS = ("K", "NA", "CL", "CA", "CREA", "UREA", "UA", "GLU", "TC", "TG", "HDL", "LDL", "ALT", "AST", "ALB")


def oru(
    number: int, *, items: int = 3, patient: str = "", value: str = "4.10", time: str = "20240501080000", status: str = "F"
) -> bytes:
    """One report: number names message, report and (unless stated) patient."""
    lines = [
        f"MSH|^~\\&|LIS|CTY|HUB|HUB|{time}||ORU^R01|M{number}|P|2.4|||||CHN|UNICODE UTF-8",
        f"PID|1||{patient or f'P{number}'}||测试{number}||19700301|F",
        f"OBR|1|R{number}|L{number}|CHEM^生化|||{time}|||||||{time}||||||||{time}|||{status}",
    ]
    lines += [
        f"OBX|{index}|NM|{ITEMS[index - 1]}^项目{index}||{value}|mmol/L|3.50-5.30|N|||{status}|||{time}"
        for index in range(1, items + 1)
    ]
    return "\r".join(lines).encode() + b"\r"


def oru_record(number: int, **how: object) -> SourceRecord:
    return replace(RECORD, key=f"M{number}", content=oru(number, **how))  # type: ignore[arg-type]


def adt(number: int, event: str, patient: str, *, merged: str = "", card: str = "") -> SourceRecord:
    """ADT of message `number` at minute `number`; A40 says that `merged` is `patient`."""
    time = f"202405010800{number:02}"
    lines = [
        f"MSH|^~\\&|HIS|CTY|HUB|HUB|{time}||ADT^{event}|A{number}|P|2.4|||||CHN|UNICODE UTF-8",
        f"EVN|{event}|{time}",
        f"PID|1||{patient}^^^^PI{f'~{card}^^^^NI' if card else ''}||王小芳||19700301|F",
    ]
    lines += [f"MRG|{merged}^^^^PI"] if merged else [f"PV1|1|O|||||||||||||||||V{number}"]
    return replace(RECORD, key=f"A{number}", content="\r".join(lines).encode() + b"\r")


def wait_until(holds: Callable[[], object], timeout: float = 60) -> bool:
    """Look again and again, for what has no event to wait for."""
    pause = threading.Event()
    for _ in range(int(timeout / 0.02)):
        if holds():
            return True
        pause.wait(0.02)
    return False
