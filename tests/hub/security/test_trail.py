"""AuditEvents of reads: synced before the answer, in the store exactly once, nothing lost on the way."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from hub.clock import utc_ms
from hub.errors import Unavailable
from hub.fhir_json import load
from hub.search.query import SearchQuery
from hub.security.access import Access
from hub.security.audit import audit_event
from hub.security.audit_log import AuditLog, Line, files, read
from hub.security.trail import FOLDER, SHELF, AuditTrail, Shipper
from hub.store.port import EVERYTHING, Key
from hub.store.sqlite import SqliteStore

READER = Access(name="a doctor", role="clinician", facility="CTY", token_id="t1")


def event(number):
    return audit_event(READER, action="R", interaction="read", key=Key("Observation", f"o{number}"), now=utc_ms())


def seen(store):
    page = store.search(SearchQuery("AuditEvent", count=1000), EVERYTHING)
    return Counter(load(version.body)["entity"][0]["what"]["reference"] for version in page.matches)


async def leave(trail, numbers):
    await asyncio.gather(*(trail.leave(event(number), "CTY") for number in numbers))


def trail_of(data, store):
    return AuditTrail(data, utc_ms, Shipper(data, store))


@pytest.fixture
def store(tmp_path):
    opened = SqliteStore(tmp_path)
    yield opened
    opened.close()


def test_every_event_is_in_the_store_once_however_many_come_at_once(tmp_path, store):
    trail = trail_of(tmp_path, store)
    asyncio.run(leave(trail, range(50)))
    trail.settle()
    assert seen(store) == Counter(f"Observation/o{number}" for number in range(50))
    asyncio.run(leave(trail, range(50, 60)))
    trail.close()
    assert seen(store) == Counter(f"Observation/o{number}" for number in range(60))
    assert files(tmp_path / FOLDER) == []
    assert store.items(SHELF) == []


def test_a_process_that_was_killed_leaves_events_that_the_next_one_brings_in(tmp_path, store):
    script = """if True:
        import asyncio, sys
        from pathlib import Path
        from hub.security.audit_log import AuditLog
        from tests.hub.security.test_trail import event, Line
        async def main():
            log = AuditLog(Path(sys.argv[1]))
            await asyncio.gather(*(log.append(Line(f"e{n}", "CTY", event(n))) for n in range(7)))
            print("synced", flush=True)
            sys.stdin.read()
        asyncio.run(main())"""
    command = [sys.executable, "-c", script, str(tmp_path / FOLDER)]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root) as process:
        assert process.stdout.readline() == b"synced\n"
        trail = trail_of(tmp_path, store)
        trail.settle()  # another process's events, while it lives
        assert len(seen(store)) == 7
        assert len(files(tmp_path / FOLDER)) == 1
        process.send_signal(signal.SIGKILL)
    trail.close()
    assert sum(seen(store).values()) == 7
    assert files(tmp_path / FOLDER) == []


def test_a_line_that_a_crash_cut_short_is_kept_aside_and_the_whole_ones_arrive(tmp_path, store):
    folder = tmp_path / FOLDER
    log = AuditLog(folder)

    async def three():
        await asyncio.gather(*(log.append(Line(f"e{n}", "", event(n))) for n in range(3)))

    asyncio.run(three())
    log.close()
    (path,) = files(folder)
    os.truncate(path, path.stat().st_size - 5)
    trail_of(tmp_path, store).close()
    assert len(seen(store)) == 2
    assert [p.suffix for p in folder.iterdir()] == [".torn"]


def test_an_altered_line_goes_no_further(tmp_path):
    log = AuditLog(tmp_path)
    asyncio.run(log.append(Line("e1", "", event(1))))
    log.close()
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    assert [line.id for _, line in read(path, 0, 10)] == ["e1"]
    path.write_bytes(whole.replace(b"Observation/o1", b"Observation/o2"))
    assert list(read(path, 0, 10)) == []


def test_no_audit_no_answer(tmp_path, store):
    trail = trail_of(tmp_path, store)
    trail.close()
    with pytest.raises(Unavailable, match="audit log is closed"):
        asyncio.run(trail.leave(event(1), "CTY"))
