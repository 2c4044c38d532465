"""Which store a hub opens: the one in its data folder, or a MongoDB database that it may share with other processes.

A database is named as `mongodb://host,host/database?options`. What a command line says, everybody on the machine may read, so a
password stands in the environment (YITONG_STORE) or in a file that YITONG_STORE_FILE names, and is never logged.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from hub.clock import utc_ms
from hub.errors import Invalid
from hub.settings import StoreSettings
from hub.store.indexer import Indexer, standard_indexer
from hub.store.lock import FolderLock
from hub.store.port import ResourceStore
from hub.store.sqlite import SqliteReader, SqliteStore

if TYPE_CHECKING:
    from hub.store.mongo import MongoStore

log = logging.getLogger(__name__)

NAMED, IN_FILE, UNSAFE = "YITONG_STORE", "YITONG_STORE_FILE", "YITONG_MONGODB_UNSAFE"
SCHEMES = ("mongodb", "mongodb+srv")
FORM = "the store's address must be mongodb://host/database"
DATABASE = "yitong"
NODE = "node.id"
LOCK = "store.lock"


@dataclass(frozen=True, slots=True)
class Target:
    """A database; `shown` may be told, the address may hold a password."""

    address: str = field(repr=False)
    database: str
    shown: str


def target_of(stated: str, environment: Mapping[str, str] = os.environ) -> Target | None:
    """What the command line states, else the environment; None: the data folder. Raise Invalid for a password in `stated`."""
    if stated:
        if "@" in _split(stated).netloc:
            raise Invalid(
                f"--store holds a name or a password, which everybody on this machine could read: set {NAMED},"
                f" or {IN_FILE} to a file that holds the address"
            )
        return _parsed(stated)
    if environment.get(NAMED):
        return _parsed(environment[NAMED])
    if environment.get(IN_FILE):
        path = Path(environment[IN_FILE])
        try:
            return _parsed(path.read_text("utf-8").strip())
        except OSError as error:
            raise Invalid(f"{IN_FILE}: {path}: {(error.strerror or 'cannot be read').lower()}") from None
    return None


def choose(stated: str) -> None:
    """For this process and those that it starts."""
    target = target_of(stated)
    if target is not None:
        os.environ[NAMED] = target.address


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:  # brackets that are no IPv6 address
        raise Invalid(FORM) from None


def _parsed(address: str) -> Target:
    parts = _split(address)
    if parts.scheme not in SCHEMES or not parts.netloc:
        raise Invalid(FORM)
    database = unquote(parts.path.strip("/")) or DATABASE
    hosts = parts.netloc.rpartition("@")[2]
    return Target(address, database, f"{parts.scheme}://{hosts}/{database}")


def open_store(
    data: Path, target: Target | None, settings: StoreSettings, *, clock: Callable[[], int], indexer: Indexer
) -> ResourceStore:
    """To read and to write. Raise Unavailable for a folder that another process writes to, or a server that is not fit."""
    if target is None:
        return SqliteStore(data, clock=clock, indexer=indexer)
    lock = FolderLock(data / LOCK)  # of the journal and the blobs: a folder belongs to one hub, whatever its store
    try:
        return _server_store(data, target, settings, clock=clock, indexer=indexer, on_close=lock.release)
    except BaseException:
        lock.release()
        raise


def open_reader(
    data: Path, target: Target | None, settings: StoreSettings, *, clock: Callable[[], int] = utc_ms, indexer: Indexer | None = None
) -> SqliteReader | MongoStore:
    """Beside the process that the folder belongs to."""
    known = indexer or standard_indexer()
    if target is None:
        return SqliteReader(data, indexer=known)
    return _server_store(data, target, settings, clock=clock, indexer=known)


def _server_store(
    data: Path,
    target: Target,
    settings: StoreSettings,
    *,
    clock: Callable[[], int],
    indexer: Indexer,
    on_close: Callable[[], None] = lambda: None,
) -> MongoStore:
    from hub.store.mongo import MongoStore

    store = MongoStore(
        target.address,
        target.database,
        node=node_of(data),
        clock=clock,
        indexer=indexer,
        allow_unsafe=settings.allow_unsafe_server or os.environ.get(UNSAFE) == "1",
        on_close=on_close,
    )
    if store.problem:
        log.warning("%s", store.problem)
    return store


def node_of(data: Path) -> str:
    """The data folder's own name among those that share a store; made at the first start."""
    path = data / NODE
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text("ascii").strip()
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        name = secrets.token_hex(8)
        stream.write(name)
        stream.flush()
        os.fsync(stream.fileno())
    return name
