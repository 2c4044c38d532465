"""A running hub's data folder → a copy that can be put in its place.

What is copied when, so that the copy is of one moment and refers to nothing that it lacks:

1. the audit logs: events synced but not yet in the store. At once after them,
2. the store, as it was committed at that moment (T), while it goes on;
3. the journal, as it was committed later: every record that the store has an outcome for is in it, and the pipeline of a restored
   hub does those that came after T. Nothing that was acknowledged to a sender before the copy of the journal is missing;
4. accounts, keys, county.toml and whatever else lies in the folder;
5. the originals (blobs) last: they are written before anything refers to them and are never changed.

FHIR writes and audit events after T are not in the copy. Where the store is a server there is no step 2: that is copied before, by
the server's own means (docs/guides/backup.md). Left out: locks, caches, what is half written.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import apsw

from hub import __version__
from hub.clock import instant, utc_ms
from hub.errors import Invalid, Unavailable
from hub.security import audit_log
from hub.security.trail import FOLDER as AUDIT
from hub.security.trail import SHELF as AUDIT_SHELF
from hub.store.opening import NODE
from hub.store.port import Key
from hub.store.sqlite import SqliteReader
from hub.store.sqlite.copying import copy_database, sync

STORE, JOURNAL = "store.sqlite", "journal.sqlite"
MANIFEST = "backup.json"
UNFINISHED = ".part"
LEFT_OUT = frozenset({AUDIT, STORE, JOURNAL, MANIFEST, "key-images", "incoming"})
LEFT_OUT_ENDINGS = ("-wal", "-shm", "-journal", ".lock", UNFINISHED, ".sock")
BUSY_MS = 5_000

Progress = Callable[[str, int, int], None]  # what, how much of it, of how much


@dataclass(frozen=True)
class Manifest:
    """Beside the copy, as backup.json."""

    made: str
    program: str
    databases: list[str]
    originals: int  # files under blobs/
    other_files: int


def back_up(data: Path, target: Path, progress: Progress) -> Manifest:
    """Copy to `target`, which must not exist: it is there whole or not at all. Raise Invalid, or Unavailable if there is no hub."""
    if target.exists():
        raise Invalid(f"{target} exists already; name a new folder")
    with_store = (data / STORE).is_file()
    if not with_store and not (data / NODE).is_file():
        raise Unavailable(f"{data} holds no store")
    made = instant(utc_ms())
    unfinished = target.with_name(target.name + UNFINISHED)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700, parents=True)
    _copy_audit(data / AUDIT, unfinished / AUDIT)
    if with_store:
        _copy_store(data, unfinished, progress)
        _drop_what_the_store_has(unfinished)
    databases = [*([STORE] if with_store else []), *_copy_databases(data, unfinished, progress)]
    others = _copy_files([path for path in _rest(data) if path.name != "blobs"], data, unfinished, "settings and keys", progress)
    originals = _copy_files([data / "blobs"], data, unfinished, "originals", progress)
    manifest = Manifest(made, __version__, databases, originals, others)
    (unfinished / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n", "utf-8")
    os.sync()  # one for all the small files
    unfinished.rename(target)
    sync(target.parent)
    return manifest


def _copy_store(data: Path, target: Path, progress: Progress) -> None:
    reader = SqliteReader(data)
    try:
        reader.backup(target / STORE, lambda done, total: progress(STORE, done, total))
    finally:
        reader.close()


# -- the audit logs


def _copy_audit(source: Path, target: Path) -> None:
    target.mkdir(mode=0o700)
    for path in sorted(source.iterdir()) if source.is_dir() else ():
        if path.is_file() and not path.name.endswith(LEFT_OUT_ENDINGS):
            try:
                shutil.copy2(path, target / path.name)
            except FileNotFoundError:  # brought into the store meanwhile
                continue


def _drop_what_the_store_has(copy: Path) -> None:
    """A log that was brought into the store and let go between the two copies would be brought there twice."""
    reader = SqliteReader(copy)
    try:
        for path in audit_log.files(copy / AUDIT):
            first = next((line for _, line in audit_log.read(path, 0, 1)), None)
            known = reader.item(AUDIT_SHELF, path.name) is not None
            if first is not None and not known and reader.read_many([Key("AuditEvent", first.id)]):
                path.unlink()
    finally:
        reader.close()


# -- everything else


def _copy_databases(data: Path, target: Path, progress: Progress) -> Iterator[str]:
    names = [JOURNAL, *sorted(path.name for path in data.glob("*.sqlite") if path.name not in (STORE, JOURNAL))]
    for name in names:
        if (data / name).is_file():
            source = apsw.Connection(str(data / name))
            try:
                source.set_busy_timeout(BUSY_MS)
                source.execute("PRAGMA query_only = ON; BEGIN; SELECT count(*) FROM sqlite_schema").fetchall()
                copy_database(source, target / name, lambda done, total, name=name: progress(name, done, total))  # type: ignore[misc]
            finally:
                source.close()
            yield name


def _rest(data: Path) -> list[Path]:
    """What is neither a database nor an audit log."""
    return [path for path in sorted(data.iterdir()) if _kept(path) and path.suffix != ".sqlite"]


def _kept(path: Path) -> bool:
    return path.name not in LEFT_OUT and not path.name.endswith(LEFT_OUT_ENDINGS)


def _copy_files(roots: list[Path], data: Path, target: Path, what: str, progress: Progress) -> int:
    files = [path for root in roots for path in _files(root)]
    done = 0
    for path in files:
        to = target / path.relative_to(data)
        to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            shutil.copy2(path, to)
        except FileNotFoundError:  # a file that was being written or taken
            continue
        done += 1
        progress(what, done, len(files))
    return done


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        for inside in sorted(path.iterdir()):
            if _kept(inside):
                yield from _files(inside)
