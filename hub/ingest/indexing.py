"""Keeps the message index up with the journal, in a process of its own that takes only what others leave of the processors.

Reading, decoding and cutting into words would otherwise take turns with the threads that acknowledge. A journal of an earlier
release, or one that came from a backup, is indexed from its beginning; a kill costs the batch under way.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

import apsw

from connectors.base import JournalUnavailable
from hub.errors import HubError
from hub.ingest.journal import Entry, Journal
from hub.ingest.message_index import MessageIndex
from hub.ingest.summary import Summary, summary_of
from hub.orphans import end_with_parent
from hub.store.blobs import BlobStore

BATCH = 200
LONGEST_BODY = 64 * 1024 * 1024  # a longer one is found by its key alone
LOOK = 0.3  # seconds between two looks for more
NICE = 19
FIRST_SECONDS = 5.0  # a hub that starts has other things to do; a search indexes the newest records itself


class IndexBuilder:
    """Brings the records behind the index's position into it."""

    def __init__(self, journal: Journal, index: MessageIndex, charsets: Mapping[str, str] | None = None) -> None:
        self._journal = journal
        self._index = index
        self._charsets = charsets or {}

    def step(self, limit: int = BATCH) -> int:
        """Index the next records; 0 if there are none."""
        entries = self._journal.after(self._index.position, limit)
        if entries:
            self._index.add([(entry, self._summary(entry)) for entry in entries])
        return len(entries)

    def _summary(self, entry: Entry) -> Summary:
        try:
            if entry.in_blobs and entry.size > LONGEST_BODY:
                return Summary(control=entry.record.key)
            loaded = self._journal.loaded(entry, verify=False)  # only helps to find it: who opens it reads checked bytes
        except (HubError, OSError):  # the blob is gone: the record is still to be found
            return Summary(control=entry.record.key)
        return summary_of(loaded.record, self._charsets.get(entry.record.source, ""))


class Indexing:
    """The process, as the hub holds it: started with the intake, ended with it; one that dies is started again."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="message-index", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._lock:
            self._stopping.set()
            if self._process is not None:
                self._process.kill()  # what is half written is rolled back
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        pause = 1.0
        self._stopping.wait(FIRST_SECONDS)
        while not self._stopping.is_set():
            with self._lock:
                if self._stopping.is_set():
                    return
                command = [sys.executable, "-m", "hub.ingest.indexing", str(self._data), str(os.getpid())]
                nowhere = subprocess.DEVNULL
                self._process = subprocess.Popen(command, stdin=nowhere, stdout=nowhere, start_new_session=True)
            self._process.wait()
            self._stopping.wait(pause)
            pause = min(pause * 2, 60.0)


def catch_up(journal: Journal, index: MessageIndex, most: int) -> None:
    """Index up to `most` records here and now, so that what has just come is found; another process may do it at the same time."""
    builder = IndexBuilder(journal, index)
    done = 0
    with suppress(apsw.BusyError, apsw.FullError):
        while done < most and (step := builder.step(min(BATCH, most - done))):
            done += step


def _stand_back() -> None:
    """Take what of the processors nobody else wants: an acknowledgement waits for none of this."""
    os.nice(NICE)
    with suppress(OSError, AttributeError):  # not on every system
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def main(data: Path, hub: int) -> None:
    """Follow the journal until the process `hub` ends, which may be before this one is ready."""
    _stand_back()
    end_with_parent(hub)
    pause = threading.Event()
    journal = Journal(data, BlobStore(data / "blobs", tidy=False))
    with closing(journal), closing(MessageIndex(data)) as index:
        builder = IndexBuilder(journal, index)
        behind = 0
        while True:
            try:
                done = builder.step()
            except (apsw.BusyError, apsw.FullError):
                done = 0
            behind += done
            if done < BATCH:
                if behind > 50 * BATCH:
                    index.optimise()
                behind = 0 if done == 0 else behind
                pause.wait(LOOK)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), int(sys.argv[2]))
    except KeyboardInterrupt:
        pass
    except (apsw.Error, OSError, JournalUnavailable) as error:  # the hub starts another one, later and later
        sys.exit(f"message index: {type(error).__name__}")
