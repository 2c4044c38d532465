"""One process owns a data folder for writing; a second one is told who does."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from hub.errors import Unavailable

WAIT_SECONDS = 5.0
POLL_SECONDS = 0.05


class FolderLock:
    """Held until `release` or the end of the process, however it ends."""

    def __init__(self, path: Path, *, wait: float = WAIT_SECONDS) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + wait
        while not self._locked():
            if time.monotonic() >= deadline:
                owner = os.pread(self._descriptor, 32, 0).decode("ascii", "ignore").strip()
                os.close(self._descriptor)
                raise Unavailable(f"{path.parent} is in use by another process{f' ({owner})' if owner else ''}")
            time.sleep(POLL_SECONDS)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"process {os.getpid()}\n".encode(), 0)

    def _locked(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        os.close(self._descriptor)
