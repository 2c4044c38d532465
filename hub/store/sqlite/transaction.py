"""What a write may do; every change of it is in the writer's open savepoint."""

# ruff: noqa: S608 - every text joined into SQL here is our own; values are bound
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import apsw
import msgspec

from hub.errors import NotFound
from hub.fhir_json import load
from hub.search.query import SearchQuery
from hub.store.content import Draft, check_match, deletion, drafted, made_ready, owned, stamped
from hub.store.indexer import Indexer
from hub.store.port import EVERYTHING, Addition, Key, Method, Outcome, Prepared, Reindexed, Resource, Saved, Scope, Version, Writing
from hub.store.sqlite import items, outcomes, people, prepared, rows, versions
from hub.store.sqlite.additions import Additions
from hub.store.sqlite.names import NewNames
from hub.store.sqlite.reindex import forget, reindex_some
from hub.store.sqlite.rows import Row

Find = Callable[[apsw.Connection, SearchQuery, int, Scope], list[Key]]

_HEAD = """SELECT rid, version, updated, deleted, method, facility, patient FROM resource
WHERE type = (SELECT id FROM word WHERE text = ?) AND id = ?"""


class Head(NamedTuple):
    """The row of a resource, without its body."""

    rid: int
    version: int
    updated: int
    deleted: int
    method: Method
    facility: str
    patient: str


