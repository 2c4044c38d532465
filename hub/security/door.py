"""The one door to the store: every read and write passes here with an `Access`.

The policy narrows what is asked and is applied again to what comes out. "Not yours" and "never was" are one answer. A person is
asked for under any of their patients' ids. Every interaction leaves an AuditEvent, synced to disk before the answer; refusals too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from hub.errors import Gone, HubError, NotAllowed, NotFound
from hub.search.query import Criterion, CriterionValue, ReferenceValue, SearchQuery
from hub.security.access import Access
from hub.security.audit import FAILED, REFUSED, SUCCESS, Action, audit_event
from hub.security.policy import scope_of
from hub.security.trail import AuditTrail, save_event
from hub.security.writes import Writes, unknown
from hub.settings import County
from hub.store.port import Key, Resource, ResourceStore, Saved, Scope, SearchPage, Transaction, Version
from profiles.names import GOLDEN, HUB_TAG

T = TypeVar("T")

HIDDEN_GOLDEN = ((HUB_TAG, GOLDEN),)
SHOWS_GOLDEN = frozenset({"_id", "identifier", "link", "_tag"})
"""Criteria that ask for particular Patients; without one of them a list shows the facilities' Patients only."""


class Door:
    def __init__(self, store: ResourceStore, county: County, clock: Callable[[], int]) -> None:
        self._store = store
        self._county = county
        self._clock = clock
        self._trail = AuditTrail(store, clock)

    def scope(self, access: Access) -> Scope:
        return scope_of(access, self._county, self._clock())

    # -- reading

    async def read(self, access: Access, key: Key) -> Version:
        """The current version. Raise NotFound for unknown and foreign alike, Gone for one's own that was deleted."""
        try:
            version = self._current(key, self.scope(access))
        except HubError:
            await self._leave(access, "R", "read", outcome=REFUSED, key=key)
            raise
        await self._leave(access, "R", "read", key=key, patients=(version.patient,))
        return version

    async def vread(self, access: Access, key: Key, version: int) -> Version:
        """One version: visible if it and the newest one are."""
        try:
            scope = self.scope(access)
            self._newest(key, scope)
            found = self._store.vread(key, version)
            if not self._visible(found, scope):
                raise unknown(key)
        except HubError as error:
            await self._leave(access, "R", "vread", outcome=REFUSED, key=key)
            raise unknown(key) if isinstance(error, NotFound) else error from None
        await self._leave(access, "R", "vread", key=key, patients=(found.patient,))
        return found

    async def history(self, access: Access, key: Key, *, count: int = 20, before: int | None = None) -> list[Version]:
        """Newest first, deletions included."""
        try:
            scope = self.scope(access)
            newest = self._newest(key, scope)
            versions = await asyncio.to_thread(self._store.history, key, count=count, before=before)
        except HubError:
            await self._leave(access, "R", "history-instance", outcome=REFUSED, key=key)
            raise
        await self._leave(access, "R", "history-instance", key=key, patients=(newest.patient,))
        return [v for v in versions if self._visible(v, scope)]

    async def search(self, access: Access, query: SearchQuery, *, asked: str = "") -> SearchPage:
        """One page of what this caller may see; `asked` is the query string, for the audit."""
        try:
            page = await self._search(access, query)
        except HubError:
            await self._leave(access, "E", "search-type", outcome=REFUSED, type=query.type, query=asked)
            raise
        seen = (v.patient for v in (*page.matches, *page.included))
        await self._leave(access, "E", "search-type", type=query.type, query=asked, patients=seen)
        return page

    async def read_many(self, access: Access, keys: Sequence[Key], *, interaction: str = "read") -> list[Version]:
        """Those of `keys` that exist and are visible, in the order asked; one AuditEvent."""
        scope = self.scope(access)
        found = await asyncio.to_thread(self._store.read_many, keys)
        versions = [v for v in found if self._visible(v, scope)]
        await self._leave(
            access, "R", interaction, keys=[Key(v.type, v.id) for v in versions], patients=(v.patient for v in versions)
        )
        return versions

    def person(self, patient: str) -> tuple[str, ...]:
        """All ids under which a person's records may lie: the golden Patient first, then every linked one."""
        person = self._store.person_of(patient)
        return tuple(dict.fromkeys((person, *self._store.patients_of(person), patient)))

    async def note(self, access: Access, *, action: Action, interaction: str, outcome: str = SUCCESS, patient: str = "") -> None:
        """An AuditEvent for what is neither read nor write here: a login, a decision, a page."""
        await self._leave(access, action, interaction, outcome=outcome, patients=(patient,))

    # -- writing

    async def save(self, access: Access, resource: Resource, *, id: str = "", if_match: int | None = None) -> Saved:
        """Create (no id: one is made) or update. Raise VersionConflict, NotAllowed, or NotFound for a foreign record."""
        return await self.transaction(access, lambda writes: writes.save(resource, id=id, if_match=if_match))

    async def create_unless(self, access: Access, resource: Resource, query: SearchQuery) -> tuple[Version, bool]:
        """Conditional create: (what matches, False) or (what was made, True); exactly one, however many ask at once."""
        return await self.transaction(access, lambda writes: writes.create_unless(resource, query))

    async def delete(self, access: Access, key: Key, *, if_match: int | None = None) -> Saved | None:
        """None if there was nothing to delete that this caller may see."""
        return await self.transaction(access, lambda writes: writes.delete(key, if_match=if_match))

    async def transaction(self, access: Access, work: Callable[[Writes], T], *, interaction: str = "") -> T:
        """Run `work`: all or nothing, with its AuditEvent in the same commit."""
        scope = self.scope(access)

        def run(transaction: Transaction) -> T:
            now = self._clock()
            writes = Writes(transaction, access, self._county, now, lambda version: self._visible(version, scope))
            result = work(writes)
            event = writes.finish(interaction)
            if event is not None:
                save_event(transaction, event, access.facility, now)
            return result

        try:
            return await asyncio.wrap_future(self._store.write(run))
        except HubError as error:
            outcome = REFUSED if error.reason.status < 500 else FAILED
            await self._leave(access, "E", interaction or "update", outcome=outcome)
            raise

    # -- the policy, applied

    def _current(self, key: Key, scope: Scope) -> Version:
        try:
            version = self._store.read(key)
        except Gone:
            self._newest(key, scope)
            raise
        except NotFound:
            raise unknown(key) from None
        if not self._visible(version, scope):
            raise unknown(key)
        return version

    def _newest(self, key: Key, scope: Scope) -> Version:
        """The newest version, a deletion included."""
        try:
            newest = self._store.history(key, count=1)[0]
        except NotFound:
            raise unknown(key) from None
        if not self._visible(newest, scope):
            raise unknown(key)
        return newest

    def _visible(self, version: Version, scope: Scope) -> bool:
        if scope.types is not None and version.type not in scope.types:
            return False
        if self._store.visible(version, scope):
            return True
        return bool(scope.facility) and version.type == "Patient" and not version.facility and self._owns_linked(version.id, scope)

    def _owns_linked(self, golden: str, scope: Scope) -> bool:
        """A facility sees the golden Patient of everyone it keeps a record of."""
        linked = self._store.read_many(Key("Patient", patient) for patient in self._store.patients_of(golden))
        return any(patient.facility == scope.facility for patient in linked)

    async def _search(self, access: Access, query: SearchQuery) -> SearchPage:
        scope = self.scope(access)
        if scope.types is not None and query.type not in scope.types:
            raise NotAllowed(f"the role {access.role} may not read {query.type}")
        if query.type == "Patient" and not SHOWS_GOLDEN.intersection(c.code for c in query.criteria):
            query = replace(query, hidden_tags=HIDDEN_GOLDEN)
        page = await asyncio.to_thread(lambda: self._store.search(self._for_person(query), scope))
        return replace(page, matches=self._filtered(page.matches, scope), included=self._filtered(page.included, scope))

    def _filtered(self, versions: Iterable[Version], scope: Scope) -> tuple[Version, ...]:
        return tuple(version for version in versions if self._visible(version, scope))

    def _for_person(self, query: SearchQuery) -> SearchQuery:
        """A query for a Patient is a query for the person: every linked Patient's records are asked for."""
        return replace(query, criteria=tuple(self._expanded(criterion) for criterion in query.criteria))

    def _expanded(self, criterion: Criterion) -> Criterion:
        if criterion.type != "reference" or criterion.code == "link":
            return criterion
        values: dict[CriterionValue, None] = {}
        for value in criterion.values:
            values[value] = None
            if isinstance(value, ReferenceValue) and value.type in ("", "Patient"):
                values.update((ReferenceValue(value.type, patient), None) for patient in self.person(value.id))
        return replace(criterion, values=tuple(values))

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
