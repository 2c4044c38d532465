"""What a write may do; its changes wait in the workspace of one server transaction."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from pymongo import UpdateOne

from hub.errors import NotFound
from hub.fhir_json import load
from hub.search.query import SearchQuery
from hub.store.content import Draft, check_match, deletion, drafted, made_ready, owned, stamped
from hub.store.indexer import Indexer
from hub.store.mongo import outcomes, people, shelves
from hub.store.mongo.database import HISTORY
from hub.store.mongo.documents import INDEX_FIELDS, Document, body_of, document_of, former_of, index_fields, place_of, version_of
from hub.store.mongo.places import Places
from hub.store.mongo.reading import Reading, of_type
from hub.store.mongo.versions import WHOLE
from hub.store.mongo.workspace import Again, Workspace
from hub.store.port import EVERYTHING, Addition, Key, Outcome, Prepared, Reindexed, Resource, Saved, Scope, Version, Writing

Find = Callable[[Reading, SearchQuery, int, Scope], list[Key]]
STAMPS = "stamp"
LOCKS = 1 << 16  # equal criteria share a lock; unequal ones hardly ever


class MongoTransaction:
    """The port's Transaction of one work in a workspace."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        clock: Callable[[], int],
        indexer: Indexer,
        places: Places,
        find: Find,
        node: str,
        seconds: float,
    ) -> None:
        self._workspace = workspace
        self._database = workspace.database
        self._reading = workspace.reading
        self._clock = clock
        self._indexer = indexer
        self._places = places
        self._find = find
        self._node = node
        self._seconds = seconds

    # -- small values
    def item(self, shelf: str, key: str) -> bytes | None:
        return shelves.value_of(self._workspace.one(*shelves.place(shelf, key)))

    def put_item(self, shelf: str, key: str, value: bytes | None) -> None:
        shelves.put(self._workspace, shelf, key, value)

    def items(self, shelf: str, *, prefix: str = "", after: str = "", limit: int = 1000) -> list[tuple[str, bytes]]:
        self._workspace.send()
        return shelves.listed(self._reading, shelf, prefix=prefix, after=after, limit=limit)

    # -- resources
    def expect(self, keys: Iterable[Key]) -> None:
        there = self._look_up(keys)
        self._workspace.expect(STAMPS, map(_stamps_id, there))

    def _look_up(self, keys: Iterable[Key]) -> list[Key]:
        """All at once; those that ever were."""
        asked = list(dict.fromkeys(keys))
        by_type: dict[str, list[str]] = defaultdict(list)
        for key in asked:
            by_type[key.type].append(key.id)
        for kind, ids in by_type.items():
            self._workspace.expect(of_type(kind), ids, WHOLE)
        return [key for key in asked if self._head(key) is not None]

    def current(self, key: Key) -> Version | None:
        found = self._head(key)
        return version_of(key.type, found) if found else None

    def _head(self, key: Key) -> Document | None:
        return self._workspace.one(of_type(key.type), key.id, WHOLE)

    def _head_of_saved(self, key: Key, method: str) -> Document | None:
        """An id that the hub has just made is not there, unless the server says so when it is inserted."""
        new = method == "POST" and not self._workspace.look_first and not self._workspace.knows(of_type(key.type), key.id)
        return None if new else self._head(key)

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
        self._collection_of(key.type)
        found = self._head_of_saved(key, method)
        check_match(key, found["v"] if found else None, if_match)
        content = owned(resource, id=id, facility=facility)
        return self._succeed(found, self._draft(key, content, facility, method), lambda: self._index(content))

    def _draft(self, key: Key, content: Resource, facility: str, method: Writing) -> Draft:
        return Draft(key, method, facility, partial(stamped, content), lambda: self._indexer.compartment_of(content))

    def _index(self, content: Resource) -> Document:
        return index_fields(content["resourceType"], self._indexer.extract(content))

    def _succeed(self, found: Document | None, draft: Draft, index: Callable[[], Document]) -> Saved:
        former = version_of(draft.key.type, found) if found else None
        version = draft.after(former, self._clock)
        if version is None:
            assert former is not None  # noqa: S101 - it says the same
            return Saved(former, created=False, changed=False)
        self._put(version, found, index())
        return Saved(version, created=former is None or former.deleted, changed=True)

    def current_of(self, keys: Sequence[Key]) -> dict[Key, Version]:
        self._look_up(keys)
        return {key: version for key in keys if (version := self.current(key)) is not None}

    def prepared(self, resource: Resource, *, id: str, facility: str = "", method: Writing = "PUT") -> Prepared:
        return made_ready(resource, id=id, facility=facility, method=method, indexer=self._indexer, prepare=index_fields)

    def save_all(self, resources: Sequence[Prepared]) -> list[Saved]:
        for kind in {each.type for each in resources}:
            self._collection_of(kind)
        self._look_up([Key(each.type, each.id) for each in resources])
        return [self._save_prepared(each) for each in resources]

    def _save_prepared(self, resource: Prepared) -> Saved:
        draft = drafted(resource)
        return self._succeed(self._head(draft.key), draft, lambda: resource.index)

    def add(self, additions: Sequence[Addition]) -> None:
        now = self._clock()
        for kind in {addition.resource["resourceType"] for addition in additions}:
            self._collection_of(kind)
        for resource, id, facility in additions:
            content = owned(resource, id=id, facility=facility)
            version = self._draft(Key(content["resourceType"], id), content, facility, "POST").first(now)
            document = document_of(version, self._places.next(now), self._index(content))
            self._workspace.insert(of_type(version.type), document, addition=True)

    def delete(self, key: Key, *, if_match: int | None = None) -> Saved:
        found = self._head(key)
        if found is None:
            raise NotFound(f"{key.type}/{key.id} is not here")
        former = version_of(key.type, found)
        check_match(key, former.version, if_match)
        if former.deleted:
            return Saved(former, created=False, changed=False)
        version = deletion(former, self._clock)
        self._put(version, found, {})
        return Saved(version, created=False, changed=True)

    def find(self, query: SearchQuery, *, limit: int = 2, scope: Scope = EVERYTHING) -> list[Key]:
        self._serialise(query)
        self._workspace.send()
        return self._find(Reading(self._database, self._workspace.session, self._seconds), query, limit, scope)

    # -- the index
    def reindex(self, type: str, after: str = "", limit: int = 200) -> Reindexed:
        collection = self._database.of_type(type)
        session = self._workspace.at_once()
        rows = list(
            self._reading.find(
                of_type(type), {"o": {"$gt": int(after or 0)}}, fields=("o", "body"), sort=[("o", 1)], limit=limit + 1
            )
        )
        if changes := [UpdateOne({"_id": row["_id"]}, self._entries_anew(body_of(row))) for row in rows[:limit]]:
            collection.bulk_write(changes, ordered=False, session=session)
        more = len(rows) > limit
        return Reindexed(str(rows[limit - 1]["o"]) if more else None, len(rows[:limit]))

    def _entries_anew(self, body: bytes) -> Document:
        resource = load(body)
        index = self._index(resource)
        gone = {name: "" for name in INDEX_FIELDS if name not in index}
        fields = {"p": self._indexer.compartment_of(resource), **index}
        return {"$set": fields, **({"$unset": gone} if gone else {})}

    def forget(self, type: str, code: str, limit: int = 5000) -> bool:  # noqa: ARG002
        """`reindex` writes all entries of a resource anew, so that nothing is left of a parameter that is no longer extracted."""
        return False

    # -- whose is it
    def person_of(self, patient: str) -> str:
        return people.person_of(self._reading, patient)

    def patients_of(self, person: str) -> tuple[str, ...]:
        return people.patients_of(self._reading, person)

    def assign_person(self, patient: str, person: str) -> None:
        people.assign_person(self._reading, self._workspace.at_once(), patient, person)

    def relate(self, source: Key, relations: Iterable[tuple[str, str, int]]) -> None:
        people.relate(self._reading, self._workspace.at_once(), source, relations)

    # -- what became of a journal record
    def outcome(self, seq: int) -> Outcome | None:
        return outcomes.former(self._workspace, self._node, seq)

    def record_outcome(self, outcome: Outcome) -> None:
        outcomes.record(self._workspace, self._node, outcome)

    def stamps(self, key: Key) -> dict[str, str]:
        found = self._workspace.one(STAMPS, _stamps_id(key))
        return dict(found["stamps"]) if found else {}

    def set_stamps(self, key: Key, stamps: Mapping[str, str]) -> None:
        """As pairs: an element's part may be named by a URL, and a field's name must hold no dot."""
        self._workspace.put(STAMPS, {"_id": _stamps_id(key), "stamps": [list(pair) for pair in stamps.items()]})

    # -- documents
    def _put(self, version: Version, found: Document | None, index: Document) -> None:
        """As the current version; what was current stays as history. Of two that replace the same version one is done again."""
        place = place_of(found) if found else self._places.next(version.updated)
        document = document_of(version, place, index)
        if found is None:
            self._workspace.insert(of_type(version.type), document)
            return
        self._workspace.insert(HISTORY, former_of(version_of(version.type, found), place, version.updated))
        self._workspace.put(of_type(version.type), document)

    def _collection_of(self, resource_type: str) -> None:
        """It cannot be made inside this transaction, which would not see it either."""
        if not self._database.has_type(resource_type):
            raise Again("a collection is missing", missing=resource_type)

    def _serialise(self, query: SearchQuery) -> None:
        """Whoever asks the same meanwhile writes the same document: one of the two is done again, and sees what the other did."""
        asked = repr((query.type, query.criteria, query.hidden_tags))
        lock = int.from_bytes(hashlib.sha256(asked.encode()).digest()[:8]) % LOCKS
        self._workspace.count("lock", lock, {}, {"n": 1})


def _stamps_id(key: Key) -> str:
    return f"{key.type}/{key.id}"
