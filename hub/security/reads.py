"""One caller's reads: the policy narrows every query and is applied again to what comes out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import replace
from typing import Any, Protocol

from hub import fhir_json
from hub.errors import Gone, NotAllowed, NotFound
from hub.search.beside import Beside, page_of
from hub.search.canonicals import with_canonicals
from hub.search.query import (
    AllOf,
    Condition,
    Criterion,
    CriterionValue,
    ReferenceValue,
    SearchQuery,
    Sort,
    leaves,
    rewritten,
    types_read,
)
from hub.search.resolve import Concepts, Resolver, asks
from hub.store.port import EVERYTHING, HistoryPage, Key, ResourceStore, Scope, SearchPage, Version
from profiles.names import GOLDEN, HUB_TAG

HIDDEN_GOLDEN = ((HUB_TAG, GOLDEN),)
SHOWS_GOLDEN = frozenset({"_id", "identifier", "link", "_tag"})
"""Criteria that ask for particular Patients; without one of them a list shows the facilities' Patients only."""
REFERRED, REFERRING = 500, 1000  # how many are asked for, and answered, at a time
BRIEF_COUNT, BRIEF_CRITERIA, BRIEF_VALUES = 50, 10, 10  # what the event loop is given to search


_id = re.compile(r"[A-Za-z0-9\-.]{1,64}").fullmatch


def _long(criterion: Criterion) -> bool:
    """It may stand for many values, or has many."""
    return asks(criterion) or len(criterion.values) > BRIEF_VALUES


def unknown(key: Key) -> NotFound:
    """One answer for what is not yours and what never was."""
    return NotFound(f"no {key.type} with this id")


class Definitions(Protocol):
    """What comes with the hub: hub.definitions."""

    @property
    def types(self) -> frozenset[str]: ...

    def at_hand(self, type: str) -> bool:
        """To look at those of a type takes a moment only."""

    def read(self, key: Key) -> Version | None: ...

    def matching(self, query: SearchQuery) -> Sequence[Beside]: ...


