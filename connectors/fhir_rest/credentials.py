"""How we say to a FHIR server who we are. Secrets stand in a file or an environment variable, never in county.toml."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Credentials(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    auth: Literal["none", "basic", "bearer", "oauth2"] = "none"
    user: str = ""  # of basic; the client's id of oauth2
    secret_file: Path | None = None  # the password, the token or the client's secret
    secret_env: str = ""
    token_url: str = Field(default="", pattern=r"^(https?://.*)?$")  # of oauth2
    scope: str = ""  # of oauth2: "system/*.read"
    ca_file: Path | None = None  # who signs the servers' certificates; None: the public authorities

    @model_validator(mode="after")
    def complete(self) -> Credentials:
        if self.auth == "none":
            return self
        if bool(self.secret_file) == bool(self.secret_env):
            raise ValueError(f"auth {self.auth} takes one of secret_file and secret_env")
        if self.auth in ("basic", "oauth2") and not self.user:
            raise ValueError(f"auth {self.auth} takes a user")
        if self.auth == "oauth2" and not self.token_url:
            raise ValueError("auth oauth2 takes a token_url")
        return self

    def secret(self) -> str:
        """Read each time, so that a new one holds at once. Raise LookupError naming where it is missing."""
        if self.secret_file is not None:
            try:
                return self.secret_file.read_text("utf-8").strip()
            except OSError as error:
                raise LookupError(f"secret_file {self.secret_file}: {error.strerror}") from None
        found = os.environ.get(self.secret_env, "")
        if not found:
            raise LookupError(f"secret_env {self.secret_env}: the variable is not set")
        return found
