"""What the works of one server transaction have read and changed, so that each document is asked for once and all go together.

Within a transaction a document is what its snapshot says and what the transaction made of it: it may be kept here, and its change
may wait for its neighbours. A work that fails before anything of it was sent is put aside and the others go on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.errors import BulkWriteError, DocumentTooLarge, OperationFailure

from hub.errors import HubError, Kind
from hub.store.mongo.database import HubDatabase
from hub.store.mongo.documents import Document
from hub.store.mongo.reading import Reading

Place = tuple[str, Any]  # collection and _id
Request = InsertOne[Document] | ReplaceOne[Document] | UpdateOne | DeleteOne

DUPLICATE, DOCUMENT = 11000, 10334  # the latter where the driver refuses it already
CONFLICTING = frozenset({24, 112, 246, 251, 365})  # a lock, a write, a snapshot, a transaction that is gone; no room for now
TOO_LARGE: Mapping[frozenset[int], str] = {
    frozenset({201, 10334, 17419, 17420}): "the store keeps no resource that takes 16 MB with all that it is found by, nor one that"
    " is found by 100,000 values",
    frozenset({388}): "all of this together is more than the store's server holds in its memory: send it in parts",
}


class Again(Exception):
    """Do the work anew, with a newer snapshot: somebody else was quicker, or the collection of `missing` must be made first."""

    def __init__(self, why: str, *, missing: str = "") -> None:
        super().__init__(why)
        self.missing = missing


class Change(NamedTuple):
    kind: Literal["insert", "put", "remove"]
    document: Document


class Layer:
    """Documents as they are known, and the changes that are not sent yet."""

    def __init__(self) -> None:
        self.known: dict[Place, Document | None] = {}
        self.changes: dict[str, dict[Any, Change]] = {}
        self.counts: dict[Place, tuple[Document, Counter[str]]] = {}

    def change(self, collection: str, id: Any, change: Change) -> None:
        waiting = self.changes.setdefault(collection, {})
        former = waiting.get(id)
        waiting[id] = Change("insert", change.document) if change.kind == "put" and former and former.kind == "insert" else change

    def count(self, place: Place, fixed: Document, counts: Mapping[str, int]) -> None:
        self.counts.setdefault(place, (fixed, Counter()))[1].update(counts)

    def take(self, other: Layer) -> None:
        self.known.update(other.known)
        for collection, changes in other.changes.items():
            for id, change in changes.items():
                self.change(collection, id, change)
        for place, (fixed, counts) in other.counts.items():
            self.count(place, fixed, counts)

    def requests(self) -> Iterator[tuple[str, list[Request]]]:
        """By collection; what was counted last, for there others are most likely to come into conflict."""
        for collection, changes in self.changes.items():
            yield collection, [_request(id, change) for id, change in changes.items()]
        counted: dict[str, list[Request]] = {}
        for (collection, id), (fixed, counts) in self.counts.items():
            change = {"$setOnInsert": fixed, "$inc": dict(counts)} if fixed else {"$inc": dict(counts)}
            counted.setdefault(collection, []).append(UpdateOne({"_id": id}, change, upsert=True))
        yield from counted.items()

    def sent(self) -> None:
        self.changes.clear()
        self.counts.clear()


class Workspace:
    """One server transaction; its works come one after the other."""

    def __init__(self, database: HubDatabase, session: ClientSession, slot: int, *, look_first: bool) -> None:
        """`look_first`: whether an id is taken is asked, not left to the server to refuse."""
        self.database = database
        self.session = session
        self.reading = Reading(database, session)
        self.slot = slot
        self.look_first = look_first
        self._done = Layer()  # by works that are finished
        self._now = Layer()  # by the work that runs
        self._additions: set[Place] = set()
        self.sent_early = False  # something of the work that runs: it cannot be put aside any more

    @property
    def size(self) -> int:
        """Documents waiting."""
        return sum(map(len, self._done.changes.values()))

    # -- a work's end
    def keep(self) -> None:
        self._done.take(self._now)
        self._next()

    def put_aside(self) -> None:
        self._next()

    def _next(self) -> None:
        self._now, self.sent_early = Layer(), False

    # -- reading
    def one(self, collection: str, id: Any, fields: Sequence[str] | None = None) -> Document | None:
        place = collection, id
        for layer in (self._now, self._done):
            if place in layer.known:
                return layer.known[place]
        found = self._done.known[place] = self.reading.one(collection, {"_id": id}, fields)
        return found

    def expect(self, collection: str, ids: Iterable[Any], fields: Sequence[str] | None = None) -> None:
        """They will be asked for one by one: ask for all of them now."""
        wanted = [id for id in dict.fromkeys(ids) if not self.knows(collection, id)]
        if len(wanted) > 1:
            self._done.known.update(dict.fromkeys((collection, id) for id in wanted))
            for row in self.reading.find(collection, {"_id": {"$in": wanted}}, fields=fields):
                self._done.known[collection, row["_id"]] = row

    def knows(self, collection: str, id: Any) -> bool:
        return (collection, id) in self._now.known or (collection, id) in self._done.known

    # -- changing
    def insert(self, collection: str, document: Document, *, addition: bool = False) -> None:
        """An `addition` whose id is taken is a mistake of the work's; any other is what somebody else did meanwhile."""
        place = collection, document["_id"]
        if addition:
            if self._now.known.get(place) or self._done.known.get(place):
                raise _taken(collection)
            self._additions.add(place)
        self._now.change(*place, Change("insert", document))
        self._now.known[place] = document

    def put(self, collection: str, document: Document) -> None:
        """Insert or replace."""
        place = collection, document["_id"]
        self._now.change(*place, Change("put", document))
        self._now.known[place] = document

    def remove(self, collection: str, id: Any) -> None:
        self._now.change(collection, id, Change("remove", {}))
        self._now.known[collection, id] = None

    def count(self, collection: str, id: Any, fixed: Document, counts: Mapping[str, int]) -> None:
        """Add to the counts of a document that begins with `fixed`."""
        self._now.count((collection, id), fixed, counts)

    def at_once(self) -> ClientSession:
        """For a change that does not wait: what waits goes first."""
        self.send()
        self.sent_early = True
        return self.session

    def send(self) -> None:
        """All that waits: from now on the server's own queries see it."""
        for layer in (self._done, self._now):
            if layer is self._now and (layer.changes or layer.counts):
                self.sent_early = True
            for collection, requests in layer.requests():
                self._write(collection, requests)
            layer.sent()

    def _write(self, collection: str, requests: list[Request]) -> None:
        try:
            self.database.beside(collection).bulk_write(requests, ordered=False, session=self.session)
        except BulkWriteError as error:
            refused = error.details.get("writeErrors", ())
            codes = {int(each["code"]) for each in refused}
            if any(each["code"] == DUPLICATE and (collection, each["op"].get("_id")) in self._additions for each in refused):
                raise _taken(collection) from None
            if found := _refused(codes):
                raise found from None
            if not codes.isdisjoint({DUPLICATE, *CONFLICTING}):
                raise Again("another came first") from error
            raise
        except (DocumentTooLarge, OperationFailure) as error:
            code = error.code if isinstance(error, OperationFailure) else DOCUMENT
            if found := _refused({code or 0}):
                raise found from None
            raise


def _refused(codes: set[int]) -> HubError | None:
    """What no second try would mend."""
    told = next((text for known, text in TOO_LARGE.items() if not codes.isdisjoint(known)), None)
    return HubError(told, kind=Kind.TOO_LONG) if told else None


def _taken(collection: str) -> HubError:
    return HubError(f"the ids of {collection} to be added are not UNIQUE", kind=Kind.CONFLICT)


def _request(id: Any, change: Change) -> Request:
    match change.kind:
        case "insert":
            return InsertOne(change.document)
        case "put":
            return ReplaceOne({"_id": id}, change.document, upsert=True)
        case "remove":
            return DeleteOne({"_id": id})
