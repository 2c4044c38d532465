"""Small values by shelf and key, for what a part of the hub must remember in the same commit as resources."""

from __future__ import annotations

import apsw

from hub.store.asked import LAST

_LISTED = """SELECT key, value FROM item WHERE shelf = :shelf AND key > :after AND key >= :prefix AND key < :end
ORDER BY key LIMIT :limit"""


def read(connection: apsw.Connection, shelf: str, key: str) -> bytes | None:
    found: bytes | None = connection.execute("SELECT value FROM item WHERE shelf = ? AND key = ?", (shelf, key)).get
    return found


def put(connection: apsw.Connection, shelf: str, key: str, value: bytes | None) -> None:
    if value is None:
        connection.execute("DELETE FROM item WHERE shelf = ? AND key = ?", (shelf, key))
    else:
        connection.execute("INSERT OR REPLACE INTO item VALUES (?, ?, ?)", (shelf, key, value))


def listed(connection: apsw.Connection, shelf: str, *, prefix: str, after: str, limit: int) -> list[tuple[str, bytes]]:
    bindings = {"shelf": shelf, "prefix": prefix, "end": prefix + LAST, "after": after, "limit": limit}
    return [(key, value) for key, value in connection.execute(_LISTED, bindings)]
