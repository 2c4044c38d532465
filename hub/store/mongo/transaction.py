"""What a write may do; every change of it is in the session's open transaction."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from pymongo.client_session import ClientSession
from pymongo.errors import BulkWriteError

from hub.errors import HubError, Kind, NotFound, VersionConflict
from hub.fhir_json import load
from hub.search.query import SearchQuery
from hub.store.content import owned, stamped
from hub.store.indexer import Indexer
from hub.store.mongo import outcomes, people, shelves, versions
from hub.store.mongo.database import HISTORY, HubDatabase
from hub.store.mongo.documents import INDEX_FIELDS, Document, document_of, former_of, index_fields, place_of, version_of
from hub.store.mongo.places import Places
from hub.store.mongo.reading import Reading, of_type
from hub.store.mongo.writer import Again
from hub.store.port import EVERYTHING, Addition, Key, Outcome, Reindexed, Resource, Saved, Scope, Version

Find = Callable[[Reading, SearchQuery, int, Scope], list[Key]]
LOCKS = 1 << 16  # equal criteria share a lock; unequal ones hardly ever
DUPLICATE = 11000


class MongoTransaction:
    """The port's Transaction over one session."""

    def __init__(
        self,
        database: HubDatabase,
        session: ClientSession,
        *,
        clock: Callable[[], int],
        indexer: Indexer,
        places: Places,
        find: Find,
        node: str,
        slot: int,
        seconds: float,
    ) -> None:
        self._database = database
        self._session = session
        self._reading = Reading(database, session)
        self._clock = clock
        self._indexer = indexer
        self._places = places
        self._find = find
        self._node = node
        self._slot = slot
        self._seconds = seconds

    # -- small values
    def item(self, shelf: str, key: str) -> bytes | None:
        return shelves.read(self._reading, shelf, key)

    def put_item(self, shelf: str, key: str, value: bytes | None) -> None:
        shelves.put(self._reading, self._session, shelf, key, value)

    def items(self, shelf: str, *, prefix: str = "", after: str = "", limit: int = 1000) -> list[tuple[str, bytes]]:
        return shelves.listed(self._reading, shelf, prefix=prefix, after=after, limit=limit)

    # -- resources
    def current(self, key: Key) -> Version | None:
        return versions.current(self._reading, key)

    def save(
        self,
        resource: Resource,
        *,
        id: str,
        facility: str = "",
        method: Literal["POST", "PUT"] = "PUT",
        if_match: int | None = None,
    ) -> Saved:
        key = Key(resource["resourceType"], id)
        self._collection_of(key.type)
        found = versions.current_document(self._reading, key)
        former = version_of(key.type, found) if found else None
        _check_match(key, former, if_match)
        content = owned(resource, id=id, facility=facility)
        there = former is not None and not former.deleted
        if former and there and stamped(content, former.version, former.updated) == former.body:
            return Saved(former, created=False, changed=False)
        now = self._clock()
        number, updated = (former.version + 1, max(now, former.updated)) if former else (1, now)
        body = stamped(content, number, updated)
        patient = self._indexer.patient_of(content)
        version = Version(key.type, id, number, updated, False, body, method, facility, patient)
        place = place_of(found) if found else self._places.next(updated)
        document = document_of(version, place, index_fields(key.type, self._indexer.extract(content)))
        if former is None:
            self._database.of_type(key.type).insert_one(document, session=self._session)
        else:
            self._succeed(former, place, document)
        return Saved(version, created=not there, changed=True)

    def add(self, additions: Sequence[Addition]) -> None:
        now = self._clock()
        by_type: dict[str, list[Document]] = defaultdict(list)
        for resource, id, facility in additions:
            content = owned(resource, id=id, facility=facility)
            kind, patient = content["resourceType"], self._indexer.patient_of(content)
            version = Version(kind, id, 1, now, False, stamped(content, 1, now), "POST", facility, patient)
            index = index_fields(kind, self._indexer.extract(content))
            by_type[kind].append(document_of(version, self._places.next(now), index))
        for kind in by_type:
            self._collection_of(kind)
        for kind, documents in by_type.items():
            try:
                self._database.of_type(kind).insert_many(documents, session=self._session)
            except BulkWriteError as error:
                if any(each.get("code") == DUPLICATE for each in error.details.get("writeErrors", ())):
                    raise HubError(f"the ids of {kind} to be added are not UNIQUE", kind=Kind.CONFLICT) from None
                raise

    def delete(self, key: Key, *, if_match: int | None = None) -> Saved:
        found = versions.current_document(self._reading, key)
        if found is None:
            raise NotFound(f"{key.type}/{key.id} is not here")
        former = version_of(key.type, found)
        _check_match(key, former, if_match)
        if former.deleted:
            return Saved(former, created=False, changed=False)
        updated = max(self._clock(), former.updated)
        version = Version(*key, former.version + 1, updated, True, b"", "DELETE", former.facility, former.patient)
        self._succeed(former, place_of(found), document_of(version, place_of(found), {}))
        return Saved(version, created=False, changed=True)

    def find(self, query: SearchQuery, *, limit: int = 2, scope: Scope = EVERYTHING) -> list[Key]:
        self._serialise(query)
        return self._find(Reading(self._database, self._session, self._seconds), query, limit, scope)

    # -- the index
    def reindex(self, type: str, after: str = "", limit: int = 200) -> Reindexed:
        rows = list(
            self._reading.find(
                of_type(type), {"o": {"$gt": int(after or 0)}}, fields=("o", "body"), sort=[("o", 1)], limit=limit + 1
            )
        )
        for row in rows[:limit]:
            resource = load(row["body"])
            index = index_fields(type, self._indexer.extract(resource))
            gone = {name: "" for name in INDEX_FIELDS if name not in index}
            fields = {"p": self._indexer.patient_of(resource), **index}
            change = {"$set": fields, **({"$unset": gone} if gone else {})}
            self._database.of_type(type).update_one({"_id": row["_id"]}, change, session=self._session)
        more = len(rows) > limit
        return Reindexed(str(rows[limit - 1]["o"]) if more else None, len(rows[:limit]))

    def forget(self, type: str, code: str, limit: int = 5000) -> bool:  # noqa: ARG002
        """`reindex` writes all entries of a resource anew, so that nothing is left of a parameter that is no longer extracted."""
        return False

    # -- whose is it
    def person_of(self, patient: str) -> str:
        return people.person_of(self._reading, patient)

    def patients_of(self, person: str) -> tuple[str, ...]:
        return people.patients_of(self._reading, person)

    def assign_person(self, patient: str, person: str) -> None:
        people.assign_person(self._reading, self._session, patient, person)

    def relate(self, source: Key, relations: Iterable[tuple[str, str, int]]) -> None:
        people.relate(self._reading, self._session, source, relations)

    # -- what became of a journal record
    def outcome(self, seq: int) -> Outcome | None:
        return outcomes.read(self._reading, self._node, seq)

    def record_outcome(self, outcome: Outcome) -> None:
        outcomes.record(self._reading, self._session, self._node, self._slot, outcome)

    def stamps(self, key: Key) -> dict[str, str]:
        found = self._reading.one("stamp", {"_id": f"{key.type}/{key.id}"})
        return dict(found["stamps"]) if found else {}

    def set_stamps(self, key: Key, stamps: Mapping[str, str]) -> None:
        """As pairs: an element's part may be named by a URL, and a field's name must hold no dot."""
        document = {"stamps": [list(pair) for pair in stamps.items()]}
        stamp = self._database.beside("stamp")
        stamp.replace_one({"_id": f"{key.type}/{key.id}"}, document, upsert=True, session=self._session)

    # -- documents
    def _succeed(self, former: Version, place: int, document: Document) -> None:
        """Keep what was current as history. Of two that replace the same version one finds it gone, and is done again."""
        history = self._database.beside(HISTORY)
        history.insert_one(former_of(former, place, document["lu"]), session=self._session)
        wanted = {"_id": former.id, "v": former.version}
        replaced = self._database.of_type(former.type).replace_one(wanted, document, session=self._session)
        if not replaced.matched_count:
            raise Again("another version came meanwhile")

    def _collection_of(self, resource_type: str) -> None:
        """It cannot be made inside this transaction, which would not see it either."""
        if not self._database.has_type(resource_type):
            raise Again("a collection is missing", missing=resource_type)

    def _serialise(self, query: SearchQuery) -> None:
        """Whoever asks the same meanwhile writes the same document: one of the two is done again, and sees what the other did."""
        asked = repr((query.type, query.criteria, query.hidden_tags))
        lock = int.from_bytes(hashlib.sha256(asked.encode()).digest()[:8]) % LOCKS
        self._database.beside("lock").update_one({"_id": lock}, {"$inc": {"n": 1}}, upsert=True, session=self._session)


def _check_match(key: Key, former: Version | None, if_match: int | None) -> None:
    if if_match is not None and (former is None or former.version != if_match):
        raise VersionConflict(f"the current version of {key.type}/{key.id} is not {if_match}")
