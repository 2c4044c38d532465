"""A hub reduced to its intake, as a process that can be killed: journal, MLLP listener, mapping worker, pipeline, store."""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from hub.store.blobs import BlobStore

from hub.ingest.run import IntakeService
from hub.settings import load_county
from hub.store.sqlite import SqliteStore


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--config", type=Path, required=True)
    given = options.parse_args()
    store = SqliteStore(given.data)
    intake = IntakeService(given.data, load_county(given.config), store, BlobStore(given.data / "blobs"))
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    intake.start()
    ended.wait()
    intake.stop()
    store.close()


if __name__ == "__main__":
    main()
