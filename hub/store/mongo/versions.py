"""Reading versions: the current one from its type's collection, former ones from the history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from hub.errors import Gone, NotFound
from hub.store.mongo.database import HISTORY
from hub.store.mongo.documents import Document, history_id, version_of
from hub.store.mongo.reading import Reading, of_type
from hub.store.port import Key, Version

HEAD = ("v", "lu", "m", "f", "p", "o", "was")
WHOLE = (*HEAD, "body")


def current_document(reading: Reading, key: Key) -> Document | None:
    return reading.one(of_type(key.type), {"_id": key.id}, WHOLE)


def current(reading: Reading, key: Key) -> Version | None:
    found = current_document(reading, key)
    return version_of(key.type, found) if found else None


def read(reading: Reading, key: Key) -> Version:
    found = current(reading, key)
    if found is None:
        raise NotFound(f"{key.type}/{key.id} is not here")
    if found.deleted:
        raise Gone(f"{key.type}/{key.id} was deleted")
    return found


def read_many(reading: Reading, keys: Iterable[Key]) -> list[Version]:
    """One question a type."""
    asked = list(keys)
    ids = defaultdict(set)
    for key in asked:
        ids[key.type].add(key.id)
    found: dict[Key, Version] = {}
    for kind, wanted in ids.items():
        for document in reading.find(of_type(kind), {"_id": {"$in": sorted(wanted)}, "o": {"$gt": 0}}, fields=WHOLE):
            found[Key(kind, document["_id"])] = version_of(kind, document)
    return [found[key] for key in asked if key in found]


def vread(reading: Reading, key: Key, number: int) -> Version:
    found = current(reading, key)
    if found is None or found.version != number:
        former = reading.one(HISTORY, {"_id": history_id(key, number)})
        found = version_of(key.type, former) if former else None
    if found is None:
        raise NotFound(f"{key.type}/{key.id} has no version {number}")
    if found.deleted:
        raise Gone(f"version {number} of {key.type}/{key.id} is its deletion")
    return found


def history(reading: Reading, key: Key, *, count: int, before: int | None) -> list[Version]:
    newest = current(reading, key)
    if newest is None:
        raise NotFound(f"{key.type}/{key.id} is not here")
    below = newest.version + 1 if before is None else max(before, 0)
    page = [newest] if newest.version < below else []
    if len(page) < count:
        wanted = {"_id": {"$gte": history_id(key, 0), "$lt": history_id(key, min(below, newest.version))}}
        rows = reading.find(HISTORY, wanted, sort=[("_id", -1)], limit=count - len(page))
        page += [version_of(key.type, row) for row in rows]
    return page[:count]
