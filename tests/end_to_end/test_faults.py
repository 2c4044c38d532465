"""What a hub stands on goes away and comes back: its disk, its store's server, the database it reads.

Meanwhile every sender is told the truth at its own door and the cause stands where people look; afterwards everything goes on
without a restart: what was acknowledged has one effect, what was refused is sent again by those whose it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from pydicom import dcmread

from connectors.dicom.sender import send
from connectors.hl7v2_mllp.client import MllpClient
from demo.process import HubProcess, free_ports
from tests.connectors import servers
from tests.end_to_end.senders import Documents, Hospital, Imaging, Laboratory, Sender, county, picture
from tests.hub.ingest.messages import oru
from tests.mongod import FLAGS, free_port, make_replica_set, started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

JSON = {"content-type": "application/fhir+json"}
OUT_OF_RESOURCES = 0xA700  # PS3.4 B.2.3
DISK_MEGABYTES = 64
PATIENCE = 120.0  # seconds that anything may take on a busy machine


def wait_until(holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.2)


class Watched:
    """A running hub as those around it see it."""

    def __init__(self, hub: HubProcess, config: Path, store: str = "") -> None:
        self.hub = hub
        self._options = ("--data", str(hub.data), *(("--store", store) if store else ()))
        self._config = config
        token = self.yitong("token", "create", *self._options, "--name", "a", "--role", "admin").split()[-1]
        self.client = httpx.Client(base_url=hub.url, headers={"authorization": f"Bearer {token}"}, timeout=PATIENCE)

    def yitong(self, *arguments: str) -> str:
        return subprocess.run([sys.executable, "-m", "hub", *arguments], capture_output=True, text=True, check=False).stdout

    def doctor(self) -> str:
        return self.yitong("doctor", *self._options, "--config", str(self._config))

    def post(self) -> httpx.Response:
        return self.client.post("/fhir/Basic", json={"resourceType": "Basic", "code": {"text": "x"}}, headers=JSON)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get("/ops/status").raise_for_status().json()
        return found

    def channel(self, name: str) -> dict[str, Any]:
        return next(each for each in self.status()["channels"] if each["source"] == name)

    def count(self, kind: str) -> int:
        found: int = self.client.get(f"/fhir/{kind}", params={"_summary": "count"}).raise_for_status().json()["total"]
        return found

    def settled(self, received: dict[str, int]) -> bool:
        """Each channel has brought so many records, and each record has its effect."""
        found = {each["source"]: (each["received"], each["done"]) for each in self.status()["channels"]}
        return found == {name: (count, count) for name, count in received.items()}


@contextmanager
def running(data: Path, config: Path, store: str = "") -> Iterator[Watched]:
    (port,) = free_ports(1)
    with HubProcess(data, port, "--config", str(config), *(("--store", store) if store else ())) as hub:
        hub.wait_until_ready(PATIENCE)
        watched = Watched(hub, config, store)
        with watched.client:
            yield watched


# ---------------------------------------------------------------- the disk


class Disk:
    """A small file system of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        """To the last byte, also what was freed since the last time."""
        with (self.folder / "filler").open("ab", buffering=0) as file:
            for size in (1 << 20, 4096):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def free(self) -> None:
        (self.folder / "filler").unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    rights = [] if os.geteuid() == 0 else ["sudo", "-n"]
    small = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m,mode=0777", "yitong-test"]
    made = subprocess.run([*rights, *small, str(folder)], capture_output=True, check=False)
    if made.returncode and (not rights or os.environ.get("CI")):
        pytest.fail(f"no small file system can be mounted: {made.stderr.decode()}")
    if made.returncode:
        pytest.skip("only root may mount the small file system that this test fills")
    try:
        yield Disk(folder)
    finally:
        subprocess.run([*rights, "umount", "--lazy", str(folder)], check=True)


