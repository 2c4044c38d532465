"""Options of a channel whose connector is soap_query."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from connectors.soap.config import SoapCredentials


class Query(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    action: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")  # PatientInfoQuery
    request: Path  # the message, with {{message_id}}, {{now}}, {{since}} and {{until}} where those stand


class SoapQueryConfig(SoapCredentials):
    url: str = Field(pattern=r"^https?://")
    ca_file: Path | None = None  # who signs the platform's certificate; None: the public authorities
    soap: Literal["1.1", "1.2"] = "1.1"
    namespace: str = "urn:hl7-org:v3"
    queries: tuple[Query, ...] = Field(min_length=1)
    first_hours: float = Field(default=24, gt=0)  # before the first look: so far back it asks then
    overlap: float = Field(default=300, ge=0)  # seconds that every look asks again for: their clock and ours may differ
    every: float = Field(default=300, gt=0)  # seconds between two looks
    seconds: float = Field(default=60, gt=0)  # for one answer

    @model_validator(mode="after")
    def each_once(self) -> SoapQueryConfig:
        actions = [query.action for query in self.queries]
        if len(set(actions)) != len(actions):
            raise ValueError("an action is stated twice: each remembers by its name how far it has asked")
        return self
