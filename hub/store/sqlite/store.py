"""The port's ResourceStore over SQLite: everything of SqliteReads, and one writing thread that a write waits for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import apsw

from hub.clock import utc_ms
from hub.errors import Unavailable
from hub.search.query import SearchQuery
from hub.store.indexer import Indexer, standard_indexer
from hub.store.lock import WAIT_SECONDS, FolderLock
from hub.store.port import Key, Scope, Transaction
from hub.store.sqlite.additions import Additions
from hub.store.sqlite.copying import untold
from hub.store.sqlite.functions import register
from hub.store.sqlite.names import NewNames
from hub.store.sqlite.readers import limited
from hub.store.sqlite.reads import STATEMENT_SECONDS, SqliteReads
from hub.store.sqlite.reindex import Progress, reindex
from hub.store.sqlite.schema import WAL_BYTES, connect, prepare
from hub.store.sqlite.search import STANDARD, Search, Thresholds
from hub.store.sqlite.transaction import SqliteTransaction
from hub.store.sqlite.writer import Writer

T = TypeVar("T")

# A folder or file that may not be written, a disk that is full or fails.
UNFIT = (apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError, apsw.FullError, apsw.IOError)


class SqliteStore(SqliteReads):
    """`folder`/store.sqlite, owned by this process until `close`. Raise Unavailable if another process has it."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], int] = utc_ms,
        indexer: Indexer | None = None,
        statement_seconds: float = STATEMENT_SECONDS,
        lock_seconds: float = WAIT_SECONDS,
        thresholds: Thresholds = STANDARD,
        log_bytes: int = WAL_BYTES,
        vfs: str | None = None,
    ) -> None:
        """`vfs` names another way to the disk, known to SQLite; beyond `log_bytes` the log is folded into the file."""
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(folder / "store.lock", wait=lock_seconds)
        path = folder / "store.sqlite"
        self._closed = False
        self._new_names = NewNames()
        try:
            self._writing = _opened(path, vfs)
        except BaseException:
            self._lock.release()
            raise
        indexer = indexer or standard_indexer()
        super().__init__(path, indexer=indexer, statement_seconds=statement_seconds, thresholds=thresholds)
        register(self._writing, indexer)
        additions = Additions(self._writing, clock=clock, indexer=indexer, names=self._new_names)
        self._transaction = SqliteTransaction(
            self._writing, clock=clock, indexer=indexer, names=self._new_names, additions=additions, find=self._find
        )
        self._writer = Writer(self._writing, additions, log_bytes=log_bytes)

    def write(self, work: Callable[[Transaction], T]) -> Future[T]:
        return self._writer.submit(lambda: work(self._transaction))

    def _find(self, connection: apsw.Connection, query: SearchQuery, limit: int, scope: Scope) -> list[Key]:
        with limited(connection, self._limit):
            return Search(connection, self._new_names, self._indexer, query, scope, self._thresholds).keys(limit)

    # -- the file
    def reindex(self, progress: Progress | None = None) -> int:
        """Build every index entry anew; `progress` is told how many of how many are done. Writes wait until it is over."""
        job = self._writer.submit(lambda: reindex(self._writing, self._indexer, self._new_names, progress or untold))
        return job.result()

    def close(self) -> None:
        """Finish what was submitted, then let the folder go. Closing again does nothing."""
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        self._readers.close()
        self._writing.close()
        self._lock.release()


def _opened(path: Path, vfs: str | None) -> apsw.Connection:
    """Raise Unavailable for a file that this program cannot work on."""
    try:
        connection = connect(path, writing=True, vfs=vfs)
        try:
            prepare(connection)
        except BaseException:
            connection.close()
            raise
    except (apsw.NotADBError, apsw.CorruptError):
        raise Unavailable(f"{path.name} is damaged: restore a backup of the data folder") from None
    except UNFIT as error:
        raise Unavailable(f"{path} cannot be opened to write: {type(error).__name__}") from error
    return connection
