"""`yitong backup`: copy a hub's data folder while the hub runs."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TaskID

from hub.backup import STORE, back_up


def run_backup(data: Path, target: Path) -> int:
    began = time.monotonic()
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bars:
        tasks: dict[str, TaskID] = {}

        def told(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        manifest = back_up(data, target, told)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    if STORE not in manifest.databases:
        sys.stdout.write(
            "The records lie on a server and are not in this copy: docs/guides/backup.md says how to copy them first\n"
        )
    sys.stdout.write(
        f"{target}: the hub as it was at {manifest.made}; {', '.join(manifest.databases)}, {manifest.originals} originals,"
        f" {manifest.other_files} other files, {size / 2**20:,.0f} MB, {time.monotonic() - began:.0f} s\n"
        f"Is it sound?  yitong check --data {target} --all\n"
        f"To restore: stop the hub, move its folder away, copy this one in its place, start.\n"
        f"Keep it as safe as the hub: it holds every record, and the keys.\n"
    )
    return 0
