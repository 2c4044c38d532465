"""Real processes, killed in the middle: an import and an export go on where they were, and nothing is there twice or missing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from benchmarks.data import resources
from hub import fhir_json
from hub.app import open_hub
from hub.bulk.import_work import progress_of
from hub.bulk.imports import kind_of
from hub.bulk.output import FOLDER
from hub.errors import Unavailable
from hub.jobs import OVER, jobs_in
from hub.search.query import SearchQuery
from hub.security.tokens import TokenStore
from hub.settings import County
from hub.store.port import EVERYTHING
from hub.store.sqlite import SqliteReader
from tests.mongod import free_port

pytestmark = pytest.mark.slow

COUNT = 6000
PATIENCE = 90.0


def yitong(*arguments: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("YITONG")}
    command = [sys.executable, "-m", "hub", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def until(is_so: Callable[[], bool], running: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert running.poll() is None, running.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "county.ndjson"
    path.write_bytes(b"".join(fhir_json.dump(each) + b"\n" for each in resources(COUNT)) + b"no JSON\n")
    return path


@pytest.fixture(scope="module")
def folder(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Imported by three processes, two of which were killed half way."""
    data = tmp_path_factory.mktemp("hub") / "data"

    def stored() -> int:
        try:
            store = SqliteReader(data)
        except Unavailable:  # it is being made
            return 0
        with closing(store):
            return max((progress_of(job).resources for job in jobs_in(store) if job.kind.startswith("import")), default=0)

    for least in (500, 2500):
        running = yitong("import", "--data", str(data), str(source))
        until(lambda least=least: stored() >= least, running)  # type: ignore[misc]
        assert stored() < COUNT
        running.send_signal(signal.SIGKILL)
        running.communicate()
    last = yitong("import", "--data", str(data), str(source))
    said, _ = last.communicate(timeout=PATIENCE)
    assert last.returncode == 1, said
    assert f"{COUNT} created, 0 updated, 0 unchanged, 1 refused" in said
    return data


def test_an_import_goes_on_after_a_kill(folder: Path, source: Path) -> None:
    outcome = json.loads(source.with_name("county.ndjson.outcomes.ndjson").read_text())
    assert outcome["extension"][0]["valueString"] == f"county.ndjson:{COUNT + 1}"
    with closing(open_hub(folder, County())) as hub:
        totals = [
            hub.store.search(SearchQuery(kind, count=0, total="accurate"), EVERYTHING).total for kind in ("Patient", "Observation")
        ]
        assert totals == [COUNT // 100, COUNT - COUNT // 100]
        newest = hub.store.search(SearchQuery("Observation", count=1000), EVERYTHING).matches
        assert {version.version for version in newest} == {1}
        assert [job.state for job in jobs_in(hub.store, OVER) if job.kind == kind_of(hub)] == ["done"]


@contextmanager
def served(data: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    running = yitong("serve", "--data", str(data), "--port", str(port), "--processes", "1", "--mllp-port", "0")
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def up(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.HTTPError:
        return False


def test_an_export_goes_on_after_a_kill(folder: Path, tmp_path: Path) -> None:
    with closing(TokenStore(folder)) as tokens:
        token = tokens.create("exporter", "admin")
    port = free_port()
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        with served(folder, port) as running:
            until(lambda: up(client), running)
            asked = client.get("/fhir/$export?_type=Patient,Observation", headers={"prefer": "respond-async"})
            address = asked.headers["content-location"]
            until(lambda: any((folder / FOLDER).glob("*/*.ndjson")), running)
        with served(folder, port) as running:
            until(lambda: up(client), running)
            until(lambda: client.get(address).status_code != 202, running)
            files = client.get(address).json()["output"]
            found = [json.loads(line)["id"] for file in files for line in client.get(file["url"]).text.splitlines()]
            assert sum(file["count"] for file in files) == len(found) == len(set(found)) == COUNT
            again = yitong("export", "--url", str(client.base_url), "--token", token, "--type", "Patient", str(tmp_path / "out"))
            said, _ = again.communicate(timeout=PATIENCE)
            assert (again.returncode, said.partition(",")[0]) == (0, f"{COUNT // 100} resources")
            sent = yitong("import", "--url", str(client.base_url), "--token", token, *map(str, (tmp_path / "out").iterdir()))
            said, _ = sent.communicate(timeout=PATIENCE)
            assert (sent.returncode, said.strip()) == (0, f"0 created, 0 updated, {COUNT // 100} unchanged, 0 refused, 0 noted")
