"""A process beside the hub ends when the hub does, however that ends."""

from __future__ import annotations

import os
import threading
import time


def end_with_parent(parent: int = 0) -> None:
    """Watch from now on. `parent`: who it was at the start, where nothing else would tell that it has ended before this call."""
    threading.Thread(target=_watch, args=(parent or os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)
