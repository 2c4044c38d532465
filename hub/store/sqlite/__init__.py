"""The embedded store: one SQLite file in one folder, one writing thread, many readers."""

from hub.store.sqlite.reader import SqliteReader
from hub.store.sqlite.store import SqliteStore

__all__ = ["SqliteReader", "SqliteStore"]
