"""`yitong token …`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from hub.cli.doctor import county_path
from hub.clock import utc_ms
from hub.errors import Invalid
from hub.security.access import Role
from hub.security.tokens import TokenShelf, TokenStore
from hub.settings import load_county
from hub.store.opening import open_reader, target_of


def create_token(data: Path, *, name: str, role: str, facility: str, days: int, patient: str = "") -> None:
    if role in {"clinician", "reader"} and not facility:
        sys.stderr.write(f"A {role} without --facility sees no patients; give the code of a facility in county.toml.\n")
    with _tokens(data) as tokens:
        token = tokens.create(name=name, role=cast(Role, role), facility=facility, days=days, patient=patient)
    sys.stdout.write(token + "\n")


def list_tokens(data: Path) -> None:
    table = Table("id", "name", "role", "facility", "until", "state")
    now = utc_ms()
    with _existing(data) as tokens:
        found = tokens.list()
    for token in found:
        until = datetime.fromtimestamp(token.expires / 1000, UTC).date().isoformat()
        state = "revoked" if token.revoked else "expired" if token.expires <= now else "valid"
        table.add_row(token.id, token.name, token.role, token.facility or "-", until, state)
    Console().print(table)


def revoke_token(data: Path, token_id: str) -> None:
    with _existing(data) as tokens:
        tokens.revoke(token_id)
    sys.stderr.write(f"{token_id} is revoked.\n")


def _existing(data: Path) -> AbstractContextManager[TokenStore]:
    """A mistyped folder is told, not made."""
    if target_of("") is None and not (data / "tokens.sqlite").is_file():
        raise Invalid(f"{data} holds no tokens")
    return _tokens(data)


@contextmanager
def _tokens(data: Path) -> Iterator[TokenStore]:
    """In the data folder, or in the store that several hubs share."""
    target = target_of("")
    if target is None:
        with closing(TokenStore(data)) as tokens:
            yield tokens
        return
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    county = load_county(county_path(data, None))
    with closing(open_reader(data, target, county.store)) as store:
        yield TokenStore(data, table=TokenShelf(store))
