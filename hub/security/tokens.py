"""Bearer tokens: 256 random bits shown once; only their SHA-256 is kept.

They lie in a file of their own beside the store, so that `yitong token` works while the hub is serving; or in the store, where
several processes share it.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

import apsw
import msgspec

from hub.clock import utc_ms
from hub.errors import Invalid, NotFound
from hub.security.access import ROLES, Access, Role
from hub.store.port import ResourceStore, Transaction

FILE = "tokens.sqlite"
SHELF = "token"  # hash → TokenInfo
COLUMNS = "id, name, role, facility, created, expires, revoked, patient"
DAY = 86_400_000
KEEP_SECONDS = 2.0  # how long an answer is trusted: a revoked token dies within this time
KEEP_ANSWERS = 4096
BUSY_MILLISECONDS = 5_000

SCHEMA = """
create table if not exists token (
    id text primary key, hash blob not null unique, name text not null, role text not null, facility text not null,
    created integer not null, expires integer not null, revoked integer not null default 0, patient text not null default ''
) strict
"""
SINCE_RESIDENTS = "alter table token add column patient text not null default ''"


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
    patient: str = ""  # a resident's own


class TokenTable(Protocol):
    """Where tokens lie; only their hashes do."""

    far: bool  # to ask means to wait for a server

    def insert(self, info: TokenInfo, digest: bytes) -> None: ...

    def find(self, digest: bytes) -> TokenInfo | None: ...

    def revoke(self, token_id: str) -> bool:
        """False for an id that never was."""

    def all(self) -> list[TokenInfo]:
        """In the order of their making."""

    def close(self) -> None: ...


class TokenStore:
    """Safe to use from any thread and from several processes at once."""

    def __init__(self, folder: Path, *, clock: Callable[[], int] = utc_ms, table: TokenTable | None = None) -> None:
        """`table`: another place than a file in `folder`."""
        self._clock = clock
        self._answers: dict[bytes, tuple[float, TokenInfo]] = {}
        self._table = table or TokenFile(folder)

    def create(self, name: str, role: Role, facility: str = "", days: int = 365, *, patient: str = "") -> str:
        """The new token's text: it cannot be shown again. `patient`: whose own record a resident's token opens."""
        if role not in ROLES:
            raise Invalid(f"role {role!r} is none of {', '.join(ROLES)}")
        if not name.strip():
            raise Invalid("a token needs the name of its holder")
        if (role == "resident") != bool(patient) or (patient and facility):
            raise Invalid("a resident's token names the Patient, and no facility; no other token names one")
        text = secrets.token_urlsafe(32)
        now = self._clock()
        self._table.insert(TokenInfo(secrets.token_hex(6), name, role, facility, now, now + days * DAY, 0, patient), _digest(text))
        return text

    def at_hand(self, text: str) -> bool:
        """`resolve` need not wait for a server."""
        return not self._table.far or self._remembered(_digest(text)) is not None

    def resolve(self, text: str) -> Access | None:
        """Whose token this is; None for an unknown, expired or revoked one."""
        digest = _digest(text)
        info = self._remembered(digest) or self._look_up(digest)
        if info is None or self._clock() >= info.expires:
            return None
        return _access(info)

    def holder(self, token_id: str) -> Access | None:
        """Whose token has this id, for work done in its name; None for an unknown, expired or revoked one."""
        info = next((each for each in self._table.all() if each.id == token_id), None)
        if info is None or info.revoked or self._clock() >= info.expires:
            return None
        return _access(info)

    def revoke(self, token_id: str) -> None:
        """Raise NotFound for an id that never was."""
        if not self._table.revoke(token_id):
            raise NotFound("no token has this id")
        self._answers.clear()

    def list(self) -> list[TokenInfo]:
        return self._table.all()

    def close(self) -> None:
        self._table.close()

    def _remembered(self, digest: bytes) -> TokenInfo | None:
        known = self._answers.get(digest)
        return known[1] if known is not None and known[0] >= time.monotonic() else None

    def _look_up(self, digest: bytes) -> TokenInfo | None:
        info = self._table.find(digest)
        if info is None or info.revoked:
            return None  # not remembered: guesses must not fill the memory
        if len(self._answers) >= KEEP_ANSWERS:
            self._answers.clear()
        self._answers[digest] = (time.monotonic() + KEEP_SECONDS, info)
        return info


class TokenFile:
    """`folder`/tokens.sqlite, beside the store in the same folder."""

    far = False

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        path = folder / FILE
        self._connection = apsw.Connection(str(path))
        path.chmod(0o600)
        self._connection.set_busy_timeout(BUSY_MILLISECONDS)
        self._connection.execute("pragma journal_mode=delete; pragma synchronous=full")
        self._connection.execute(SCHEMA)
        if not any(column[1] == "patient" for column in self._connection.execute("pragma table_info(token)")):
            self._connection.execute(SINCE_RESIDENTS)

    def insert(self, info: TokenInfo, digest: bytes) -> None:
        row = (info.id, digest, info.name, info.role, info.facility, info.created, info.expires, info.patient)
        with self._lock:
            self._connection.execute(
                "insert into token (id, hash, name, role, facility, created, expires, patient) values (?, ?, ?, ?, ?, ?, ?, ?)", row
            )

    def find(self, digest: bytes) -> TokenInfo | None:
        with self._lock:
            row = self._connection.execute(f"select {COLUMNS} from token where hash = ?", (digest,)).fetchone()  # noqa: S608
        return TokenInfo(*cast(Any, row)) if row is not None else None

    def revoke(self, token_id: str) -> bool:
        with self._lock:
            self._connection.execute("update token set revoked = 1 where id = ?", (token_id,))
            return bool(self._connection.changes())

    def all(self) -> list[TokenInfo]:
        with self._lock:
            rows = self._connection.execute(f"select {COLUMNS} from token order by created, id").fetchall()  # noqa: S608
        return [TokenInfo(*cast(Any, row)) for row in rows]

    def close(self) -> None:
        with self._lock:
            self._connection.close()


class TokenShelf:
    """In a store that several processes share: what one of them gives out, all of them know."""

    far = True

    def __init__(self, store: ResourceStore) -> None:
        self._store = store

    def insert(self, info: TokenInfo, digest: bytes) -> None:
        value = msgspec.json.encode(info)
        self._store.write(lambda transaction: transaction.put_item(SHELF, digest.hex(), value)).result()

    def find(self, digest: bytes) -> TokenInfo | None:
        found = self._store.item(SHELF, digest.hex())
        return msgspec.json.decode(found, type=TokenInfo) if found is not None else None

    def revoke(self, token_id: str) -> bool:
        def work(transaction: Transaction) -> bool:
            for key, info in _infos(transaction):
                if info.id == token_id:
                    transaction.put_item(SHELF, key, msgspec.json.encode(replace(info, revoked=1)))
                    return True
            return False

        return self._store.write(work).result()

    def all(self) -> list[TokenInfo]:
        return sorted((info for _, info in _infos(self._store)), key=lambda info: (info.created, info.id))

    def close(self) -> None:
        """The store is closed by whoever opened it."""


def _infos(source: ResourceStore | Transaction) -> Iterator[tuple[str, TokenInfo]]:
    after = ""
    while page := source.items(SHELF, after=after):
        yield from ((key, msgspec.json.decode(value, type=TokenInfo)) for key, value in page)
        after = page[-1][0]


def _access(info: TokenInfo) -> Access:
    return Access(info.name, info.role, info.facility, token_id=info.id, patient=info.patient)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
