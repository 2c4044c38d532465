"""What the DICOM and ECG tests share: the sample folder, records, made-up files, golden comparison, R4B validation."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

from connectors.base import SourceRecord
from demo.pacs_objects import Exam, uid
from hub import fhir_json
from mappers.base import Mapped, MappingContext
from mappers.dicom.mapper import map_instance
from profiles.validation import validate as own_validation
from tests.samples import FOLDER as SAMPLES

NOW = datetime(2026, 11, 20, 1, 2, 3, tzinfo=UTC)
CHINA = timezone(timedelta(hours=8))


def samples(*folders: str, pattern: str = "*.dcm") -> list[Path]:
    found = [path for folder in folders for path in sorted((SAMPLES / folder).rglob(pattern))]
    return found or [SAMPLES / "absent"]


def read(path: Path) -> bytes:
    if not path.is_file():
        pytest.skip(f"no sample files in {SAMPLES}: set YITONG_SAMPLES")
    return path.read_bytes()


def record(content: bytes, *, facility: str = "CTY", hints: dict[str, str] | None = None) -> SourceRecord:
    return SourceRecord("county-pacs", facility, "dicom", "key", content, NOW, hints=hints or {})


def mapped(content: bytes, *, context: MappingContext | None = None, **keywords: Any) -> Mapped:
    return map_instance(record(content, **keywords), context or MappingContext())


def of_type(result: Mapped, resource_type: str) -> list[dict[str, Any]]:
    return [resource for resource in result.resources if resource["resourceType"] == resource_type]


def exam(**changes: Any) -> Exam:
    facts: dict[str, Any] = {
        "patient_id": "P0001",
        "name": "欧阳^晓燕",
        "sex": "F",
        "birth_date": date(1970, 2, 3),
        "accession": "A0001",
        "study_uid": uid("study", "A0001"),
        "started": datetime(2026, 11, 1, 8, 3, 4, tzinfo=CHINA),
        "institution": "示范县人民医院",
    }
    return Exam(**(facts | changes))


def changed(content: bytes, **elements: Any) -> bytes:
    """The file with other values; None takes an element out."""
    dataset = dcmread(BytesIO(content))
    for keyword, value in elements.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return written(dataset)


def written(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def validate(result: Mapped) -> None:
    """Every resource against fhir.resources (R4B) and our own validator."""
    for resource in result.resources:
        as_sent = json.loads(fhir_json.dump(resource))
        faults = [
            issue for issue in own_validation(fhir_json.load(fhir_json.dump(resource))) if issue.severity in ("error", "fatal")
        ]
        assert not faults, (as_sent["resourceType"], faults)
        get_fhir_model_class(resource["resourceType"]).model_validate_json(fhir_json.dump(resource))


def assert_golden(result: Mapped, expected: Path) -> None:
    stated = {
        "changes": [{"mode": change.mode, "resource": change.resource} for change in result.changes],
        "issues": [f"{issue.code} {issue.where}" for issue in result.issues],
        "changed_at": result.changed_at.isoformat() if result.changed_at else None,
        "ledger": dict(result.ledger),
    }
    text = json.dumps(json.loads(fhir_json.dump(stated)), ensure_ascii=False, indent=1) + "\n"
    for attachment in result.attachments:  # drawn files may differ in a last bit from one processor to the next
        text = text.replace(attachment.sha256, "SHA-256")
    if os.environ.get("YITONG_REWRITE_GOLDEN"):
        expected.write_text(text, "utf-8")
    assert text == expected.read_text("utf-8")