def dicom_status(sender: Imaging, number: int) -> int:
    (status,) = send("127.0.0.1", sender.port, [dcmread(BytesIO(picture(number)))], timeout=PATIENCE)
    return status


def test_a_full_disk_refuses_at_every_door_and_all_goes_on_when_there_is_room(disk: Disk, tmp_path: Path) -> None:
    ports = free_ports(2)
    laboratory, hospital = Laboratory(ports[0], 1), Hospital(tmp_path, 1)
    documents, imaging = Documents(tmp_path, 1), Imaging(ports[1], 1)
    senders: tuple[Sender, ...] = (laboratory, hospital, documents, imaging)
    config = tmp_path / "county.toml"
    config.write_text(county(senders), "utf-8")
    with running(disk.folder / "data", config) as hub, closing(MllpClient("127.0.0.1", ports[0], timeout=PATIENCE)) as client:
        received = Counter({sender.name: 1 for sender in senders})
        assert all(sender.deliver(1) for sender in senders)
        assert hub.post().status_code == 201
        wait_until(lambda: hub.settled(received))

        kept = iter(range(2, 1000))  # while the disk fills: what is acknowledged counts

        def refused() -> bool:
            disk.fill()
            number = next(kept)
            if b"MSA|AA|" in (answer := client.send(oru(number))):
                received[laboratory.name] += 1
                return False
            assert f"MSA|AE|M{number}|the journal cannot be written: send it again later".encode() in answer
            return True

        wait_until(refused)
        delivered = [hospital.deliver(2), documents.deliver(2)]
        assert dicom_status(imaging, 2) == OUT_OF_RESOURCES
        for answer in (hub.post(), hub.client.get("/fhir/Patient")):  # what cannot be audited is not shown either
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
            issue = answer.json()["issue"][0]
            assert (issue["code"], "No space left on device" in issue["diagnostics"]) == ("transient", True)
        wait_until(lambda: "disk is full" in hub.channel(hospital.name)["problem"])
        wait_until(lambda: "disk is full" in hub.channel(documents.name)["problem"])
        wait_until(lambda: "the disk is full" in hub.status()["problem"])
        assert (documents.folder / delivered[1]).is_file(), "nobody took it away"
        assert all(hub.channel(name)["received"] == count for name, count in received.items())
        assert "Disk: full" in hub.doctor()
        assert "yitong_journal_blocked 1" in hub.client.get("/metrics").text
        assert httpx.get(f"{hub.hub.url}/health").status_code == 200

        disk.free()
        wait_until(lambda: hub.status()["problem"] == "")  # seen without anybody sending
        assert hub.post().status_code == 201
        assert dicom_status(imaging, 2) == 0
        assert laboratory.deliver(999)
        received += Counter({sender.name: 1 for sender in senders})
        wait_until(lambda: hub.settled(received))
        assert (documents.folder / "done" / delivered[1]).is_file()
        reports = received[laboratory.name] + received[documents.name]
        assert (hub.count("DiagnosticReport"), hub.count("Basic"), hub.count("ImagingStudy")) == (reports, 2, 2)
        assert "Disk: full" not in hub.doctor()
        assert "Traceback" not in hub.hub.log.read_text("utf-8")


# ---------------------------------------------------------------- the store's server


