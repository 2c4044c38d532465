"""`yitong replay`: do records again from their stored bytes, beside a running hub or alone."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.progress import Progress

from hub.app import open_hub
from hub.cli.doctor import county_path
from hub.errors import Invalid, Unavailable
from hub.ingest.journal import Journal, Selection
from hub.ingest.replay import Filter, Replays, State, ask
from hub.ingest.run import IntakeService
from hub.settings import County, load_county
from hub.store.blobs import BlobStore
from hub.store.opening import open_reader, target_of
from hub.store.sqlite.outcomes import StoredOutcomes

STATES = ("", "dead", "done")


def run_replay(
    data: Path, *, seqs: tuple[int, ...], channel: str, kind: str, state: str, dry_run: bool, config: Path | None
) -> int:
    """Exit code 0; 1 if nothing matches."""
    if state not in STATES:
        raise Invalid(f"--state {state}: dead or done")
    if not (data / "journal.sqlite").is_file():
        raise Invalid(f"{data} holds no journal")
    wanted = Filter(seqs, cast(State, state), Selection(source=channel, kind=kind))
    path = county_path(data, config)
    try:
        hub = open_hub(data, load_county(path))
    except Unavailable:
        return _ask_running(data, wanted, load_county(path), dry_run=dry_run)
    try:
        beside = path.parent if path else data
        intake = IntakeService(data, hub.county, hub.store, hub.blobs, clock=hub.clock, beside=beside)
        return _replay_here(intake, wanted, dry_run=dry_run)
    finally:
        hub.close()


def _replay_here(intake: IntakeService, wanted: Filter, *, dry_run: bool) -> int:
    """No hub runs: count, then run the pipeline in this process."""
    try:
        count = intake.replays.count(wanted)
        _say_count(count)
        if dry_run or not count:
            return 0 if count else 1
        number = intake.replays.request(wanted)
        with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
            bar = progress.add_task("replaying", total=count)
            while intake.pipeline.run_once():
                request = intake.replays.status(number)
                progress.update(bar, completed=request.replayed if request else count)
        return 0
    finally:
        intake.stop()


def _ask_running(data: Path, wanted: Filter, county: County, *, dry_run: bool) -> int:
    """A hub holds the store: leave the request in the journal's file, where it picks it up within a second."""
    journal = Journal(data, BlobStore(data / "blobs", tidy=False))  # the hub may be writing there
    try:
        target = target_of("")
        with closing(open_reader(data, target, county.store) if target else StoredOutcomes(data)) as outcomes:
            count = Replays(journal, outcomes).count(wanted)
        _say_count(count)
        if not dry_run and count:
            ask(journal, wanted)
            sys.stdout.write("The running hub does it now; `GET /ops/status` or `yitong doctor` show the rest.\n")
        return 0 if count else 1
    finally:
        journal.close()


def _say_count(count: int) -> None:
    sys.stdout.write(f"{count} record{'' if count == 1 else 's'} match{'es' if count == 1 else ''}.\n")
