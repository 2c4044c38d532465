"""What the workbench commands read: a data folder's journal, outcomes and county, whether its hub runs or not.

Reading stands beside a running hub and locks nothing. What must be written goes through the hub: a request in the journal's file,
which the hub takes up within a second, or the hub opened here when none runs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rich.console import Console

from hub.cli.doctor import county_path
from hub.cli.language import say
from hub.errors import Invalid
from hub.ingest.explaining import Explainer
from hub.ingest.journal import Journal
from hub.ingest.live_contexts import LiveContexts
from hub.ingest.messages import index_of
from hub.settings import County, load_county
from hub.store.blobs import BlobStore
from hub.store.opening import open_reader, target_of
from hub.store.port import ResourceStore

WIDE = 200  # of what is written into a file or another program
out = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else WIDE)
err = Console(stderr=True, highlight=False, markup=False)
PLENTY = 2_000  # records behind, from which building the index is told


@dataclass(frozen=True)
class Desk:
    data: Path
    journal: Journal
    store: ResourceStore
    county: County
    beside: Path

    @cached_property
    def contexts(self) -> LiveContexts:
        return LiveContexts(self.county, self.beside, self.store)

    @contextmanager
    def explainer(self) -> Iterator[Explainer]:
        with closing(Explainer(self.contexts, self.data / "blobs")) as opened:
            yield opened


def holds_journal(data: Path) -> None:
    """Raise Invalid for a folder that holds no hub's data."""
    if not (data / "journal.sqlite").is_file():
        raise Invalid(say(f"{data} holds no journal: is it the hub's data folder?", f"{data} 中没有日志:这是数据目录吗?"))


def journal_beside(data: Path) -> Journal:
    """The folder's journal, into which a hub may be writing. Raise Invalid where there is none."""
    holds_journal(data)
    return Journal(data, BlobStore(data / "blobs", tidy=False))


@contextmanager
def at_desk(data: Path, config: Path | None) -> Iterator[Desk]:
    """Raise Invalid for a folder that holds no hub's data."""
    holds_journal(data)
    path = county_path(data, config)
    county = load_county(path)
    with closing(journal_beside(data)) as journal, closing(open_reader(data, target_of(""), county.store)) as store:
        yield Desk(data, journal, store, county, path.parent if path else data)


def bring_up(journal: Journal) -> None:
    """Index what is not indexed yet: of a hub that never ran since the release that brought the index, a while."""
    from rich.progress import Progress

    from hub.ingest.indexing import BATCH, IndexBuilder

    index = index_of(journal)
    first, last = index.position, journal.newest()
    builder = IndexBuilder(journal, index)
    with Progress(console=err, disable=last - first < PLENTY or not sys.stderr.isatty()) as progress:
        bar = progress.add_task(say("indexing", "建立索引"), total=last - first)
        while builder.step(BATCH):
            progress.update(bar, completed=index.position - first)


def ask_yes(question: str, *, yes: bool) -> bool:
    """`yes` answers; otherwise a person at a terminal does, and without one it is no."""
    if yes:
        return True
    if not sys.stdin.isatty():
        return False
    import typer

    return typer.confirm(question)
