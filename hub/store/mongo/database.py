"""The database: one collection for each resource type, one for all former versions, a few beside them.

Collections come into being when their type is first written: a hundred and fifty of them with their indexes would make every
start slow. They are made outside of transactions, whose snapshots would not see them.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping
from typing import Any

from pymongo import ASCENDING, IndexModel, MongoClient, ReadPreference, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import CollectionInvalid, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from hub.errors import Invalid, Unavailable
from hub.store.mongo.documents import INDEXES, Document
from hub.store.mongo.reach import Reach

PREFIX = "r."  # of a type's collection: "r.Patient"
HISTORY = "history"
MAJORITY = WriteConcern(w="majority", j=True)
TAKEN = 1 << 10  # processes that may be told apart by their number
COMPRESSED = {"wiredTiger": {"configString": "block_compressor=zstd"}}
EXISTS = 48
LAYOUT = 1  # of collections and documents (hub.store.mongo.documents)

BESIDE: dict[str, tuple[IndexModel, ...]] = {
    HISTORY: (IndexModel([("T", ASCENDING), ("lu", ASCENDING), ("o", ASCENDING), ("v", ASCENDING)], name="changed"),),
    "item": (),
    "lock": (),
    "person": (IndexModel([("g", ASCENDING)], name="patients"),),
    "relation": (
        IndexModel([("f", ASCENDING), ("p", ASCENDING), ("until", ASCENDING)], name="treats"),
        IndexModel([("src", ASCENDING)], name="proof"),
    ),
    "stamp": (),
    "outcome": (
        IndexModel([("n", ASCENDING), ("state", ASCENDING), ("seq", ASCENDING)], name="state"),
        IndexModel([("n", ASCENDING), ("source", ASCENDING), ("state", ASCENDING), ("seq", ASCENDING)], name="source"),
    ),
    "tally": (IndexModel([("n", ASCENDING)], name="node"),),
    "unmapped": (IndexModel([("n", ASCENDING)], name="node"),),
    "process": (),
}


class HubDatabase:
    """Safe to use from any thread."""

    def __init__(self, client: MongoClient[Document], name: str) -> None:
        self.client = client
        self.name = name
        self._database: Database[Document] = client.get_database(
            name, write_concern=MAJORITY, read_concern=ReadConcern("majority"), read_preference=ReadPreference.PRIMARY
        )
        self.reach = Reach()
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Make the collections beside the types' own, and learn what is there. Raise Unavailable for what is not ours to read."""
        self._check_layout()
        for name, indexes in BESIDE.items():
            self._make(name, indexes)
        self._known = set(self._database.list_collection_names())

    def _check_layout(self) -> None:
        """Raise Unavailable for a database that another release has filled, or fills now, in a way of its own."""
        stated = {"$setOnInsert": {"n": LAYOUT}}
        found = self._database["process"].find_one_and_update({"_id": "layout"}, stated, upsert=True, return_document=True)
        if found is not None and found["n"] != LAYOUT:
            raise Unavailable(f"the database has layout {found['n']}; this program reads layout {LAYOUT}")

    def process_number(self) -> int:
        """Different for every process that has the database open: places in the order of creation end with it."""
        counter = self._database["process"]
        counted = counter.find_one_and_update({"_id": "opened"}, {"$inc": {"n": 1}}, upsert=True, return_document=True)
        return int((counted or {}).get("n", 0)) % TAKEN

    def beside(self, name: str) -> Collection[Document]:
        return self._database[name]

    def of_type(self, resource_type: str) -> Collection[Document]:
        """To read; one that is not there holds nothing."""
        return self._database[PREFIX + resource_type]

    def has_type(self, resource_type: str) -> bool:
        return PREFIX + resource_type in self._known

    def make_type(self, resource_type: str) -> None:
        with self._lock:
            if not self.has_type(resource_type):
                self._make(PREFIX + resource_type, INDEXES)
                self._known.add(PREFIX + resource_type)

    def types(self) -> frozenset[str]:
        """Those that anybody has written."""
        names = self._database.list_collection_names(filter={"name": {"$regex": r"^r\."}})
        return frozenset(name.removeprefix(PREFIX) for name in names)

    def drop(self) -> None:
        self.client.drop_database(self._database.name)

    def _make(self, name: str, indexes: tuple[IndexModel, ...]) -> None:
        if name in self._known:
            return
        try:
            self._database.create_collection(name, check_exists=False, storageEngine=COMPRESSED)
        except CollectionInvalid:
            pass
        except OperationFailure as error:
            if error.code != EXISTS:
                raise
        if indexes:
            self._database[name].create_indexes(list(indexes))


# Retries of writes are the hub's own: it knows which work may be done again. Nothing waits without end for a server that is silent.
SETTINGS: Mapping[str, Any] = {
    "appname": "yitong",
    "retryWrites": False,
    "retryReads": True,
    "serverSelectionTimeoutMS": 10_000,  # as long as an election may take
    "connectTimeoutMS": 5_000,
    "socketTimeoutMS": 20_000,
    "tz_aware": True,
}


def connect(uri: str) -> MongoClient[Document]:
    """Raise Invalid for what is no address, or has an unknown option; never with what it says, which may be a password."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            return MongoClient(uri, **SETTINGS)
    except (PyMongoError, ValueError, UserWarning) as error:
        raise Invalid(f"the store's address, or an option in it, cannot be used: {type(error).__name__}") from None
