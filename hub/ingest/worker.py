"""The process that maps: started by `MapperPool`, ended with it or with the hub."""

from __future__ import annotations

import os
import resource
import signal
import sys
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

from hub.ingest.mapping import attempt
from hub.orphans import end_with_parent
from hub.store.blobs import BlobStore
from mappers.base import MappingContext
from profiles.validation import validate

USUAL = ("Patient", "Encounter", "ServiceRequest", "Specimen", "Observation", "DiagnosticReport")


def serve(connection: Connection) -> None:
    """The worker: contexts once, then lists of entries; an answer an entry. Ends when the hub does."""
    end_with_parent()
    with suppress(EOFError, ConnectionError, KeyboardInterrupt):
        contexts, folder, memory, modules = connection.recv()
        for module in modules:
            import_module(module)
        _limit_memory(memory)
        blobs = BlobStore(folder, tidy=False)
        connection.send("ready")
        for kind in USUAL:  # the first record of a kind would wait for its rules to be read
            validate({"resourceType": kind})
        usual = MappingContext()  # one and the same: what is learnt of a sender is kept by its context
        while True:
            for entry in connection.recv():
                connection.send(attempt(entry, contexts.get(entry.record.source, usual), blobs))


def _limit_memory(more: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    if pages:
        limit = pages * os.sysconf("SC_PAGE_SIZE") + more
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(Connection(int(sys.argv[1])))
