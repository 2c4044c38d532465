"""How far each asking connector has read, in a store that several hubs share: who takes a channel over goes on from there."""

from __future__ import annotations

import json

from connectors.base import Cursor
from hub.store.port import ResourceStore

SHELF = "checkpoint"


class StoreCheckpoints:
    def __init__(self, store: ResourceStore) -> None:
        self._store = store

    def load(self, source: str) -> Cursor:
        found = self._store.item(SHELF, source)
        return dict(json.loads(found)) if found is not None else {}

    def save(self, source: str, cursor: Cursor) -> None:
        value = json.dumps(dict(cursor), ensure_ascii=False).encode()
        self._store.write(lambda transaction: transaction.put_item(SHELF, source, value)).result()