class Reads:
    """Remembers whose records it gave out, for the audit; and who was asked for in vain."""

    def __init__(
        self,
        store: ResourceStore,
        scope: Scope,
        *,
        before_audit: Callable[[], None] = lambda: None,
        concepts: Concepts | None = None,
        definitions: Definitions | None = None,
    ) -> None:
        """`before_audit` is called before AuditEvents are looked at: some may still be on their way to the store.

        `concepts` is the terminology that :in, :not-in, :above and :below of codes ask; without one they are refused.
        `definitions`: those that come with the hub, read and searched beside the stored ones.
        """
        self._store = store
        self.scope = scope
        self._before_audit = before_audit
        self.concepts = concepts
        self._definitions = definitions
        self.patients: dict[str, None] = {}
        self.sought: dict[str, None] = {}  # whose records were asked for, and not given

    def read(self, key: Key) -> Version:
        """Raise NotFound for unknown and foreign alike, Gone for one's own that was deleted."""
        self._settle({key.type})
        try:
            version = self._store.read(key)
        except Gone:
            self.newest(key)
            raise
        except NotFound:
            return self._shipped(key)
        return self.given(key, version)

    def shipped(self, key: Key) -> bool:
        """A definition of this id comes with the hub."""
        return self._definitions is not None and self._definitions.read(key) is not None

    def _shipped(self, key: Key) -> Version:
        """Raise NotFound for what is no definition that comes with the hub, and for a type that this role may not read."""
        version = self._definitions.read(key) if self._definitions is not None else None
        if version is None:
            raise unknown(key)
        return self.given(key, version)

    def told(self, version: Version) -> bool:
        """Whether it may be seen is told by itself; else the store must be asked."""
        return self.scope.shows(version.type, version.facility, version.patient) is not None

    def newest(self, key: Key) -> Version:
        """The newest version, a deletion included."""
        self._settle({key.type})
        try:
            version = self._store.history(key, count=1)[0]
        except NotFound:
            return self._shipped(key)
        return self.given(key, version)

    def vread(self, key: Key, number: int) -> Version:
        """One version: visible if it and the newest one are."""
        newest = self.newest(key)
        if newest.version == number:
            return newest
        try:
            version = self._store.vread(key, number)
        except NotFound:
            raise unknown(key) from None
        return self.given(key, version)

    def history(self, key: Key, *, count: int, before: int | None = None) -> list[Version]:
        self.newest(key)
        return self._filtered(self._store.history(key, count=count, before=before))

    def changes(
        self,
        *,
        type: str = "",
        id: str = "",
        count: int,
        since: int | None = None,
        at: tuple[int, int] | None = None,
        after: str | None = None,
    ) -> HistoryPage:
        """History of one resource, a type or everything. Raise NotFound for one unknown or foreign, NotAllowed for a type."""
        if id:
            newest = self.newest(key := Key(type, id))
            if self._definitions is not None and newest is self._definitions.read(key):
                return HistoryPage((newest,), total=1)
        elif type and self.scope.types is not None and type not in self.scope.types:
            raise NotAllowed(f"this role may not read {type}")
        self._settle({type})
        page = self._store.changes(self.scope, type=type, id=id, count=count, since=since, at=at, after=after)
        return replace(page, versions=tuple(self._filtered(page.versions)))

    def read_many(self, keys: Sequence[Key]) -> list[Version]:
        """Those that exist and are visible, in the order asked."""
        self._settle({key.type for key in keys})
        return self._filtered(self._store.read_many(keys))

    def seen(self, keys: Sequence[Key]) -> list[Version]:
        """The same, to be looked at only: what is given out of them passes `given`."""
        self._settle({key.type for key in keys})
        return self._shown(self._store.read_many(keys))

    def search(self, query: SearchQuery) -> SearchPage:
        """Raise NotAllowed for a type that this role may not read."""
        page = self._searched(query, self._store.search, self._definitions)
        assert page is not None  # noqa: S101 - the store answers or raises
        return with_canonicals(query, page, self._beside)

    def stored(self, query: SearchQuery) -> SearchPage:
        """The same of what was written alone, without the definitions that come with the hub."""
        page = self._searched(query, self._store.search, None)
        assert page is not None  # noqa: S101 - the store answers or raises
        return with_canonicals(query, page, self._beside)

    def written(self, types: Set[str]) -> frozenset[str]:
        """Of these types those of which anything was ever written, or comes with the hub: the others hold no answer."""
        self._settle(types)
        return (self._store.types() | (self._definitions.types if self._definitions is not None else frozenset())) & types

    def search_briefly(self, query: SearchQuery) -> SearchPage | None:
        """The same where it takes a moment only, so that the event loop can do it; None: it takes `search`.

        Not tried is what may wait for others (a server, AuditEvents on their way) or read without end (lists, value sets,
        includes).
        """
        if self._store.shared:
            return None
        plain = not query.includes and query.count <= BRIEF_COUNT and len(query.criteria) <= BRIEF_CRITERIA
        if not plain or any(not isinstance(each, Criterion) or _long(each) for each in query.criteria):
            return None
        if "AuditEvent" in types_read(query) or (self._definitions is not None and not self._definitions.at_hand(query.type)):
            return None
        return self._searched(query, self._store.search_briefly, self._definitions)

    def _searched(
        self, query: SearchQuery, search: Callable[[SearchQuery, Scope], SearchPage | None], definitions: Definitions | None
    ) -> SearchPage | None:
        if self.scope.types is not None and query.type not in self.scope.types:
            raise NotAllowed(f"this role may not read {query.type}")
        query = self.resolved(query)
        asked = {criterion.code.partition(":")[0] for criterion in leaves(AllOf(query.criteria))}
        if query.type == "Patient" and not SHOWS_GOLDEN.intersection(asked):
            query = replace(query, hidden_tags=HIDDEN_GOLDEN)
        self._settle(types_read(query))
        with self._store.moment():
            wanted, beside = self._for_person(query), self._matching(definitions, query)
            page = page_of(wanted, lambda part: search(part, self.scope), beside) if beside else search(wanted, self.scope)
            if page is None:
                return None
            return replace(page, matches=tuple(self._filtered(page.matches)), included=tuple(self._filtered(page.included)))

    def _matching(self, definitions: Definitions | None, query: SearchQuery) -> list[Beside]:
        """Those that fulfil the query; one that a stored resource of its id hides is left out."""
        found = definitions.matching(query) if definitions is not None else ()
        hidden = {version.id for version in self._store.read_many([Key(each.version.type, each.version.id) for each in found])}
        return [each for each in found if each.version.id not in hidden]

    # -- what a query stands for
    def resolved(self, query: SearchQuery) -> SearchQuery:
        """With its lists, value sets and hierarchies read as the caller may see them. Raise NotFound, Invalid, TooCostly."""
        return Resolver(self.concepts, self).resolved(query)

    def resource(self, type: str, id: str) -> dict[str, Any]:
        resource: dict[str, Any] = fhir_json.load(self.read(Key(type, id)).body)
        return resource

    def matching(self, type: str, conditions: Sequence[Condition], limit: int) -> list[dict[str, Any]]:
        """Those of `type` that fulfil all, as this caller may see them; one more than `limit` at most."""
        found = self._beside(SearchQuery(type, tuple(conditions), count=limit + (limit > 1)))
        return [fhir_json.load(version.body) for version in found]

    def _beside(self, query: SearchQuery) -> tuple[Version, ...]:
        """Matches of a search that another one makes; none of a type that this role may not read."""
        if self.scope.types is not None and query.type not in self.scope.types:
            return ()
        return self.search(query).matches

    def referring(self, type: str, code: str, ids: Sequence[str], limit: int) -> list[str]:
        """Ids of those of `type` that refer by `code` to one of `ids`, of their own type; at most a page beyond `limit`."""
        found: list[str] = []
        for start in range(0, len(ids), REFERRED):
            values = tuple(ReferenceValue(type, each) for each in ids[start : start + REFERRED])
            query = SearchQuery(type, (Criterion(code, "reference", values),), count=REFERRING)
            while len(found) <= limit:
                page = self._store.search(query, self.scope)
                found += [version.id for version in page.matches]
                if page.next is None:
                    break
                query = replace(query, after=page.next)
        return list(dict.fromkeys(found))

    def person(self, patient: str) -> tuple[str, ...]:
        """All ids under which a person's records may lie: the golden Patient's first, then every linked one.

        Who does not treat the person is told of no link to another facility's Patient: the own ones stand for the person then, and
        an id that is not the caller's to see for itself alone.
        """
        ids = self._store.one_person(patient)
        if len(ids) == 1 or self.scope.everything:
            return ids
        shown = {version.id for version in self._shown(self._store.read_many(Key("Patient", id) for id in ids))}
        if ids[0] in shown:  # the golden one, whom only they see who treat the person
            return ids
        return tuple(id for id in ids if id in shown) if patient in shown else (patient,)

    def looked_at(self, patient: str, count: int) -> list[Version]:
        """The newest AuditEvents about a person, for that person and for who sees everything. Raise NotFound for anybody else's."""
        ids = self._store.one_person(patient)
        if not (self.scope.everything and self.scope.types is None) and self.scope.patient not in ids:
            raise unknown(Key("Patient", patient))
        self._before_audit()
        about = Criterion("patient", "reference", tuple(ReferenceValue("Patient", id) for id in ids))
        query = SearchQuery("AuditEvent", (about,), (Sort("date", "date", descending=True),), count=count)
        self.patients.update(dict.fromkeys(ids))
        return list(self._store.search(query, EVERYTHING).matches)

    def visible(self, version: Version) -> bool:
        return bool(self._shown([version]))

    def _shown(self, versions: Iterable[Version]) -> list[Version]:
        types = self.scope.types
        return self._store.visible([each for each in versions if types is None or each.type in types], self.scope)

    def _settle(self, types: Set[str]) -> None:
        if not types.isdisjoint(("AuditEvent", "")) and (self.scope.types is None or "AuditEvent" in self.scope.types):
            self._before_audit()

    def given(self, key: Key, version: Version) -> Version:
        """`version` is what `read` would find. Raise NotFound for a foreign one."""
        if not self.visible(version):
            self.sought[version.patient] = None
            raise unknown(key)
        self.patients[version.patient] = None
        return version

    def _filtered(self, versions: Iterable[Version]) -> list[Version]:
        given = self._shown(versions)
        self.patients.update((version.patient, None) for version in given)
        return given

    def _for_person(self, query: SearchQuery) -> SearchQuery:
        """A query for a Patient is a query for the person: every linked Patient's records are asked for."""
        return replace(query, criteria=tuple(rewritten(condition, self._expanded) for condition in query.criteria))

    def _expanded(self, criterion: Criterion) -> Criterion:
        if criterion.type != "reference" or criterion.code == "link":
            return criterion
        values: dict[CriterionValue, None] = {}
        for value in criterion.values:
            values[value] = None
            if isinstance(value, ReferenceValue) and value.type in ("", "Patient"):
                if criterion.code in ("patient", "subject") and _id(value.id):
                    self.sought[value.id] = None
                values.update((ReferenceValue(value.type, patient), None) for patient in self.person(value.id))
        return replace(criterion, values=tuple(values))
