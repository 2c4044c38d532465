"""The embedded store: one SQLite file in one folder, one writing thread, many readers."""

from hub.store.sqlite.indexer import Indexer
from hub.store.sqlite.reader import SqliteReader
from hub.store.sqlite.store import SqliteStore

__all__ = ["Indexer", "SqliteReader", "SqliteStore"]
