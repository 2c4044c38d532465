"""Small values by shelf and key, for what a part of the hub must remember in the same commit as resources."""

from __future__ import annotations

from hub.store.asked import LAST
from hub.store.mongo.documents import Document
from hub.store.mongo.reading import Reading
from hub.store.mongo.workspace import Workspace

ITEMS = "item"

SEPARATOR = "\x1f"  # between shelf and key; sorts before whatever a shelf's name may hold


def place(shelf: str, key: str) -> tuple[str, str]:
    return ITEMS, shelf + SEPARATOR + key


def value_of(document: Document | None) -> bytes | None:
    return bytes(document["value"]) if document else None


def read(reading: Reading, shelf: str, key: str) -> bytes | None:
    collection, id = place(shelf, key)
    return value_of(reading.one(collection, {"_id": id}))


def put(workspace: Workspace, shelf: str, key: str, value: bytes | None) -> None:
    collection, id = place(shelf, key)
    if value is None:
        workspace.remove(collection, id)
    else:
        workspace.put(collection, {"_id": id, "value": value})


def listed(reading: Reading, shelf: str, *, prefix: str, after: str, limit: int) -> list[tuple[str, bytes]]:
    start = shelf + SEPARATOR
    bounds = {"$gte": start + prefix, "$gt": start + after, "$lt": start + prefix + LAST}
    rows = reading.find(ITEMS, {"_id": bounds}, sort=[("_id", 1)], limit=limit)
    return [(row["_id"].removeprefix(start), row["value"]) for row in rows] if limit > 0 else []