class SqliteTransaction:
    """The port's Transaction over the writing connection."""

    def __init__(
        self,
        connection: apsw.Connection,
        *,
        clock: Callable[[], int],
        indexer: Indexer,
        names: NewNames,
        additions: Additions,
        find: Find,
    ) -> None:
        self._connection = connection
        self._additions = additions
        self._clock = clock
        self._indexer = indexer
        self._names = names
        self._find = find

    def item(self, shelf: str, key: str) -> bytes | None:
        return items.read(self._connection, shelf, key)

    def put_item(self, shelf: str, key: str, value: bytes | None) -> None:
        items.put(self._connection, shelf, key, value)

    def items(self, shelf: str, *, prefix: str = "", after: str = "", limit: int = 1000) -> list[tuple[str, bytes]]:
        return items.listed(self._connection, shelf, prefix=prefix, after=after, limit=limit)

    # -- resources
    def current(self, key: Key) -> Version | None:
        self._additions.settle((key.type,))
        return versions.current(self._connection, key)

    def save(
        self,
        resource: Resource,
        *,
        id: str,
        facility: str = "",
        method: Writing = "PUT",
        if_match: int | None = None,
    ) -> Saved:
        key = Key(resource["resourceType"], id)
        head = self._head(key)
        check_match(key, head.version if head else None, if_match)
        content = owned(resource, id=id, facility=facility)
        draft = Draft(key, method, facility, partial(stamped, content), lambda: self._indexer.compartment_of(content))
        if head is None:
            return self._begin(draft.first(self._clock()), self._rows(content))
        return self._succeed(head, draft, lambda: self._rows(content))

    def _begin(self, version: Version, index: set[Row]) -> Saved:
        rid = self._insert(version, rows.present(index))
        rows.replace(self._connection, rid, set(), index)
        self._connection.execute("INSERT INTO body VALUES (?, ?)", (rid, version.body))
        return Saved(version, created=True, changed=True)

    def _succeed(self, head: Head, draft: Draft, index: Callable[[], set[Row]]) -> Saved:
        """A further version of what is there, unless it says the same."""
        former = self._former(draft.key, head)
        version = draft.after(former, self._clock)
        if version is None:
            return Saved(former, created=False, changed=False)
        self._retire(former, head.rid)
        new = index()
        rows.replace(self._connection, head.rid, self._rows_of(former), new)
        self._set(head.rid, version, rows.present(new))
        self._connection.execute("INSERT OR REPLACE INTO body VALUES (?, ?)", (head.rid, version.body))
        return Saved(version, created=former.deleted, changed=True)

    def expect(self, keys: Iterable[Key]) -> None:
        """Each is found as quickly by itself."""

    def current_of(self, keys: Sequence[Key]) -> dict[Key, Version]:
        found = {}
        self._additions.settle(key.type for key in keys)
        for kind, ids in prepared.by_type(keys).items():
            for id, *row in self._connection.execute(prepared.NEWEST, (kind, msgspec.json.encode(ids).decode())):
                found[Key(kind, id)] = versions.version_of(Key(kind, id), tuple(row))
        return found

    def prepared(self, resource: Resource, *, id: str, facility: str = "", method: Writing = "PUT") -> Prepared:
        return made_ready(resource, id=id, facility=facility, method=method, indexer=self._indexer, prepare=prepared.prepare)

    def save_all(self, resources: Sequence[Prepared]) -> list[Saved]:
        heads: dict[Key, Head] = {}
        self._additions.settle(each.type for each in resources)
        for kind, ids in prepared.by_type(Key(each.type, each.id) for each in resources).items():
            for id, *row in self._connection.execute(prepared.HEADS, (kind, msgspec.json.encode(ids).decode())):
                heads[Key(kind, id)] = Head._make(row)
        new = [each for each in resources if (each.type, each.id) not in heads]
        made = iter(prepared.insert_new(self._connection, self._names, new, self._clock()))
        found = (heads.get(Key(each.type, each.id)) for each in resources)
        return [
            next(made) if head is None else self._succeed(head, drafted(each), partial(self._numbered, each))
            for each, head in zip(resources, found, strict=True)
        ]

    def _numbered(self, resource: Prepared) -> set[Row]:
        return prepared.as_rows(prepared.Numbering(self._connection, self._names).rows(resource.type, resource.index))

    def add(self, additions: Sequence[Addition]) -> None:
        self._additions.put(additions)

    def delete(self, key: Key, *, if_match: int | None = None) -> Saved:
        head = self._head(key)
        if head is None:
            raise NotFound(f"{key.type}/{key.id} is not here")
        check_match(key, head.version, if_match)
        former = self._former(key, head)
        if former.deleted:
            return Saved(former, created=False, changed=False)
        self._retire(former, head.rid)
        rows.replace(self._connection, head.rid, self._rows_of(former), set())
        version = deletion(former, self._clock)
        self._set(head.rid, version, "")
        self._connection.execute("DELETE FROM body WHERE rid = ?", (head.rid,))
        return Saved(version, created=False, changed=True)

    def find(self, query: SearchQuery, *, limit: int = 2, scope: Scope = EVERYTHING) -> list[Key]:
        self._additions.flush()
        return self._find(self._connection, query, limit, scope)

    # -- the index
    def reindex(self, type: str, after: str = "", limit: int = 200) -> Reindexed:
        self._additions.settle((type,))
        return reindex_some(self._connection, self._indexer, self._names, type, after, limit)

    def forget(self, type: str, code: str, limit: int = 5000) -> bool:
        self._additions.settle((type,))
        return forget(self._connection, type, code, limit)

    # -- whose is it
    def person_of(self, patient: str) -> str:
        return people.person_of(self._connection, patient)

    def patients_of(self, person: str) -> tuple[str, ...]:
        return people.patients_of(self._connection, person)

    def assign_person(self, patient: str, person: str) -> None:
        people.assign_person(self._connection, patient, person)

    def relate(self, source: Key, relations: Iterable[tuple[str, str, int]]) -> None:
        people.relate(self._connection, source, relations)

    # -- what became of a journal record
    def outcome(self, seq: int) -> Outcome | None:
        return outcomes.read(self._connection, seq)

    def record_outcome(self, outcome: Outcome) -> None:
        outcomes.record(self._connection, outcome)

    def stamps(self, key: Key) -> dict[str, str]:
        text = self._connection.execute("SELECT stamps FROM stamp WHERE type = ? AND id = ?", key).get
        return msgspec.json.decode(text, type=dict[str, str]) if text else {}

    def set_stamps(self, key: Key, stamps: Mapping[str, str]) -> None:
        row = (*key, msgspec.json.encode(dict(stamps)))
        self._connection.execute("INSERT OR REPLACE INTO stamp VALUES (?, ?, ?)", row)

    # -- rows
    def _head(self, key: Key) -> Head | None:
        self._additions.settle((key.type,))
        row = self._connection.execute(_HEAD, key).get
        return Head._make(row) if row else None

    def _former(self, key: Key, head: Head) -> Version:
        body = b"" if head.deleted else self._connection.execute("SELECT body FROM body WHERE rid = ?", (head.rid,)).get
        return Version(*key, head.version, head.updated, bool(head.deleted), body, head.method, head.facility, head.patient)

    def _rows(self, resource: Resource) -> set[Row]:
        entries = self._indexer.extract(resource)
        return rows.rows_of(self._connection, self._names, resource["resourceType"], entries)

    def _rows_of(self, former: Version) -> set[Row]:
        return set() if former.deleted else self._rows(load(former.body))

    def _insert(self, version: Version, present: str) -> int:
        row = (self._names.number(self._connection, version.type), version.id, *_state(version), present)
        self._connection.execute("INSERT INTO resource VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        return self._connection.last_insert_rowid()

    def _set(self, rid: int, version: Version, present: str) -> None:
        columns = "version = ?, updated = ?, deleted = ?, method = ?, facility = ?, patient = ?, present = ?"
        self._connection.execute(f"UPDATE resource SET {columns} WHERE rid = ?", (*_state(version), present, rid))

    def _retire(self, former: Version, rid: int) -> None:
        """Keep what was current as history."""
        row = (rid, *_state(former), former.body, self._names.number(self._connection, former.type))
        self._connection.execute("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def _state(version: Version) -> tuple[int, int, int, str, str, str]:
    """As columns of a Head, without the rid."""
    return version.version, version.updated, int(version.deleted), version.method, version.facility, version.patient
