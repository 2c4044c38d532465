"""The audit trail: an event is synced to the process's own log before its answer goes out, and reaches the store soon after.

A write's event is part of the write's commit (`save_event`). A read's event goes to the log (hub.security.audit_log); the process
that writes to the store brings it there exactly once, when the hub has a moment, and before anyone looks at AuditEvents.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from hub.security import audit_log
from hub.security.audit import event_id
from hub.security.audit_log import AuditLog, Line
from hub.store.port import Addition, Resource, ResourceStore, Transaction

log = logging.getLogger(__name__)

FOLDER = "audit"
SHELF = "audit-log"  # file name → how far it is in the store, changed in the commit that brings the events
BATCH = 200  # events of one commit: other writes wait no longer than for these
LOOK_SECONDS = 0.2  # how often the shipper looks, and how long the logs must be quiet to call it a quiet moment
LATEST_SECONDS = 5.0  # quiet or not, an event is in the store after this time


class Ships(Protocol):
    """Brings what was logged into the store: at once when asked to `ship`."""

    def ship(self) -> None: ...

    def close(self) -> None: ...


class AuditTrail:
    """This process's events, to its own file in `data`/audit."""

    def __init__(self, data: Path, clock: Callable[[], int], shipper: Ships) -> None:
        self._clock = clock
        self._log = AuditLog(data / FOLDER)
        self._shipper = shipper

    async def leave(self, event: Resource, facility: str) -> None:
        """Return once the event is synced to disk: no audit, no answer. Raise Unavailable if it cannot be."""
        await self._log.append(Line(event_id(self._clock()), facility, event))

    def settle(self) -> None:
        """Bring every event left so far into the store: whoever looks at AuditEvents sees all of them."""
        self._shipper.ship()

    def close(self) -> None:
        """The store must still be open: what was left goes there."""
        self._log.close()
        self._shipper.close()


class RemoteShipper:
    """Of a process that may not write: another one ships what this one logs."""

    def __init__(self, ask: Callable[[], None]) -> None:
        self.ship = ask

    def close(self) -> None:
        """The other process finds the file without an owner."""


class Shipper:
    """`data`/audit → store, each event exactly once: the offset reached is part of the commit that brings the events."""

    def __init__(self, data: Path, store: ResourceStore) -> None:
        self._folder = data / FOLDER
        self._store = store
        self._one = threading.Lock()
        self._stop = threading.Event()
        self._behind = False
        self._thread = threading.Thread(target=self._serve, name="audit-shipper", daemon=True)
        self._thread.start()

    def ship(self) -> None:
        """Raise HubError if the store does not take them; the logs keep them."""
        with self._one:
            for path in audit_log.files(self._folder):
                over = audit_log.finished(path)  # asked first: what is then read is all there will be
                while self._ship_batch(path):
                    pass
                if over:
                    self._let_go(path)

    def close(self) -> None:
        """Bring the rest; what the store does not take now, it is given after the next start."""
        self._stop.set()
        self._thread.join()
        self._shipped()

    def _ship_batch(self, path: Path) -> bool:
        """Whether there were events to bring."""
        offset = int(self._store.item(SHELF, path.name) or 0)
        lines = list(audit_log.read(path, offset, BATCH))
        if not lines:
            return False
        reached = str(lines[-1][0]).encode()

        def bring(transaction: Transaction) -> None:
            if int(transaction.item(SHELF, path.name) or 0) != offset:
                return  # somebody else brought them meanwhile
            transaction.add([Addition(line.event, line.id, line.facility) for _, line in lines])
            transaction.put_item(SHELF, path.name, reached)

        self._store.write(bring).result()
        return True

    def _let_go(self, path: Path) -> None:
        """A file that nobody appends to is in the store; what a crash left at its end is kept aside, for nothing is thrown away."""
        offset = int(self._store.item(SHELF, path.name) or 0)
        if path.stat().st_size > offset:
            path.rename(path.with_suffix(".torn"))
            log.warning("the audit log %s ends with a line that is not whole; it is kept as .torn", path.name)
        else:
            path.unlink()

        def forget(transaction: Transaction) -> None:
            transaction.put_item(SHELF, path.name, None)

        self._store.write(forget).result()

    # -- the thread
    def _serve(self) -> None:
        shipped = before = self._sizes()
        due = time.monotonic()
        while not self._stop.wait(LOOK_SECONDS):
            sizes = self._sizes()
            if sizes == shipped:
                due = time.monotonic() + LATEST_SECONDS
            elif sizes == before or time.monotonic() > due:
                shipped = sizes if self._shipped() else shipped
            before = sizes

    def _shipped(self) -> bool:
        """The logs keep what the store does not take, and the next round tries again: told when it begins and when it ends."""
        try:
            self.ship()
        except Exception as error:
            if not self._behind:
                log.warning("audit events stay in the log for now: %s", type(error).__name__)
            self._behind = True
            return False
        if self._behind:
            log.warning("audit events reach the store again")
        self._behind = False
        return True

    def _sizes(self) -> dict[str, int]:
        found = {}
        for path in audit_log.files(self._folder):
            try:
                found[path.name] = path.stat().st_size
            except FileNotFoundError:
                continue
        return found


def save_event(transaction: Transaction, event: Resource, facility: str, now: int) -> None:
    """The event of a write, in the write's own commit."""
    transaction.add([Addition(event, event_id(now), facility)])
