"""`yitong serve` as several processes: one hub to whoever asks it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import psutil
import pytest

from demo.process import HubProcess, free_ports
from hub.serving.front import answered_here


@pytest.fixture
def hub(tmp_path):
    http, mllp, dicom = free_ports(3)
    with HubProcess(tmp_path / "data", http, "--mllp-port", str(mllp), "--dicom-port", str(dicom), "--processes", "2") as process:
        process.wait_until_ready()
        yield process


def client(hub):
    command = [sys.executable, "-m", "hub", "token", "create", "--data", str(hub.data), "--name", "a", "--role", "admin"]
    token = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]
    return httpx.Client(base_url=f"{hub.url}/fhir/", headers={"authorization": f"Bearer {token}"}, timeout=30)


def fronts(hub):
    writing = psutil.Process(hub.pid)
    return [p for p in writing.children() if is_front(p, writing.cmdline())]


def is_front(process, forked):
    try:
        return process.cmdline() == forked or "hub.serving.front" in process.cmdline()
    except psutil.Error:  # it ended while we looked
        return False


def wait_until(holds, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_one_process_wrote_every_process_finds_at_once_and_every_look_is_audited(hub):
    with client(hub) as asking:

        def write_and_read(number):
            made = asking.post("Patient", json={"resourceType": "Patient", "name": [{"text": f"Somebody {number}"}]})
            id = made.json()["id"]
            connections = [httpx.Client(base_url=asking.base_url, headers=asking.headers, timeout=30) for _ in range(4)]
            for each in connections:  # new connections: whichever process takes them
                assert each.get(f"Patient/{id}").json()["name"][0]["text"] == f"Somebody {number}"
                assert each.get("Patient", params={"_id": id, "name": f"somebody {number}"}).json()["total"] == 1
                each.close()
            return id

        with ThreadPoolExecutor(4) as pool:
            ids = list(pool.map(write_and_read, range(10)))
        for id in ids:
            looks = asking.get("AuditEvent", params={"entity": f"Patient/{id}", "action": "R", "_summary": "count"}).json()
            assert looks["total"] == 4
        assert len(fronts(hub)) == 2


def test_what_a_front_saves_is_refused_and_kept_as_by_the_hub_itself(hub):
    with client(hub) as asking:
        height = {"code": {"text": "height"}, "status": "final", "valueQuantity": {"value": 1}}
        sent = json.dumps({"resourceType": "Observation", "id": "o", **height}).replace('"value": 1', '"value": 1.50e0')
        json_type = {"content-type": "application/fhir+json"}
        made = asking.put("Observation/o", content=sent, headers=json_type)
        assert (made.status_code, made.headers["etag"]) == (201, 'W/"1"')
        assert '"value":1.50e0' in made.text  # as it was written
        assert asking.put("Observation/o", content=sent, headers=json_type).headers["etag"] == 'W/"1"'
        late = asking.put("Observation/o", content=sent.replace("final", "amended"), headers={**json_type, "if-match": 'W/"7"'})
        assert (late.status_code, late.json()["issue"][0]["code"]) == (412, "conflict")
        there = asking.put("Observation/o", content=sent, headers={**json_type, "if-none-match": "*"})
        assert there.status_code == 412
        wrong = asking.post("Observation", json={"resourceType": "Observation", "status": "final"})
        assert (wrong.status_code, wrong.json()["issue"][0]["expression"]) == (422, ["Observation.code"])
        refused = asking.get("AuditEvent", params={"action": "U", "outcome": "4", "entity": "Observation/o", "_summary": "count"})
        assert refused.json()["total"] == 2


def test_a_front_that_dies_is_replaced_and_nothing_it_audited_is_lost(hub):
    with client(hub) as asking:
        id = asking.post("Basic", json={"resourceType": "Basic", "code": {"text": "x"}}).json()["id"]
        assert asking.get(f"Basic/{id}").status_code == 200
        first = fronts(hub)
        for front in first:
            os.kill(front.pid, signal.SIGKILL)
        wait_until(lambda: {p.pid for p in fronts(hub)}.isdisjoint(p.pid for p in first) and len(fronts(hub)) == 2)

        def answers():
            try:
                return httpx.get(f"{hub.url}/health").status_code == 200
            except httpx.TransportError:
                return False

        wait_until(answers)
        looks = asking.get("AuditEvent", params={"entity": f"Basic/{id}", "action": "R", "_summary": "count"}).json()
        assert looks["total"] == 1


def test_no_process_outlives_the_one_that_writes(hub):
    left = fronts(hub)
    assert len(left) == 2
    os.kill(hub.pid, signal.SIGKILL)
    psutil.wait_procs(left, timeout=60)
    assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in left)


@pytest.mark.parametrize(
    ("method", "path", "here"),
    [
        ("GET", "/fhir/Patient/1", True),
        ("HEAD", "/fhir/Patient", True),
        ("GET", "/fhir/Patient/1/_history/2", True),
        ("POST", "/fhir/Observation/_search", True),
        ("POST", "/fhir/Observation", True),
        ("PUT", "/fhir/Patient/1", True),
        ("PUT", "/fhir/Patient", False),
        ("PUT", "/fhir/Patient/", False),
        ("PATCH", "/fhir/Patient/1", False),
        ("DELETE", "/fhir/Patient/1", False),
        ("POST", "/fhir/SearchParameter", False),
        ("PUT", "/fhir/Subscription/1", False),
        ("POST", "/fhir/Binary", False),
        ("GET", "/fhir/Patient/1/$everything", False),
        ("GET", "/fhir/Patient/$export", False),
        ("GET", "/fhir/Binary/1", False),
        ("GET", "/fhir/metadata", False),
        ("GET", "/fhir", False),
        ("POST", "/fhir", False),
        ("GET", "/", False),
        ("GET", "/fhir/_history", False),
    ],
)
def test_reads_of_a_type_and_single_saves_are_answered_by_a_front(method, path, here):
    assert answered_here({"type": "http", "method": method, "path": path, "headers": []}) is here


def test_connections_are_shared_out_evenly(hub):
    with ExitStack() as opened:
        for _ in range(12):
            assert opened.enter_context(httpx.Client(base_url=hub.url, timeout=30)).get("/health").status_code == 200
        held = [len([c for c in front.net_connections() if c.status == "ESTABLISHED"]) for front in fronts(hub)]
        assert sum(held) >= 12
        assert max(held) - min(held) <= 2
