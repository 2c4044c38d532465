"""Settings of one DICOM listener, as `[[channel]]` in county.toml states them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class DicomConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(default=11112, ge=0, le=65535)  # 0: any free one
    ae_title: str = Field(default="YITONG", min_length=1, max_length=16)
    ae_titles: dict[str, str] = Field(default_factory=dict)  # calling AE title → facility code
    known_only: bool = False  # refuse associations of AE titles that ae_titles does not name
    max_pdu: int = Field(default=131072, ge=4096)
    max_associations: int = Field(default=64, ge=1)
    max_instance_bytes: int = Field(default=1 << 30, ge=1024)
    network_timeout: float = Field(default=60.0, gt=0)  # silence within an association before it is aborted, s
    artim_timeout: float = Field(default=30.0, gt=0)  # from connection to association request, s
    dimse_timeout: float = Field(default=60.0, gt=0)  # for the rest of a message that began, s
    stop_timeout: float = Field(default=5.0, ge=0)  # how long stopping waits for instances in flight, s
