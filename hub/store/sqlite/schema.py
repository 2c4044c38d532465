"""The tables, and how a connection is set up.

`resource` is thin so that walking and probing it touches few pages; the JSON lies in `body`. A `rid` is given once and never
changes, so newest-created-first is `rid DESC` and an update moves no row between pages. Index tables are WITHOUT ROWID in the
order in which they are searched: one equality on (parameter, value) yields ascending rids, and (parameter, value, rid) probes
one resource. Those searched by range, or followed, can also be reached by rid. Resource types, code systems and units are
numbers of `word`.
"""

from __future__ import annotations

from pathlib import Path

import apsw

from hub.errors import Unavailable

VERSION = 4
PAGE_CACHE_KIB = 65_536
MMAP_BYTES = 8 << 30
WAL_BYTES = 64 << 20  # past this the writer checkpoints, idle or not
BUSY_MS = 5_000

TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE parameter (
    id INTEGER PRIMARY KEY,
    type INTEGER NOT NULL,
    code TEXT NOT NULL,
    repeats INTEGER NOT NULL DEFAULT 0, -- 1: some resource has, or had, two entries
    widest INTEGER NOT NULL DEFAULT 0, -- the longest interval of a date
    UNIQUE (type, code)
);

CREATE TABLE resource (
    rid INTEGER PRIMARY KEY,
    type INTEGER NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    method TEXT NOT NULL,
    facility TEXT NOT NULL,
    patient TEXT NOT NULL,
    present TEXT NOT NULL, -- ',3,17,': the parameters that have an entry, for :missing
    UNIQUE (type, id)
);
CREATE INDEX resource_created ON resource (type) WHERE deleted = 0;
CREATE INDEX resource_updated ON resource (type, updated, rid, deleted);
CREATE TABLE body (rid INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE history (
    rid INTEGER NOT NULL,
    version INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    method TEXT NOT NULL,
    facility TEXT NOT NULL,
    patient TEXT NOT NULL,
    body BLOB NOT NULL,
    type INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (rid, version)
);
CREATE INDEX history_updated ON history (type, updated, rid, version);

CREATE TABLE token (
    param INTEGER, code TEXT, rid INTEGER, system INTEGER,
    PRIMARY KEY (param, code, rid, system)
) WITHOUT ROWID;
CREATE TABLE reference (
    param INTEGER, id TEXT, rid INTEGER, type INTEGER,
    PRIMARY KEY (param, id, rid, type)
) WITHOUT ROWID;
CREATE INDEX reference_of ON reference (rid, param);
CREATE TABLE uri (param INTEGER, value TEXT, rid INTEGER, PRIMARY KEY (param, value, rid)) WITHOUT ROWID;
CREATE TABLE string (
    param INTEGER, folded TEXT, rid INTEGER, exact TEXT,
    PRIMARY KEY (param, folded, rid, exact)
) WITHOUT ROWID;
CREATE INDEX string_of ON string (rid, param);
CREATE TABLE date (
    param INTEGER, low INTEGER, rid INTEGER, high INTEGER,
    PRIMARY KEY (param, low, rid, high)
) WITHOUT ROWID;
CREATE INDEX date_of ON date (rid, param);
CREATE INDEX date_end ON date (param, high);
CREATE TABLE number ( -- a range has two rows, value is either end of it
    param INTEGER, value REAL, rid INTEGER, low REAL, high REAL,
    PRIMARY KEY (param, value, rid, low, high)
) WITHOUT ROWID;
CREATE INDEX number_of ON number (rid, param);
CREATE TABLE quantity (
    param INTEGER, value REAL, rid INTEGER, low REAL, high REAL, system INTEGER, code INTEGER,
    PRIMARY KEY (param, value, rid, low, high, system, code)
) WITHOUT ROWID;
CREATE INDEX quantity_of ON quantity (rid, param);

CREATE TABLE person (patient TEXT PRIMARY KEY, person TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX person_patients ON person (person);
CREATE TABLE relation (
    facility TEXT, patient TEXT, until INTEGER NOT NULL, source TEXT, -- source: Type/id of what proves it
    PRIMARY KEY (facility, patient, source)
) WITHOUT ROWID;
CREATE INDEX relation_source ON relation (source);

CREATE TABLE outcome (
    seq INTEGER PRIMARY KEY,
    state TEXT NOT NULL,
    source TEXT NOT NULL,
    facility TEXT NOT NULL,
    kind TEXT NOT NULL,
    finished INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    detail BLOB NOT NULL -- JSON: reason, resources, issues, ledger
);
CREATE INDEX outcome_state ON outcome (state);
CREATE INDEX outcome_source ON outcome (source, state);
CREATE TABLE tally (
    source TEXT PRIMARY KEY, done INTEGER, dead INTEGER, issues INTEGER, resources INTEGER, discarded INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE unmapped ( -- records: those done that hold the code now
    system TEXT, code TEXT, display TEXT NOT NULL, records INTEGER NOT NULL,
    PRIMARY KEY (system, code)
) WITHOUT ROWID;
CREATE TABLE finished (first INTEGER PRIMARY KEY, last INTEGER NOT NULL); -- runs of journal numbers without a gap
CREATE TABLE stamp (type TEXT, id TEXT, stamps BLOB NOT NULL, PRIMARY KEY (type, id)) WITHOUT ROWID;
CREATE TABLE item (shelf TEXT, key TEXT, value BLOB NOT NULL, PRIMARY KEY (shelf, key)) WITHOUT ROWID;
"""

# schema → what leads to the next one
MIGRATIONS: dict[int, str] = {
    2: """
CREATE TABLE item (shelf TEXT, key TEXT, value BLOB NOT NULL, PRIMARY KEY (shelf, key)) WITHOUT ROWID;
ALTER TABLE history ADD COLUMN type INTEGER NOT NULL DEFAULT 0;
UPDATE history SET type = (SELECT type FROM resource WHERE resource.rid = history.rid);
CREATE INDEX history_updated ON history (type, updated, rid, version);
CREATE INDEX reference_of ON reference (rid, param);
DROP INDEX resource_updated;
CREATE INDEX resource_updated ON resource (type, updated, rid, deleted);
""",
    3: "ALTER TABLE tally ADD COLUMN discarded INTEGER NOT NULL DEFAULT 0",
}


def connect(path: Path, *, writing: bool, vfs: str | None = None) -> apsw.Connection:
    """The writing connection creates and checkpoints; a reading one can do neither."""
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOMUTEX | (apsw.SQLITE_OPEN_CREATE if writing else 0)
    connection = apsw.Connection(str(path), flags=flags, vfs=vfs, statementcachesize=200)
    connection.set_busy_timeout(BUSY_MS)
    connection.execute(f"PRAGMA cache_size = -{PAGE_CACHE_KIB if writing else PAGE_CACHE_KIB // 8}")
    connection.execute(f"PRAGMA mmap_size = {MMAP_BYTES if not writing else 0}")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.wal_autocheckpoint(0)
    # SQLite would look at the values bound, and so parse and plan a join anew at each run: ten times what a read costs.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    if writing:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    else:
        connection.execute("PRAGMA query_only = ON")
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection


def prepare(connection: apsw.Connection) -> None:
    """Create the tables in a new file, bring an older one up to date. Raise Unavailable for a newer or foreign one."""
    with connection:
        if connection.execute("SELECT count(*) FROM sqlite_schema").get == 0:
            connection.execute(TABLES)
            connection.execute("INSERT INTO meta VALUES ('schema', ?)", (str(VERSION),))
            return
    found = _schema(connection)
    while (step := MIGRATIONS.get(found)) is not None:
        with connection:
            connection.execute(step)
            found += 1
            connection.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (str(found),))
    _refuse_unless_current(found)


def verify(connection: apsw.Connection) -> None:
    """Raise Unavailable for a file that cannot be read as it is."""
    _refuse_unless_current(_schema(connection))


def _refuse_unless_current(found: int) -> None:
    if found != VERSION:
        raise Unavailable(f"store.sqlite has schema {found}; this program reads schema {VERSION}")


def _schema(connection: apsw.Connection) -> int:
    try:
        return int(connection.execute("SELECT value FROM meta WHERE name = 'schema'").get)
    except (apsw.SQLError, TypeError, ValueError):
        raise Unavailable("store.sqlite is a database, but not of this hub") from None