def test_the_stores_server_is_killed_and_comes_back_under_a_hub_that_takes_messages_in(tmp_path: Path, mongodb: object) -> None:
    folder, port, (mllp,) = tmp_path / "db", free_port(), free_ports(1)
    folder.mkdir()
    laboratory = Laboratory(mllp, 1)
    config = tmp_path / "county.toml"
    config.write_text("[store]\ntakeover_seconds = 5\n" + county([laboratory]), "utf-8")
    address = f"mongodb://127.0.0.1:{port}/hub?directConnection=true"
    with ExitStack() as stack:
        server, uri = stack.enter_context(started(folder, *FLAGS, port=port))
        make_replica_set(uri)
        hub = stack.enter_context(running(tmp_path / "data", config, address))
        client = stack.enter_context(closing(MllpClient("127.0.0.1", mllp, timeout=PATIENCE)))
        assert [b"MSA|AA|" in client.send(oru(number)) for number in range(1, 41)] == [True] * 40
        server.kill()  # with records under way
        server.wait()
        assert [b"MSA|AA|" in client.send(oru(number)) for number in range(41, 61)] == [True] * 20, "the journal is the hub's own"
        with ThreadPoolExecutor(3) as pool:  # each waits for a server as long as an election may take
            answers = [pool.submit(hub.post), pool.submit(hub.client.get, "/ops/status")]
            said = pool.submit(hub.doctor)
            for answer in answers:
                assert (answer.result().status_code, "server does not answer" in answer.result().text) == (503, True)
            assert "the store's server does not answer" in said.result()
        stack.enter_context(started(folder, *FLAGS, port=port))
        wait_until(lambda: hub.post().status_code == 201)
        wait_until(lambda: hub.channel(laboratory.name)["up"])
        wait_until(lambda: bool(laboratory.deliver(61)))  # once its door is open again
        wait_until(lambda: hub.settled({laboratory.name: 61}))
        assert hub.count("DiagnosticReport") == 61
        found = hub.client.get("/fhir/DiagnosticReport", params={"_count": 100}).json()["entry"]
        assert {entry["resource"]["meta"]["versionId"] for entry in found} == {"1"}, "nothing was done twice"
        assert hub.status()["problem"] == ""


# ---------------------------------------------------------------- the database that is read


ROWS = 600
GATE = 7  # an advisory lock: who holds it stops the scan in its middle
VIEW = f"""
CREATE FUNCTION gate() RETURNS text STABLE COST 1000000 LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_advisory_lock_shared({GATE}); RETURN '13800000000'; END $$;
CREATE TABLE person AS SELECT no, timestamp '2024-05-01' + no * interval '1 second' AS changed_at
FROM generate_series(1, {ROWS}) AS no;
CREATE VIEW v_patient AS
SELECT 'H' || no AS patient_id, '测试' || no AS name, '2' AS sex, '1970-03-01' AS birth,
       CASE WHEN no > {ROWS // 2} THEN gate() END AS phone, changed_at
FROM person"""


def test_the_database_goes_down_in_the_middle_of_a_scan_and_comes_back(tmp_path: Path) -> None:
    with servers.postgresql_that_stops() as server:
        server.start()
        engine = sa.create_engine(server.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        holder = engine.connect()
        for statement in (VIEW, f"SELECT pg_advisory_lock({GATE})"):
            holder.exec_driver_sql(statement)
        config = tmp_path / "county.toml"
        view = '{ name = "v_patient", key = ["patient_id"], changed_at = "changed_at" }'
        channel = f'name = "cty-his"\nconnector = "sql"\nfacility = "CTY"\nurl = "{server.url}"\nviews = [{view}]\n'
        pages = "every = 1\nbatch = 50\n"
        config.write_text(f'[[facility]]\ncode = "CTY"\nname = "示范县人民医院"\n[[channel]]\n{channel}{pages}', "utf-8")
        with running(tmp_path / "data", config) as hub:
            wait_until(lambda: hub.channel("cty-his")["received"] > 0)
            server.stop()
            holder.invalidate()
            wait_until(lambda: not hub.channel("cty-his")["up"])
            down = hub.channel("cty-his")
            assert down["problem"].startswith("SourceUnavailable: ")
            assert 0 < down["received"] < ROWS, "the scan was to be cut in the middle"
            assert "Channel cty-his: not reachable" in hub.doctor()
            assert hub.post().status_code == 201, "the rest of the hub does not mind"
            server.start()
            wait_until(lambda: hub.settled({"cty-his": ROWS}))
            assert hub.channel("cty-his")["duplicates"] == 0
            assert hub.count("Patient") == ROWS
            assert hub.channel("cty-his")["up"]
