"""`yitong check`: is everything in a data folder or on a server there, sound and searchable; beside a running hub or of a copy."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path

import apsw
from rich.console import Console
from rich.progress import Progress

from hub.cli.doctor import county_path
from hub.errors import HubError, Unavailable
from hub.search.searchable import Searchable
from hub.security.audit_index import with_audit
from hub.settings import StoreSettings, load_county
from hub.store.blobs import BlobStore
from hub.store.opening import Target, open_reader, target_of
from hub.store.sqlite import SqliteReader

Told = Callable[[int, int], None]
Finding = tuple[str, list[str]]  # what was looked at, what is wrong

BLOBS = "SELECT DISTINCT sha256 FROM record WHERE content IS NULL"
SHOWN = 20


def run_check(data: Path, *, everything: bool, sample: int, config: Path | None = None) -> int:
    """Exit code 0 all well, 1 something is wrong."""
    target = target_of("")
    if target is None and not (data / "store.sqlite").is_file():
        raise Unavailable(f"{data} holds no store")
    settings = load_county(county_path(data, config)).store
    wrong = 0
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bars:

        def bar(what: str) -> Told:
            task = bars.add_task(what, total=None)
            return lambda done, total: bars.update(task, completed=done, total=total)

        sampled = None if everything else sample
        store = _store(data, sampled, bar("index")) if target is None else _server(data, target, settings, sampled, bar("index"))
        for what, complaints in chain(_databases(data), store, _originals(data, sampled, bar("originals"))):
            wrong += len(complaints)
            sys.stdout.write(f"{'wrong' if complaints else 'ok':5} {what}\n")
            for complaint in complaints[:SHOWN]:
                sys.stdout.write(f"      {complaint}\n")
            if len(complaints) > SHOWN:
                sys.stdout.write(f"      … and {len(complaints) - SHOWN} more\n")
    return 1 if wrong else 0


def _databases(data: Path) -> Iterator[Finding]:
    for path in sorted(data.glob("*.sqlite")):
        if path.name != "store.sqlite":
            yield f"{path.name}: whole", _integrity(path)


def _server(data: Path, target: Target, settings: StoreSettings, sample: int | None, told: Told) -> Iterator[Finding]:
    from hub.store.mongo import MongoStore
    from hub.store.mongo.checking import check_indexes, check_resources

    searchable = Searchable()
    indexer = with_audit(searchable.indexer(), searchable.customised)
    with closing(open_reader(data, target, settings, indexer=indexer)) as store:
        assert isinstance(store, MongoStore)  # noqa: S101 - there is a target
        searchable.attach(store)
        yield f"{target.shown}: every index there", check_indexes(store.database)
        looked, wrong = check_resources(store.database, indexer, sample=sample, progress=told)
        yield f"what is stored is searchable, every version there: {looked:,} resources extracted again and compared", wrong


def _store(data: Path, sample: int | None, told: Told) -> Iterator[Finding]:
    searchable = Searchable()
    with closing(SqliteReader(data, indexer=with_audit(searchable.indexer(), searchable.customised))) as store:
        found = store.check()
        yield "store.sqlite: whole, every version there", found
        if not found:
            searchable.attach(store)
            looked, wrong = store.check_index(sample=sample, progress=told)
            yield f"what is stored is searchable: {looked:,} resources extracted again and compared with the index", wrong


def _integrity(path: Path) -> list[str]:
    try:
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
            connection.execute("PRAGMA query_only = ON")
            return [text for (text,) in connection.execute("PRAGMA integrity_check") if text != "ok"]
    except (apsw.NotADBError, apsw.CorruptError) as error:
        return [f"damaged: {type(error).__name__}"]


def _originals(data: Path, sample: int | None, told: Told) -> Iterator[Finding]:
    """Those that the journal refers to are there; without a `sample` each is read, and is still what its name says."""
    if not (data / "journal.sqlite").is_file():
        return
    complete = sample is None
    blobs = BlobStore(data / "blobs", tidy=False)
    with closing(apsw.Connection(str(data / "journal.sqlite"), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
        connection.execute("PRAGMA query_only = ON")
        names = [name for (name,) in connection.execute(BLOBS)]
    look = blobs.check if complete else blobs.open
    wrong = []
    for number, name in enumerate(names, 1):
        try:
            look(name)
        except HubError as error:
            wrong.append(error.message)
        told(number, len(names))
    yield f"{len(names):,} originals of journal records are there{' and unchanged' if complete else ''}", wrong
