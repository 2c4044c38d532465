"""Bearer tokens: 256 random bits shown once; only their SHA-256 is kept.

They lie in a file of their own beside the store, so that `yitong token` works while the hub is serving.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import apsw

from hub.clock import utc_ms
from hub.errors import Invalid, NotFound
from hub.security.access import ROLES, Access, Role

FILE = "tokens.sqlite"
DAY = 86_400_000
KEEP_SECONDS = 2.0  # how long an answer is trusted: a revoked token dies within this time
KEEP_ANSWERS = 4096
BUSY_MILLISECONDS = 5_000

SCHEMA = """
create table if not exists token (
    id text primary key, hash blob not null unique, name text not null, role text not null, facility text not null,
    created integer not null, expires integer not null, revoked integer not null default 0
) strict
"""


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What is known of a token, the token itself excepted. Times are UTC milliseconds."""

    id: str
    name: str
    role: Role
    facility: str
    created: int
    expires: int
    revoked: int  # 1: it opens nothing any more


class TokenStore:
    """Safe to use from any thread and from several processes at once."""

    def __init__(self, folder: Path, *, clock: Callable[[], int] = utc_ms) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: dict[bytes, tuple[float, Access | None, int]] = {}
        path = folder / FILE
        self._connection = apsw.Connection(str(path))
        path.chmod(0o600)
        self._connection.set_busy_timeout(BUSY_MILLISECONDS)
        self._connection.execute("pragma journal_mode=delete; pragma synchronous=full")
        self._connection.execute(SCHEMA)

    def create(self, name: str, role: Role, facility: str = "", days: int = 365) -> str:
        """The new token's text: it cannot be shown again."""
        if role not in ROLES:
            raise Invalid(f"role {role!r} is none of {', '.join(ROLES)}")
        if not name.strip():
            raise Invalid("a token needs the name of its holder")
        text = secrets.token_urlsafe(32)
        now = self._clock()
        row = (secrets.token_hex(6), _digest(text), name, role, facility, now, now + days * DAY)
        with self._lock:
            self._connection.execute(
                "insert into token (id, hash, name, role, facility, created, expires) values (?, ?, ?, ?, ?, ?, ?)", row
            )
        return text

    def resolve(self, text: str) -> Access | None:
        """Whose token this is; None for an unknown, expired or revoked one."""
        digest = _digest(text)
        known = self._answers.get(digest)
        if known is None or known[0] < time.monotonic():
            known = self._look_up(digest)
        _, access, expires = known
        return access if access is not None and self._clock() < expires else None

    def revoke(self, token_id: str) -> None:
        """Raise NotFound for an id that never was."""
        with self._lock:
            self._connection.execute("update token set revoked = 1 where id = ?", (token_id,))
            if not self._connection.changes():
                raise NotFound("no token has this id")
            self._answers.clear()

    def list(self) -> list[TokenInfo]:
        with self._lock:
            rows = self._connection.execute(
                "select id, name, role, facility, created, expires, revoked from token order by created, id"
            ).fetchall()
        return [TokenInfo(*cast(Any, row)) for row in rows]

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _look_up(self, digest: bytes) -> tuple[float, Access | None, int]:
        with self._lock:
            row = self._connection.execute(
                "select id, name, role, facility, expires from token where hash = ? and revoked = 0", (digest,)
            ).fetchone()
            if row is None:
                return (0.0, None, 0)  # not remembered: guesses must not fill the memory
            token_id, name, role, facility, expires = cast(tuple[str, str, Role, str, int], row)
            answer = (time.monotonic() + KEEP_SECONDS, Access(name, role, facility, token_id=token_id), expires)
            if len(self._answers) >= KEEP_ANSWERS:
                self._answers.clear()
            self._answers[digest] = answer
            return answer


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
