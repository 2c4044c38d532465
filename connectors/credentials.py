"""Secrets of connectors and destinations: each stands in a file or an environment variable, never in county.toml."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


def read_secret(file: Path | None, variable: str, option: str = "secret") -> str:
    """Raise LookupError naming the file or variable that is missing, never what it holds."""
    if file is not None:
        try:
            return file.read_text("utf-8").strip()
        except OSError as error:
            raise LookupError(f"{option}_file {file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise LookupError(f"{option}_file {file}: not UTF-8") from None
    found = os.environ.get(variable, "")
    if not found:
        raise LookupError(f"{option}_env {variable}: the variable is not set")
    return found


class Secret(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    secret_file: Path | None = None  # the password, the token or the client's secret
    secret_env: str = ""

    def secret(self) -> str:
        """Read each time, so that a new one holds at once. Raise LookupError naming where it is missing."""
        return read_secret(self.secret_file, self.secret_env)

    @property
    def names_one_secret(self) -> bool:
        return bool(self.secret_file) != bool(self.secret_env)


class Credentials(Secret):
    """Who we are to an HTTP server, and whose certificates we take for it."""

    auth: Literal["none", "basic", "bearer", "oauth2"] = "none"
    user: str = ""  # of basic; the client's id of oauth2
    token_url: str = Field(default="", pattern=r"^(https?://.*)?$")  # of oauth2
    scope: str = ""  # of oauth2: "system/*.read"
    ca_file: Path | None = None  # who signs the servers' certificates; None: the public authorities

    @model_validator(mode="after")
    def complete(self) -> Credentials:
        if self.auth == "none":
            return self
        if not self.names_one_secret:
            raise ValueError(f"auth {self.auth} takes one of secret_file and secret_env")
        if self.auth in ("basic", "oauth2") and not self.user:
            raise ValueError(f"auth {self.auth} takes a user")
        if self.auth == "oauth2" and not self.token_url:
            raise ValueError("auth oauth2 takes a token_url")
        return self
