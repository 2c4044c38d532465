"""What becomes of each sample file of DICOM and ECG that may be copied: golden FHIR, read by a person.

Small inputs lie beside their expected.json; larger ones are read from the sample folder, and are skipped where it is absent.
`YITONG_REWRITE_GOLDEN=1` rewrites what is expected: then read the change.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from connectors.base import SourceRecord
from hub import fhir_json
from mappers.base import CannotMap, Mapped, MappingContext
from mappers.registry import map_record
from tests.mappers.dicom.material import NOW, SAMPLES, read, validate

GOLDEN = Path(__file__).parents[1] / "golden"
LONG = 400  # characters of base64 or of samples: a person reads the beginning, a digest stands for the rest

# kind → files below the sample folder; licences MIT, Apache-2.0, CC0, public domain (see the README beside the golden files)
CASES = {
    "dicom": [
        "dicom/broken/MR_truncated.dcm", "dicom/broken/UN_sequence.dcm", "dicom/broken/badVR.dcm",
        "dicom/broken/empty_charset_LEI.dcm", "dicom/broken/meta_missing_tsyntax.dcm", "dicom/broken/no_meta.dcm",
        "dicom/charset/chrX1.dcm", "dicom/charset/chrX2.dcm", "dicom/charset/ir58_3groups.dcm",
        "dicom/cr/RG3_J2KR_zh_gb18030.dcm", "dicom/ct/CT_small.dcm", "dicom/pdf/ecg_report_encapsulated.dcm",
        "dicom/pdf/us_report_zh_gb18030.dcm", "dicom/sr/test-SR.dcm", "dicom/transfer-syntax/JPGLosslessP14SV1_1s_1f_8b.dcm",
        "dicom/transfer-syntax/MR_small_RLE.dcm", "dicom/transfer-syntax/MR_small_bigendian.dcm",
        "dicom/transfer-syntax/MR_small_implicit.dcm", "dicom/transfer-syntax/MR_small_jp2klossless.dcm",
        "dicom/transfer-syntax/MR_small_jpeg_ls_lossless.dcm", "dicom/transfer-syntax/OBXXXX1A_rle.dcm",
        "dicom/transfer-syntax/SC_rgb_jpeg_dcmtk.dcm", "dicom/transfer-syntax/image_dfl.dcm",
        "dicom/us/examples_palette.dcm", "dicom/us/examples_ybr_color.dcm",
    ],
    "ecg": [
        "ecg/aecg/cvrg_example2_1000hz.xml", "ecg/aecg/fda_empty.xml", "ecg/aecg/fda_minimum_aecg.xml", "ecg/aecg/hl7example.xml",
        "ecg/aecg/liryc_example_100hz.xml", "ecg/dicom/hl7example_12lead_500hz.dcm", "ecg/dicom/mortara_12lead_1000hz.dcm",
        "ecg/pdf/mortara_ecg_3x4_1.pdf", "ecg/scp/hl7example.scp", "ecg/sierra/129DYPRG_1.03.xml",
        "ecg/sierra/2020-5-18_1.04.01.xml", "ecg/sierra/ZZDEMO_1.04.xml", "ecg/derived/hl7example.edf",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "file"), [(kind, file) for kind, files in CASES.items() for file in files])
def test_each_sample_becomes_what_was_read_and_found_right(kind, file):
    name = file.rpartition("/")[2]
    beside = GOLDEN / kind / name
    content = beside.read_bytes() if beside.is_file() else read(SAMPLES / file)
    record = SourceRecord("golden", "CTY", kind, name, content, NOW, hints={"zone": "+08:00"})
    try:
        result = map_record(record, MappingContext(explain=True))
    except CannotMap as reason:
        stated: dict[str, Any] = {"cannot map": str(reason)}
    else:
        validate(result)
        stated = _stated(result)
    text = json.dumps(stated, ensure_ascii=False, indent=1) + "\n"
    expected = GOLDEN / kind / f"{name}.expected.json"
    if os.environ.get("YITONG_REWRITE_GOLDEN"):
        expected.write_text(text, "utf-8")
    assert text == expected.read_text("utf-8")


def _stated(result: Mapped) -> dict[str, Any]:
    states = [line.state for line in result.lines]
    assert {state: states.count(state) for state in states} == {state: n for state, n in result.ledger.items() if n}
    changes = [{"mode": change.mode, "resource": change.resource} for change in result.changes]
    return {
        "changes": _shortened(json.loads(fhir_json.dump(changes))),
        "issues": [f"{issue.severity} {issue.code} {issue.where} {issue.detail}".strip() for issue in result.issues],
        "changed_at": result.changed_at.isoformat() if result.changed_at else None,
        "ledger": dict(result.ledger),
        "unmapped": [line.where for line in result.lines if line.state == "unmapped"],
    }


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shortened(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_shortened(member) for member in value]
    if isinstance(value, str) and len(value) > LONG:
        return f"{value[:60]} … {len(value)} characters, sha256 {hashlib.sha256(value.encode()).hexdigest()[:16]}"
    return value
