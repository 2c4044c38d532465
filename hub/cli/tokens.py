"""`yitong token …`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from hub.clock import utc_ms
from hub.errors import Invalid
from hub.security.access import Role
from hub.security.tokens import TokenStore


def create_token(data: Path, *, name: str, role: str, facility: str, days: int) -> None:
    if role in {"clinician", "reader"} and not facility:
        sys.stderr.write(f"A {role} without --facility sees no patients; give the code of a facility in county.toml.\n")
    token = TokenStore(data).create(name=name, role=cast(Role, role), facility=facility, days=days)
    sys.stdout.write(token + "\n")


def list_tokens(data: Path) -> None:
    table = Table("id", "name", "role", "facility", "until", "state")
    now = utc_ms()
    for token in _existing(data).list():
        until = datetime.fromtimestamp(token.expires / 1000, UTC).date().isoformat()
        state = "revoked" if token.revoked else "expired" if token.expires <= now else "valid"
        table.add_row(token.id, token.name, token.role, token.facility or "-", until, state)
    Console().print(table)


def revoke_token(data: Path, token_id: str) -> None:
    _existing(data).revoke(token_id)
    sys.stderr.write(f"{token_id} is revoked.\n")


def _existing(data: Path) -> TokenStore:
    """A mistyped folder is told, not made."""
    if not (data / "tokens.sqlite").is_file():
        raise Invalid(f"{data} holds no tokens")
    return TokenStore(data)
