"""One owner among the processes of a store: of a channel, say, that only one of them may listen on or ask.

The owner renews a record on the shelf "lease". Nobody's clock is compared with another's: whoever wants the lease takes it when
the record has not changed for as long as a lease lasts, on the taker's own monotonic clock; and an owner that could not renew it
for most of that time gives it up first. A store that a single process owns needs no lease, and every one is held at once.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable

import msgspec

from hub.errors import HubError
from hub.store.port import ResourceStore, Transaction

log = logging.getLogger(__name__)

SHELF = "lease"
SECONDS = 15.0
RENEWED_EVERY, GIVEN_UP_AFTER = 0.2, 0.7  # of the time that a lease lasts


class Record(msgspec.Struct, frozen=True):
    holder: str
    beat: int  # counts renewals


class Lease:
    """`acquire` until it says True; then it is renewed in the background until `release`, or until it is `lost`."""

    def __init__(
        self,
        store: ResourceStore,
        name: str,
        *,
        seconds: float = SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._name = name
        self._seconds = seconds
        self._on_lost: Callable[[], None] = lambda: None
        self._monotonic = monotonic
        self._holder = secrets.token_hex(8)
        self._seen: tuple[Record | None, float] | None = None
        self._renewed = 0.0
        self._release = threading.Event()
        self._thread: threading.Thread | None = None
        self.lost = threading.Event()

    @property
    def held(self) -> bool:
        return not self._store.shared or (self._thread is not None and not self.lost.is_set() and not self._release.is_set())

    def acquire(self, on_lost: Callable[[], None] = lambda: None) -> bool:
        """Take it if nobody holds it, or its holder has gone silent. Raise HubError if the store does not answer.

        `on_lost` is called once, on another thread, when somebody else may be the owner.
        """
        self._on_lost = on_lost
        if self.held:
            return True
        if not self._free():
            return False
        asked = self._monotonic()
        if not self._store.write(self._take).result():
            return False
        self._renewed = asked
        self._release.clear()
        self.lost.clear()
        self._thread = threading.Thread(target=self._keep, name=f"lease-{self._name}", daemon=True)
        self._thread.start()
        return True

    def release(self) -> None:
        """Let it go; another may take it at once."""
        self._release.set()
        if self._thread is None:
            return
        self._thread.join()
        self._thread = None
        try:
            self._store.write(self._let_go).result()
        except HubError as error:
            log.warning("lease %s is not given back (%s); it ends by itself", self._name, error.message)

    # -- taking
    def _free(self) -> bool:
        found = _record(self._store.item(SHELF, self._name))
        now = self._monotonic()
        if self._seen is None or self._seen[0] != found:
            self._seen = (found, now)
        return found is None or found.holder == self._holder or now - self._seen[1] >= self._seconds

    def _take(self, transaction: Transaction) -> bool:
        """Unless somebody else took it since it was looked at."""
        found = _record(transaction.item(SHELF, self._name))
        if self._seen is not None and found != self._seen[0]:
            return False
        self._put(transaction, 1 if found is None else found.beat + 1)
        return True

    # -- keeping
    def _keep(self) -> None:
        while not self._release.wait(self._seconds * RENEWED_EVERY):
            asked = self._monotonic()
            try:
                if not self._store.write(self._renew).result(max(0.0, self._left())):
                    break
            except (HubError, TimeoutError) as error:
                log.warning("lease %s could not be renewed: %s", self._name, type(error).__name__)
            else:
                self._renewed = asked
            if self._left() <= 0:
                break
        if not self._release.is_set():
            self.lost.set()
            log.warning("lease %s is lost", self._name)
            self._on_lost()

    def _left(self) -> float:
        """Seconds until it must be given up."""
        return self._renewed + self._seconds * GIVEN_UP_AFTER - self._monotonic()

    def _renew(self, transaction: Transaction) -> bool:
        found = _record(transaction.item(SHELF, self._name))
        if found is None or found.holder != self._holder:
            return False
        self._put(transaction, found.beat + 1)
        return True

    def _put(self, transaction: Transaction, beat: int) -> None:
        transaction.put_item(SHELF, self._name, msgspec.json.encode(Record(self._holder, beat)))

    def _let_go(self, transaction: Transaction) -> None:
        found = _record(transaction.item(SHELF, self._name))
        if found is not None and found.holder == self._holder:
            transaction.put_item(SHELF, self._name, None)


def _record(value: bytes | None) -> Record | None:
    return msgspec.json.decode(value, type=Record) if value is not None else None
