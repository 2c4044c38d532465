"""Where the tests write: nothing of it need outlive the machine, and in memory a sync takes no time."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOM = 2 << 30


def memory() -> Path | None:
    """A file system in memory, if it is large enough."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() and shutil.disk_usage(folder).free > ROOM else None
