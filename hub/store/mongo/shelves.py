"""Small values by shelf and key, for what a part of the hub must remember in the same commit as resources."""

from __future__ import annotations

from pymongo.client_session import ClientSession

from hub.store.mongo.documents import LAST
from hub.store.mongo.reading import Reading

SEPARATOR = "\x1f"  # between shelf and key; sorts before whatever a shelf's name may hold


def read(reading: Reading, shelf: str, key: str) -> bytes | None:
    found = reading.one("item", {"_id": shelf + SEPARATOR + key})
    return bytes(found["value"]) if found else None


def put(reading: Reading, session: ClientSession, shelf: str, key: str, value: bytes | None) -> None:
    items, name = reading.database.beside("item"), {"_id": shelf + SEPARATOR + key}
    if value is None:
        items.delete_one(name, session=session)
    else:
        items.replace_one(name, {"value": value}, upsert=True, session=session)


def listed(reading: Reading, shelf: str, *, prefix: str, after: str, limit: int) -> list[tuple[str, bytes]]:
    start = shelf + SEPARATOR
    bounds = {"$gte": start + prefix, "$gt": start + after, "$lt": start + prefix + LAST}
    rows = reading.find("item", {"_id": bounds}, sort=[("_id", 1)], limit=limit)
    return [(row["_id"].removeprefix(start), row["value"]) for row in rows] if limit > 0 else []
