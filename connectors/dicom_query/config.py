"""Settings of a DIMSE pull, as `[[channel]]` in county.toml states them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from connectors.dicom.pull import PullConfig


class DicomQueryConfig(PullConfig):
    host: str
    port: int = Field(default=104, ge=1, le=65535)
    called_ae: str = Field(min_length=1, max_length=16)  # the PACS's own title
    calling_ae: str = Field(default="YITONG", min_length=1, max_length=16)  # ours, as the PACS knows it
    method: Literal["get", "move"] = "get"
    move_to: str = Field(default="", max_length=16)  # AE title of our own dicom channel, as the PACS knows it
    seconds: float = Field(default=60, gt=0)  # of silence before the association is given up

    @model_validator(mode="after")
    def where_to(self) -> DicomQueryConfig:
        if self.method == "move" and not self.move_to:
            raise ValueError("method move takes move_to: the AE title of a dicom channel of this hub, as the PACS knows it")
        return self
