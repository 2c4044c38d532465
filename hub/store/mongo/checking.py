"""Whether a database says the same everywhere: what is stored is searchable, every version and every index is there.

Each resource looked at is extracted again and compared with the entries in its document. Hubs may go on writing: a document is read
whole, and former versions are never removed. Findings name resources and what is wrong, never values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hub.fhir_json import load
from hub.store.indexer import Indexer
from hub.store.mongo.database import BESIDE, HISTORY, PREFIX, HubDatabase
from hub.store.mongo.documents import INDEX_FIELDS, INDEXES, Document, body_of, history_id, index_fields
from hub.store.mongo.reading import troubles
from hub.store.port import Key

CHUNK = 500
MOST = 100  # findings told
FIELDS = {"t": "tokens", "u": "tokens", "s": "strings", "e": "strings", "d": "dates", "n": "numbers", "k": "parameters"}
Progress = Callable[[int, int], None]  # done, of how many


def check_indexes(database: HubDatabase) -> list[str]:
    """Those of the database's own indexes that are missing, without which searches are slow."""
    with troubles():
        wanted = {**BESIDE, **{PREFIX + kind: INDEXES for kind in database.types()}}
        return [
            f"{name} has no index {model.document['name']}"
            for name, models in wanted.items()
            for model in models
            if model.document["name"] not in database.beside(name).index_information()
        ]


def check_resources(database: HubDatabase, indexer: Indexer, *, sample: int | None, progress: Progress) -> tuple[int, list[str]]:
    """How many were looked at, and what was wrong. `sample` None: all of them; else about so many, of every type some."""
    looked, found = 0, list[str]()
    with troubles():
        counts = {kind: database.of_type(kind).estimated_document_count() for kind in database.types()}
        total = sum(counts.values())
        for kind, count in counts.items():
            some = None if sample is None or sample >= total else -(-sample * count // total)
            for document in _documents(database, kind, some):
                found += [f"{kind}/{document['_id']}: {what}" for what in _wrong(database, indexer, kind, document)]
                looked += 1
                if looked % CHUNK == 0:
                    progress(looked, total if sample is None else min(sample, total))
                if len(found) > MOST:
                    return looked, [*found[:MOST], "… and more: $reindex builds the index anew"]
    return looked, found


def _documents(database: HubDatabase, kind: str, some: int | None) -> Iterator[Document]:
    collection = database.of_type(kind)
    if some is not None:
        yield from collection.aggregate([{"$sample": {"size": max(some, 1)}}])
        return
    last = ""
    while chunk := list(collection.find({"_id": {"$gt": last}}, sort=[("_id", 1)], limit=CHUNK)):
        yield from chunk
        last = chunk[-1]["_id"]


def _wrong(database: HubDatabase, indexer: Indexer, kind: str, document: Document) -> Iterator[str]:
    key, version = Key(kind, document["_id"]), int(document["v"])
    index: Document = {}
    if document["m"] != "DELETE":
        resource = load(body_of(document))
        index = index_fields(kind, indexer.extract(resource))
        if resource["meta"].get("versionId") != str(version):
            yield "its content is of another version"
        if document["p"] != indexer.compartment_of(resource):
            yield "its patient is not as its content says"
    differing = dict.fromkeys(FIELDS.get(name, "main date") for name in INDEX_FIELDS if document.get(name) != index.get(name))
    if differing:
        yield f"its index of {', '.join(differing)} is not as its content says"
    if version > 1:
        former = {"_id": {"$gte": history_id(key, 1), "$lt": history_id(key, version)}}
        if database.beside(HISTORY).count_documents(former) != version - 1:
            yield "it lacks a former version"
