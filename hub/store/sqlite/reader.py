"""The store as a process beside the writing one sees it: it reads, never writes, and needs no lock."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from hub.errors import Unavailable
from hub.store.indexer import Indexer, standard_indexer
from hub.store.port import Transaction
from hub.store.sqlite.reads import STATEMENT_SECONDS, SqliteReads
from hub.store.sqlite.schema import connect, verify
from hub.store.sqlite.search import STANDARD, Thresholds

T = TypeVar("T")


class SqliteReader(SqliteReads):
    """`folder`/store.sqlite, while another process owns it or none does. What that one committed is seen at once.

    Raise Unavailable if there is no store, or if the writing process must first bring it up to date.
    """

    def __init__(
        self,
        folder: Path,
        *,
        indexer: Indexer | None = None,
        statement_seconds: float = STATEMENT_SECONDS,
        thresholds: Thresholds = STANDARD,
    ) -> None:
        path = folder / "store.sqlite"
        if not path.is_file():
            raise Unavailable(f"{folder} holds no store")
        connection = connect(path, writing=False)
        try:
            verify(connection)
        finally:
            connection.close()
        super().__init__(path, indexer=indexer or standard_indexer(), statement_seconds=statement_seconds, thresholds=thresholds)

    def write(self, work: Callable[[Transaction], T]) -> Future[T]:  # noqa: ARG002 - the port's signature
        raise Unavailable("this process only reads the store")

    def close(self) -> None:
        self._readers.close()
