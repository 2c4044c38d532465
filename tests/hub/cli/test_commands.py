"""The command line as hospital IT uses it, bad input included."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from connectors.hl7v2_mllp.client import MllpClient
from demo.process import HubProcess, free_ports

pytestmark = pytest.mark.slow


def yitong(*arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "hub", *arguments], capture_output=True, text=True, timeout=timeout, check=False)


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    """A hub as `yitong serve` starts it without a county.toml: (data folder, process, ports)."""
    data = tmp_path_factory.mktemp("hub") / "data"
    http, mllp, dicom = free_ports(3)
    with HubProcess(data, http, "--mllp-port", str(mllp), "--dicom-port", str(dicom)) as process:
        process.wait_until_ready()
        yield data, process, {"http": http, "mllp": mllp, "dicom": dicom}


def test_help_teaches_with_examples():
    for arguments in ((), ("serve",), ("demo",), ("doctor",), ("replay",), ("token",), ("token", "create")):
        run = yitong(*arguments, "--help")
        assert run.returncode == 0
        assert len(run.stdout) > 200
    assert "yitong token create --data" in yitong("--help").stdout


def test_a_token_stands_alone_on_the_last_line_and_opens_the_hub(serving):
    data, process, _ = serving
    made = yitong("token", "create", "--data", str(data), "--name", "Dr Li", "--role", "admin")
    token = made.stdout.splitlines()[-1]
    assert made.returncode == 0
    assert made.stdout == token + "\n"
    ask = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{process.url}/fhir/Patient", headers=ask).status_code == 200
    assert httpx.get(f"{process.url}/fhir/Patient").status_code == 401
    listed = yitong("token", "list", "--data", str(data)).stdout
    assert "Dr Li" in listed
    assert token not in listed


def test_a_revoked_token_opens_nothing_within_seconds(serving):
    data, process, _ = serving
    token = yitong("token", "create", "--data", str(data), "--name", "gone", "--role", "system").stdout.splitlines()[-1]
    ask = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{process.url}/fhir/Patient", headers=ask).status_code == 200
    row = next(line for line in yitong("token", "list", "--data", str(data)).stdout.splitlines() if "gone" in line)
    assert yitong("token", "revoke", "--data", str(data), row.split()[1]).returncode == 0
    until = time.monotonic() + 30
    while httpx.get(f"{process.url}/fhir/Patient", headers=ask).status_code != 401:
        assert time.monotonic() < until, "the revoked token still opens the hub"
        time.sleep(0.1)


def test_a_role_that_does_not_exist_is_named(tmp_path):
    run = yitong("token", "create", "--data", str(tmp_path), "--name", "x", "--role", "nurse")
    assert run.returncode == 2
    assert "nurse" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_mistyped_folder_is_told_and_not_made(tmp_path):
    for arguments in (("list",), ("revoke", "x")):
        run = yitong("token", *arguments, "--data", str(tmp_path / "typo"))
        assert (run.returncode, "holds no tokens" in run.stderr) == (2, True)
    assert not (tmp_path / "typo").exists()


def test_a_clinician_without_facility_is_warned_and_still_gets_the_token_alone(tmp_path):
    run = yitong("token", "create", "--data", str(tmp_path), "--name", "x", "--role", "clinician")
    assert run.returncode == 0
    assert "--facility" in run.stderr
    assert len(run.stdout.splitlines()) == 1


def test_a_second_hub_on_the_same_folder_says_so(serving):
    data, _, _ = serving
    run = yitong("serve", "--data", str(data), "--port", "0")
    assert run.returncode == 2
    assert "another process" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_taken_port_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = yitong("serve", "--data", str(tmp_path / "d"), "--port", str(taken.getsockname()[1]))
    assert run.returncode == 2
    assert "--port" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--data", "/proc/none", "--port", "0"), "/proc/none: no such file"),
        (("--data", "/dev/null", "--port", "0"), "/dev/null"),
        (("--data", "d", "--port", "99999"), "65535"),
        (("--data", "d", "--config", "/"), "/: is a directory"),
    ],
)
def test_what_cannot_be_used_is_one_clear_line(arguments, word):
    run = yitong("serve", *arguments)
    assert run.returncode == 2
    assert word in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[county\n", "county.toml"),
        ('[[facility]]\nname = "x"\n', "code"),
        ('[[channel]]\nname = "a"\nconnector = "telepathy"\n', "telepathy"),
        ('[[channel]]\nname = "a"\nconnector = "hl7v2_mllp"\nport = "many"\n', "port"),
        ('[[channel]]\nname = "a"\nconnector = "hl7v2_mllp"\nprot = 2575\n', "prot: no such option; there are host, port"),
        ('[county]\nnaem = "x"\n', "naem: no such setting"),
        ('[county]\nzone = "Mars"\n', "zone"),
        ('[[channel]]\nname = "a"\nconnector = "hl7v2_mllp"\ncharset = "klingon"\n', "klingon"),
        ('[[channel]]\nname = "a"\nconnector = "hl7v2_mllp"\n' * 2, "channel a is stated twice"),
        ('[[facility]]\ncode = "A"\nname = "甲"\n' * 2, "facility code A is stated twice"),
    ],
)
def test_a_county_that_cannot_be_read_is_one_clear_line(tmp_path, text, word):
    config = tmp_path / "county.toml"
    config.write_text(text, "utf-8")
    run = yitong("serve", "--data", str(tmp_path / "d"), "--port", "0", "--config", str(config))
    assert run.returncode == 2
    assert word in run.stderr
    assert "Traceback" not in run.stderr
    assert yitong("doctor", "--data", str(tmp_path / "d"), "--config", str(config)).returncode == 2


def test_doctor_numbers_its_checks_and_knows_a_running_hub(serving):
    data, process, _ = serving
    run = yitong("doctor", "--data", str(data), "--url", process.url, "--json")
    findings = {finding["check"]: finding for finding in json.loads(run.stdout)}
    assert findings["Running hub"]["state"] == "ok"
    assert findings["store.sqlite"]["state"] == "ok"
    down = yitong("doctor", "--data", str(data), "--url", "http://127.0.0.1:9")
    assert down.returncode == 2
    assert "does not answer" in down.stdout


def test_replay_beside_a_running_hub_counts_first(serving):
    data, _, _ = serving
    run = yitong("replay", "--data", str(data), "--state", "dead", "--dry-run")
    assert "0 records match" in run.stdout
    assert run.returncode == 1
    assert yitong("replay", "--data", str(data / "nowhere")).returncode == 2


def test_status_and_doctor_name_what_is_dead_and_what_is_not_mapped(serving):
    data, process, ports = serving
    token = yitong("token", "create", "--data", str(data), "--name", "it", "--role", "it").stdout.strip()
    header = "MSH|^~\\&|LIS|CTY|||20260501||{}|{}|P|2.5||||||UNICODE UTF-8\r"
    with MllpClient("127.0.0.1", ports["mllp"]) as client:
        client.send((header.format("MFN^M02", "dead-1") + "MFI|PRA\r").encode())
        client.send((header.format("ORU^R01", "done-1") + "PID|1||7||张三\rOBR|1||L1|X^某项\rOBX|1|NM|X1^某值||1|||||F\r").encode())

    def status():
        return httpx.get(f"{process.url}/ops/status", headers={"Authorization": f"Bearer {token}"}).json()

    while len(status()["unmapped"]) < 2 or not status()["dead"]:
        time.sleep(0.05)
    assert {"system": "urn:hub:CTY:item", "code": "X1", "display": "某值", "records": 1} in status()["unmapped"]
    assert [(dead["source"], dead["reason"]) for dead in status()["dead"]] == [("mllp", "no map for this structure MFN^M02")]
    told = yitong("doctor", "--data", str(data), "--url", process.url)
    assert told.returncode == 1
    assert "1 done (1 with issues), 1 dead, the newest: no map for this structure MFN^M02" in told.stdout
    assert "--channel mllp --state dead" in told.stdout
    assert "1 record matches" in yitong("replay", "--data", str(data), "--state", "dead").stdout


def test_sigterm_ends_it_in_order(tmp_path):
    (http,) = free_ports(1)
    process = HubProcess(tmp_path / "data", http, "--mllp-port", "0")
    process.wait_until_ready()
    os.kill(process.pid, signal.SIGTERM)
    process.__exit__(None, None, None)
    assert "Traceback" not in Path(process.log).read_text("utf-8")
    again = HubProcess(tmp_path / "data", http, "--mllp-port", "0")
    again.wait_until_ready()
    again.__exit__(None, None, None)
