"""Settings of a DICOMweb pull, as `[[channel]]` in county.toml states them."""

from __future__ import annotations

from pydantic import Field

from connectors.credentials import Credentials
from connectors.dicom.pull import PullConfig


class DicomWebConfig(PullConfig, Credentials):
    base_url: str = Field(pattern=r"^https?://[^\s?#]+$")  # what studies/ follows: https://pacs.county.example/dicom-web
    page: int = Field(default=100, ge=1, le=1000)  # studies asked for at a time
    seconds: float = Field(default=120, gt=0)  # for one answer
