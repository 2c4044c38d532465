"""The one door to the store: every read and write passes here with an `Access`.

The policy narrows what is asked and is applied again to what comes out. "Not yours" and "never was" are one answer. A person is
asked for under any of their patients' ids. Every interaction leaves an AuditEvent, synced to disk before the answer; refusals too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from hub.errors import HubError
from hub.search.query import SearchQuery
from hub.security.access import Access
from hub.security.audit import FAILED, REFUSED, SUCCESS, Action, audit_event
from hub.security.policy import scope_of
from hub.security.reads import Reads
from hub.security.trail import AuditTrail, save_event
from hub.security.writes import Writes
from hub.settings import County
from hub.store.port import Key, Resource, ResourceStore, Saved, SearchPage, Transaction, Version

T = TypeVar("T")


class Door:
    def __init__(self, store: ResourceStore, county: County, clock: Callable[[], int], trail: AuditTrail) -> None:
        self._store = store
        self._county = county
        self._clock = clock
        self._trail = trail

    # -- reading

    async def read(self, access: Access, key: Key) -> Version:
        """The current version. Raise NotFound for unknown and foreign alike, Gone for one's own that was deleted."""
        return await self._one(access, key, "read", lambda reads: reads.read(key))

    async def vread(self, access: Access, key: Key, version: int) -> Version:
        """One version: visible if it and the newest one are."""
        return await self._one(access, key, "vread", lambda reads: reads.vread(key, version))

    async def history(self, access: Access, key: Key, *, count: int = 20, before: int | None = None) -> list[Version]:
        """Newest first, deletions included."""
        work: Callable[[Reads], list[Version]] = lambda reads: reads.history(key, count=count, before=before)  # noqa: E731
        return await self.reading(access, work, interaction="history-instance", key=key)

    async def search(self, access: Access, query: SearchQuery, *, asked: str = "") -> SearchPage:
        """One page of what this caller may see; `asked` is the query string, for the audit."""
        return await self.reading(
            access, lambda reads: reads.search(query), action="E", interaction="search-type", type=query.type, asked=asked
        )

    async def read_many(self, access: Access, keys: Sequence[Key], *, interaction: str = "read") -> list[Version]:
        """Those of `keys` that exist and are visible, in the order asked; one AuditEvent."""
        return await self.reading(access, lambda reads: reads.read_many(keys), interaction=interaction, keys=keys)

    async def reading(
        self,
        access: Access,
        work: Callable[[Reads], T],
        *,
        action: Action = "R",
        interaction: str,
        key: Key | None = None,
        keys: Sequence[Key] = (),
        type: str = "",
        asked: str = "",
    ) -> T:
        """Several reads that are one interaction: `work` runs beside the event loop; one AuditEvent names all patients seen."""
        reads = self.reads(access)
        try:
            result = await asyncio.to_thread(work, reads)
        except HubError:
            await self._leave(access, action, interaction, outcome=REFUSED, key=key, keys=keys, type=type, query=asked)
            raise
        await self._leave(access, action, interaction, key=key, keys=keys, type=type, query=asked, patients=reads.patients)
        return result

    def reads(self, access: Access) -> Reads:
        """What `access` may see now. Leaves no AuditEvent: the caller answers for that."""
        return Reads(self._store, scope_of(access, self._county, self._clock()), before_audit=self._trail.settle)

    async def note(self, access: Access, *, action: Action, interaction: str, outcome: str = SUCCESS, patient: str = "") -> None:
        """An AuditEvent for what is neither read nor write here: a login, a decision, a page."""
        await self._leave(access, action, interaction, outcome=outcome, patients=(patient,))

    # -- writing

    async def save(self, access: Access, resource: Resource, *, id: str = "", if_match: int | None = None) -> Saved:
        """Create (no id: one is made) or update. Raise VersionConflict, NotAllowed, or NotFound for a foreign record."""
        key = Key(resource["resourceType"], id) if id else None
        interaction = "update" if id else "create"
        return await self._written(access, lambda writes: writes.save(resource, id=id, if_match=if_match), interaction, key)

    async def create_unless(self, access: Access, resource: Resource, query: SearchQuery) -> tuple[Version, bool]:
        """Conditional create: (what matches, False) or (what was made, True); exactly one, however many ask at once."""
        return await self._written(access, lambda writes: writes.create_unless(resource, query), "create", None)

    async def delete(self, access: Access, key: Key, *, if_match: int | None = None) -> Saved | None:
        """None if there was nothing to delete that this caller may see."""
        return await self._written(access, lambda writes: writes.delete(key, if_match=if_match), "delete", key)

    async def transaction(self, access: Access, work: Callable[[Writes], T]) -> T:
        """Run `work`: all or nothing, with its AuditEvent in the same commit."""
        return await self._written(access, work, "transaction", None)

    async def _written(self, access: Access, work: Callable[[Writes], T], interaction: str, key: Key | None) -> T:
        def run(transaction: Transaction) -> T:
            now = self._clock()
            reads = Reads(self._store, scope_of(access, self._county, now))
            writes = Writes(transaction, access, self._county, now, reads.visible)
            result = work(writes)
            save_event(transaction, writes.finish(interaction, key), access.facility, now)
            return result

        try:
            return await asyncio.wrap_future(self._store.write(run))
        except HubError as error:
            outcome = REFUSED if error.reason.status < 500 else FAILED
            action: Action = {"create": "C", "update": "U", "delete": "D"}.get(interaction, "E")  # type: ignore[assignment]
            await self._leave(access, action, interaction, outcome=outcome, key=key)
            raise

    # -- the trail

    async def _one(self, access: Access, key: Key, interaction: str, work: Callable[[Reads], Version]) -> Version:
        """A read by id is quicker than the way to a thread and back."""
        reads = self.reads(access)
        try:
            version = work(reads)
        except HubError:
            await self._leave(access, "R", interaction, outcome=REFUSED, key=key)
            raise
        await self._leave(access, "R", interaction, key=key, patients=(version.patient,))
        return version

    async def _leave(
        self,
        access: Access,
        action: Action,
        interaction: str,
        *,
        outcome: str = SUCCESS,
        key: Key | None = None,
        keys: Sequence[Key] = (),
        type: str = "",
        query: str = "",
        patients: Iterable[str] = (),
    ) -> None:
        event = audit_event(
            access,
            action=action,
            interaction=interaction,
            outcome=outcome,
            key=key,
            keys=keys,
            type=type,
            query=query,
            patients=(patient for patient in patients if patient),
            now=self._clock(),
        )
        await self._trail.leave(event, access.facility)
