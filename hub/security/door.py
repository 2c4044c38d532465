"""The one door to the store: every read and write passes here with an `Access`.

The policy narrows what is asked and is applied again to what comes out. "Not yours" and "never was" are one answer. A person is
asked for under any of their patients' ids. Every interaction leaves an AuditEvent, synced to disk before the answer; refusals too,
which name the person who was asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import TypeVar

from hub.errors import HubError
from hub.search.query import SearchQuery
from hub.search.resolve import Concepts
from hub.security.access import Access
from hub.security.audit import FAILED, REFUSED, SUCCESS, Action, audit_event
from hub.security.gathered import Gathered
from hub.security.policy import scope_of
from hub.security.precondition import ALWAYS, Precondition
from hub.security.reads import Definitions, Reads
from hub.security.refusals import ASKED, Refusals
from hub.security.trail import AuditTrail, save_event
from hub.security.writes import Change, Writes
from hub.settings import County
from hub.store.port import HistoryPage, Key, Resource, ResourceStore, Saved, Scope, SearchPage, Transaction, Version

T = TypeVar("T")
Save = Callable[[Access, Resource, str, Precondition], Awaitable[Saved]]  # the arguments of `Door.save`
LONGEST_PATH = 200
_ACTIONS: dict[str, Action] = {"create": "C", "update": "U", "patch": "U", "delete": "D"}


class Door:
    def __init__(
        self,
        store: ResourceStore,
        county: County,
        clock: Callable[[], int],
        trail: AuditTrail,
        *,
        concepts: Concepts | None = None,
        definitions: Definitions | None = None,
        save: Save | None = None,
    ) -> None:
        """`concepts`: the terminology that searches by value sets and hierarchies ask. `definitions`: those that come with the hub.

        `save`: who saves, if not this process.
        """
        self._store = store
        self._save = save
        self._concepts = concepts
        self._definitions = definitions
        self._county = county
        self._clock = clock
        self._trail = trail
        self._refusals = Refusals(clock)
        self._gathered = Gathered(store)

    @property
    def waits(self) -> bool:
        """Whether the store is a server, for which the event loop must not wait."""
        return self._store.shared

    # -- reading

    async def read(self, access: Access, key: Key) -> Version:
        """The current version. Raise NotFound for unknown and foreign alike, Gone for one's own that was deleted."""
        return await self._one(access, key, "read", lambda reads: reads.read(key))

    async def vread(self, access: Access, key: Key, version: int) -> Version:
        """One version: visible if it and the newest one are."""
        return await self._one(access, key, "vread", lambda reads: reads.vread(key, version))

    async def changes(
        self, access: Access, work: Callable[[Reads], HistoryPage], *, type: str = "", id: str = "", asked: str = ""
    ) -> HistoryPage:
        """A page of history: of one resource, a type ("" id) or everything ("" type)."""
        level = "instance" if id else "type" if type else "system"
        key = Key(type, id) if id else None
        return await self.reading(access, work, interaction=f"history-{level}", key=key, type=type or "Resource", asked=asked)

    async def search(self, access: Access, query: SearchQuery, *, asked: str = "") -> SearchPage:
        """One page of what this caller may see; `asked` is the query string, for the audit."""
        return await self.reading(
            access,
            lambda reads: reads.search(query),
            briefly=lambda reads: reads.search_briefly(query),
            action="E",
            interaction="search-type",
            type=query.type,
            asked=asked,
        )

    async def read_many(self, access: Access, keys: Sequence[Key], *, interaction: str = "read") -> list[Version]:
        """Those of `keys` that exist and are visible, in the order asked; one AuditEvent."""
        return await self.reading(access, lambda reads: reads.read_many(keys), interaction=interaction, keys=keys)

    async def reading(
        self,
        access: Access,
        work: Callable[[Reads], T],
        *,
        briefly: Callable[[Reads], T | None] = lambda _: None,
        action: Action = "R",
        interaction: str,
        key: Key | None = None,
        keys: Sequence[Key] = (),
        type: str = "",
        asked: str = "",
        reason: str = "",
        scope: Scope | None = None,
    ) -> T:
        """Several reads that are one interaction: `work` runs beside the event loop; one AuditEvent names all patients seen.

        `scope`: what a work of its own rules may see (policy.identity_scope); default: what this role reads.

        `briefly` is tried first, on the loop: the way to a thread and back, and two threads that take turns at the
        interpreter's lock with every step of SQLite, cost more than most searches.
        """
        reads = self.reads(access, scope)
        try:
            found = briefly(reads)
            result = await asyncio.to_thread(work, reads) if found is None else found
        except HubError as error:
            await self._leave(
                access, action, interaction, outcome=REFUSED, key=key, keys=keys, type=type, query=asked, patients=reads.sought
            )
            error.audited = True
            raise
        concerned = reads.patients or reads.sought
        await self._leave(
            access, action, interaction, key=key, keys=keys, type=type, query=asked, patients=concerned, reason=reason
        )
        return result

    def reads(self, access: Access, scope: Scope | None = None) -> Reads:
        """What `access` may see now. Leaves no AuditEvent: the caller answers for that."""
        scope = scope or scope_of(access, self._county, self._clock())
        return self._reads(scope, before_audit=self._trail.settle)

    def _reads(self, scope: Scope, before_audit: Callable[[], None] = lambda: None) -> Reads:
        return Reads(self._store, scope, before_audit=before_audit, concepts=self._concepts, definitions=self._definitions)

    async def note(
        self,
        access: Access,
        *,
        action: Action,
        interaction: str,
        outcome: str = SUCCESS,
        patient: str = "",
        type: str = "",
        query: str = "",
    ) -> None:
        """An AuditEvent for what is neither read nor write here: a login, a decision, a page, a file."""
        await self._leave(access, action, interaction, outcome=outcome, type=type, query=query, patients=(patient,))

    async def refused(self, access: Access, method: str, path: str) -> None:
        """An AuditEvent for a request that was refused before it came here: one for each caller and minute."""
        if self._refusals.first(access):
            action, interaction = ASKED.get(method, ("E", "operation"))
            await self._leave(access, action, interaction, outcome=REFUSED, type=path[:LONGEST_PATH])

    # -- writing

    async def save(self, access: Access, resource: Resource, *, id: str = "", condition: Precondition = ALWAYS) -> Saved:
        """Create (no id: one is made) or update.

        Raise VersionConflict, NotAllowed, or NotFound for a foreign record.
        """
        if self._save is not None:
            return await self._save(access, resource, id, condition)
        key = Key(resource["resourceType"], id) if id else None
        work: Callable[[Writes], Saved] = lambda writes: writes.save(resource, id=id, condition=condition)  # noqa: E731
        return await self.writing(access, work, "update" if id else "create", key)

    async def create_unless(self, access: Access, resource: Resource, query: SearchQuery) -> tuple[Version, bool]:
        """Conditional create: (what matches, False) or (what was made, True); exactly one, however many ask at once."""
        return await self.writing(access, lambda writes: writes.create_unless(resource, query), "create")

    async def update_match(
        self, access: Access, resource: Resource, query: SearchQuery, *, condition: Precondition = ALWAYS
    ) -> Saved:
        """Conditional update: of the one that matches; where none does, a create."""
        return await self.writing(access, lambda writes: writes.update_match(resource, query, condition=condition), "update")

    async def amend(self, access: Access, key: Key, change: Change, *, condition: Precondition = ALWAYS) -> Saved:
        """Patch. Raise NotFound, Gone, VersionConflict, or what `change` raises."""
        await self._prepare(access, change, lambda reads: [reads.read(key)])
        return await self.writing(access, lambda writes: writes.amend(key, change, condition=condition), "patch", key)

    async def amend_match(self, access: Access, query: SearchQuery, change: Change, *, condition: Precondition = ALWAYS) -> Saved:
        """Conditional patch: of the one that matches. Raise NotFound where none does."""
        await self._prepare(access, change, lambda reads: list(reads.search(query).matches)[:1])
        return await self.writing(access, lambda writes: writes.amend_match(query, change, condition=condition), "patch")

    async def delete(self, access: Access, key: Key, *, condition: Precondition = ALWAYS) -> Saved | None:
        """None if there was nothing to delete that this caller may see."""
        return await self.writing(access, lambda writes: writes.delete(key, condition=condition), "delete", key)

    async def delete_match(self, access: Access, query: SearchQuery, *, condition: Precondition = ALWAYS) -> Saved | None:
        """Conditional delete: of the one that matches; None if none does."""
        return await self.writing(access, lambda writes: writes.delete_match(query, condition=condition), "delete")

    async def _prepare(self, access: Access, change: Change, work: Callable[[Reads], list[Version]]) -> None:
        """Work out the change beside the event loop; the writer repeats it only if the resource changes in between.

        What stands in the way is said, and audited, by the writer.
        """

        def prepare() -> None:
            for version in work(self.reads(access)):
                change.of(version)

        with suppress(HubError):
            await asyncio.to_thread(prepare)

    async def transaction(self, access: Access, work: Callable[[Writes], T]) -> T:
        """Run `work`: all or nothing, with its AuditEvent in the same commit."""
        return await self.writing(access, work, "transaction")

    async def writing(self, access: Access, work: Callable[[Writes], T], interaction: str, key: Key | None = None) -> T:
        """`work` in one transaction with its AuditEvent. It may be run again from its start, and keeps nothing of a first try."""

        def run(transaction: Transaction) -> T:
            now = self._clock()
            reads = self._reads(scope_of(access, self._county, now))
            writes = Writes(transaction, access, self._county, now, reads)
            result = work(writes)
            save_event(transaction, writes.finish(interaction, key), access.facility, now)
            return result

        try:
            return await asyncio.wrap_future(self._store.write(run))
        except HubError as error:
            outcome = REFUSED if error.reason.status < 500 else FAILED
            action: Action = _ACTIONS.get(interaction, "E")
            about = (key.id,) if key is not None and key.type == "Patient" else ()
            await self._leave(access, action, interaction, outcome=outcome, key=key, patients=about)
            error.audited = True
            raise

    # -- the trail

    async def _one(self, access: Access, key: Key, interaction: str, work: Callable[[Reads], Version]) -> Version:
        """A read by id is quicker than the way to a thread and back; a server, or an AuditEvent, may have to be waited for."""
        reads = self.reads(access)
        waits = self.waits or key.type == "AuditEvent"
        try:
            version = await self._together(reads, key) if interaction == "read" else None
            if version is None:
                version = await asyncio.to_thread(work, reads) if waits else work(reads)
        except HubError as error:
            await self._leave(access, "R", interaction, outcome=REFUSED, key=key, patients=reads.sought)
            error.audited = True
            raise
        await self._leave(access, "R", interaction, key=key, patients=(version.patient,))
        return version

    async def _together(self, reads: Reads, key: Key) -> Version | None:
        """With the reads of others; None where it takes more than that to tell."""
        if not self._store.shared or key.type == "AuditEvent":
            return None
        version = await self._gathered.version(key)
        return reads.given(key, version) if version is not None and reads.told(version) else None

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
        reason: str = "",
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
            reason=reason,
            now=self._clock(),
        )
        await self._trail.leave(event, access.facility)
