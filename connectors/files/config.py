"""What a hospital's engineer writes of a drop folder in county.toml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

KINDS = {"*.xml": "cda", "*.hl7": "hl7v2", "*.dcm": "dicom"}


class FilesConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    # shell pattern of the name → kind; the first that fits
    patterns: Mapping[str, str] = Field(default_factory=lambda: dict(KINDS), min_length=1)
    settle_seconds: float = Field(default=2, ge=0)  # a file that did not change for so long is complete
    max_bytes: int = Field(default=512 * 1024 * 1024, ge=1)
    page_bytes: int = Field(default=16 * 1024 * 1024, ge=1)  # a page ends once it holds so much
    every: float = Field(default=5, gt=0)  # seconds between two looks
