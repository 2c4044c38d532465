"""The folder of public sample files that are not all ours to copy: `YITONG_SAMPLES`, else ../shared/samples beside us."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("YITONG_SAMPLES") or Path(__file__).parents[2] / "shared" / "samples")


def sample_files(kind: str, pattern: str) -> list[Path]:
    """The sample files of one kind; skips the test, with the reason, where the folder is absent."""
    folder = FOLDER / kind
    if not folder.is_dir():
        pytest.skip(f"the sample files are not here: {folder} (set YITONG_SAMPLES)")
    return sorted(folder.glob(pattern))
