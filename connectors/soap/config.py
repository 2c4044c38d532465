"""Options of a channel whose connector is soap; who calls, and who we are where we call."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from connectors.credentials import Secret


class SoapCredentials(Secret):
    """Who calls, or who we are where we call."""

    auth: Literal["none", "basic", "username_token"] = "none"
    user: str = ""

    @model_validator(mode="after")
    def complete(self) -> SoapCredentials:
        if self.auth != "none" and not (self.user and self.names_one_secret):
            raise ValueError(f"auth {self.auth} takes a user and one of secret_file and secret_env")
        return self


class SoapConfig(SoapCredentials):
    host: str = "127.0.0.1"
    port: int = Field(default=8088, ge=0, le=65535)  # 0: any free port
    path: str = Field(default="/HIPMessageService", pattern=r"^/[A-Za-z0-9_./\-]*$")
    allow: tuple[str, ...] = ()  # addresses and networks that may call; empty: any
    unknown_actions: Literal["keep", "refuse"] = "keep"
    facilities: dict[str, str] = Field(default_factory=dict)  # sender's device id → facility code, for a channel of several
    certificate: Path | None = None  # of the server, where it speaks https; with its chain
    key: Path | None = None
    max_body_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    read_seconds: float = Field(default=60.0, gt=0)  # for a whole request
    max_connections: int = Field(default=128, ge=1)
    workers: int = Field(default=8, ge=1, le=64)

    @field_validator("allow")
    @classmethod
    def networks(cls, allow: tuple[str, ...]) -> tuple[str, ...]:
        for each in allow:
            ipaddress.ip_network(each, strict=False)
        return allow

    @model_validator(mode="after")
    def both(self) -> SoapConfig:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key go together")
        return self
