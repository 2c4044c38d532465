"""Another hub's process on a store: does one kind of work, told by its arguments, when it is told to go.

python -m tests.hub.store.mongo_worker ADDRESS DATABASE WORK NAME COUNT
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

from hub.errors import VersionConflict
from hub.search.query import Criterion, SearchQuery, TokenValue
from hub.store.lease import Lease
from hub.store.mongo import MongoStore
from hub.store.port import Key, ResourceStore, Transaction

ASKED = SearchQuery("Patient", (Criterion("identifier", "token", (TokenValue("urn:t", "same"),)),))


def create(store: ResourceStore, name: str, count: int) -> list[str]:
    """Conditional creates of one patient, all at once; the ids they ended with."""
    found: list[str] = []

    def one(number: int) -> None:
        def work(transaction: Transaction) -> str:
            there = transaction.find(ASKED)
            if there:
                return there[0].id
            patient = {"resourceType": "Patient", "identifier": [{"system": "urn:t", "value": "same"}]}
            return transaction.save(patient, id=f"{name}-{number}", method="POST").version.id

        found.append(store.write(work).result(60))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def update(store: ResourceStore, name: str, count: int) -> list[str]:
    """Updates of one resource, each a version of its own."""
    futures = []
    for number in range(count):
        resource: dict[str, Any] = {"resourceType": "Basic", "code": {"text": f"{name}-{number}"}}
        futures.append(store.write(lambda t, resource=resource: t.save(resource, id="one")))
    return [future.result(60).version.etag for future in futures]


def count_up(store: ResourceStore, name: str, count: int) -> list[str]:
    """Read, add one, write if nobody else did meanwhile: what a client does with If-Match."""
    done = 0
    while done < count:
        current = store.read(Key("Basic", "counter"))
        number = int(json.loads(current.body)["code"]["text"])
        resource = {"resourceType": "Basic", "code": {"text": str(number + 1)}}
        try:
            store.write(lambda t, c=current, r=resource: t.save(r, id="counter", if_match=c.version)).result(60)
            done += 1
        except VersionConflict:
            continue
    return [name]


def hold(store: ResourceStore, name: str, count: int) -> list[str]:
    """A lease, until this process is killed."""
    assert Lease(store, "thing", seconds=6).acquire()
    print("held", flush=True)
    threading.Event().wait()
    return []


WORK = {"create": create, "update": update, "count_up": count_up, "hold": hold}


def main() -> None:
    address, database, work, name, count = sys.argv[1:]
    store = MongoStore(address, database, allow_unsafe=True)
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(WORK[work](store, name, int(count))), flush=True)
    store.close()


if __name__ == "__main__":
    main()
