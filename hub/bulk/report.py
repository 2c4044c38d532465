"""What was not imported, and what was although it breaks a rule: an OperationOutcome in each line, with the place it is about.

Values are never repeated. How long the file is, the job's record says; what a crash left beyond that is cut off.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from hub import fhir_json

NAME = "outcomes.ndjson"
PLACE = "urn:hub:import-place"  # of the extension that says which line of which input


class Told(NamedTuple):
    input: str
    line: int  # from 1
    outcome: bytes


def line_of(told: Told) -> bytes:
    outcome = fhir_json.load(told.outcome)
    place = {"url": PLACE, "valueString": f"{told.input}:{told.line}"}
    return fhir_json.dump({"resourceType": "OperationOutcome", "extension": [place], "issue": outcome["issue"]})


class Report:
    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME

    def append(self, at: int, told: Iterable[Told]) -> int:
        """From byte `at` on, synced; where it then ends."""
        text = b"".join(line_of(each) + b"\n" for each in told)
        if not text:
            return at
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.truncate(at)
            stream.seek(at)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        return at + len(text)
