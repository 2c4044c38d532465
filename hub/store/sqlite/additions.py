"""Resources under ids that nobody used yet, written together when the group of writes commits.

Nearly every write leaves an AuditEvent. One by one they would cost as many statements as the writes themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import apsw

from hub.store.content import owned, stamped
from hub.store.indexer import Indexer
from hub.store.port import Addition
from hub.store.sqlite import rows
from hub.store.sqlite.names import NewNames


class Additions:
    """Those of the open group; they follow the fate of the job that made them."""

    def __init__(self, connection: apsw.Connection, *, clock: Callable[[], int], indexer: Indexer, names: NewNames) -> None:
        self._connection = connection
        self._clock = clock
        self._indexer = indexer
        self._names = names
        self._waiting: list[Addition] = []
        self._before_job: list[Addition] = []

    def put(self, additions: Sequence[Addition]) -> None:
        """One waits for those of other jobs; several fill a statement of their own, and what is wrong with them is theirs alone."""
        if len(additions) > 1:
            self._write(additions)
        else:
            self._waiting += additions

    def settle(self, types: Iterable[str]) -> None:
        """Somebody looks for resources of these types: write what waits if it could be among them."""
        if self._waiting and not {each.resource["resourceType"] for each in self._waiting}.isdisjoint(types):
            self.flush()

    # -- as the writer tells
    def begin_job(self) -> None:
        self._before_job = self._waiting.copy()

    def undo_job(self) -> None:
        """What waited before the job waits again, even if it was written meanwhile: the job's savepoint was undone with it."""
        self._waiting = self._before_job
        self._names.forget()

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._write(waiting)

    def undo_group(self) -> None:
        self._waiting = []
        self._names.forget()

    def _write(self, additions: Sequence[Addition]) -> None:
        now = self._clock()
        first = int(self._connection.execute("SELECT max(rid) FROM resource").get or 0) + 1
        heads, bodies, index = [], [], []
        for rid, (resource, id, facility) in enumerate(additions, first):
            content = owned(resource, id=id, facility=facility)
            entries = self._indexer.extract(content)
            found = rows.rows_of(self._connection, self._names, content["resourceType"], entries)
            type = self._names.number(self._connection, content["resourceType"])
            state = (1, now, 0, "POST", facility, self._indexer.compartment_of(content))
            heads.append((rid, type, id, *state, rows.present(found)))
            bodies.append((rid, stamped(content, 1, now)))
            index.append((rid, found))
        rows.insert_many(self._connection, "INSERT INTO resource", heads)
        rows.insert_many(self._connection, "INSERT INTO body", bodies)
        rows.insert(self._connection, index)
