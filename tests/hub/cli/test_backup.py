"""A backup of a hub that goes on working, restored and checked; and a check that finds what is wrong."""

from __future__ import annotations

import json
import shutil
import threading

import apsw
import httpx
import pytest

from connectors.hl7v2_mllp.client import MllpClient
from demo.process import HubProcess, free_ports
from hub.cli.check import run_check
from tests.hub.cli.test_commands import yitong
from tests.hub.ingest.messages import oru, wait_until


def start(data):
    http, mllp, dicom = free_ports(3)
    process = HubProcess(data, http, "--mllp-port", str(mllp), "--dicom-port", str(dicom))
    return process, mllp


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory):
    """(the hub's folder after it stopped, the backup made while it ran, an admin's token, reports acknowledged before it)."""
    folder = tmp_path_factory.mktemp("backup")
    data, copy = folder / "data", folder / "copy"
    process, mllp = start(data)
    with process:
        process.wait_until_ready()
        token = yitong("token", "create", "--data", str(data), "--name", "Dr Li", "--role", "admin").stdout.splitlines()[-1]
        ask = {"Authorization": f"Bearer {token}"}
        with MllpClient("127.0.0.1", mllp) as client:
            for number in range(5):
                assert b"MSA|AA" in client.send(oru(number))
        with httpx.Client(base_url=process.url, headers=ask) as client:
            body = {"resourceType": "Basic", "code": {"text": "kept"}}
            for text, status in (("first", 201), ("kept", 200)):
                answer = client.put("/fhir/Basic/b1", json={**body, "id": "b1", "code": {"text": text}})
                assert answer.status_code == status
            assert wait_until(lambda: len(client.get("/fhir/DiagnosticReport").json().get("entry", [])) == 5)
            stop = threading.Event()

            def write_on():
                with httpx.Client(base_url=process.url, headers=ask) as second:
                    while not stop.is_set():
                        second.post("/fhir/Basic", json=body)

            writing = threading.Thread(target=write_on)
            writing.start()
            made = yitong("backup", "--data", str(data), "--to", str(copy))
            checked = yitong("check", "--data", str(data))
            stop.set()
            writing.join()
    assert made.returncode == 0, made.stderr
    assert checked.returncode == 0, checked.stdout + checked.stderr
    return data, copy, token, made.stdout


def test_a_backup_of_a_running_hub_is_sound_and_says_how_to_restore_it(backed_up):
    _, copy, _, said = backed_up
    assert "To restore: stop the hub" in said
    assert json.loads((copy / "backup.json").read_text())["databases"] == ["store.sqlite", "journal.sqlite", "tokens.sqlite"]
    assert not copy.with_name("copy.part").exists()
    assert copy.stat().st_mode & 0o077 == 0
    checked = yitong("check", "--data", str(copy), "--all")
    assert checked.returncode == 0, checked.stdout
    assert "wrong" not in checked.stdout
    assert "searchable" in checked.stdout


def test_a_restored_hub_answers_with_the_same_accounts_records_and_takes_new_ones(backed_up, tmp_path):
    _, copy, token, _ = backed_up
    shutil.copytree(copy, tmp_path / "restored")
    process, mllp = start(tmp_path / "restored")
    with process:
        process.wait_until_ready()
        with httpx.Client(base_url=process.url, headers={"Authorization": f"Bearer {token}"}) as client:
            assert client.get("/fhir/Basic/b1").json()["code"] == {"text": "kept"}
            assert len(client.get("/fhir/DiagnosticReport").json()["entry"]) == 5
            with MllpClient("127.0.0.1", mllp) as sender:
                sender.send(oru(2))  # again
                sender.send(oru(9))
            assert wait_until(lambda: len(client.get("/fhir/DiagnosticReport").json()["entry"]) == 6)
            assert client.get("/fhir/AuditEvent").json()["entry"]
    assert yitong("check", "--data", str(tmp_path / "restored"), "--all").returncode == 0


def test_a_backup_overwrites_nothing_and_needs_a_store(backed_up, tmp_path):
    data, copy, _, _ = backed_up
    again = yitong("backup", "--data", str(data), "--to", str(copy))
    assert (again.returncode, "exists already" in again.stderr) == (2, True)
    nothing = yitong("backup", "--data", str(tmp_path), "--to", str(tmp_path / "b"))
    assert (nothing.returncode, "holds no store" in nothing.stderr) == (2, True)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("DELETE FROM token WHERE rid = (SELECT min(rid) FROM token)", "its index of type token"),
        ("DELETE FROM reference WHERE rid = (SELECT max(rid) FROM reference)", "its index of type reference"),
        ("INSERT INTO token SELECT param, 'stray', rid, system FROM token LIMIT 1", "holds 1 entries that belong to nothing"),
        ("DELETE FROM history", "lack a former version"),
        ("DELETE FROM body WHERE rid = (SELECT max(rid) FROM body)", "have no content"),
        ("UPDATE resource SET present = '' WHERE deleted = 0", "its list of parameters"),
    ],
)
def test_a_check_finds_what_is_not_searchable_or_not_there(backed_up, tmp_path, capsys, damage, said):
    _, copy, _, _ = backed_up
    shutil.copytree(copy, tmp_path / "damaged")
    connection = apsw.Connection(str(tmp_path / "damaged" / "store.sqlite"))
    connection.execute(damage)
    connection.close()
    assert run_check(tmp_path / "damaged", everything=True, sample=1) == 1
    assert said in capsys.readouterr().out


def test_a_check_finds_an_original_that_is_gone(backed_up, tmp_path, capsys):
    _, copy, _, _ = backed_up
    shutil.copytree(copy, tmp_path / "damaged")
    journal = apsw.Connection(str(tmp_path / "damaged" / "journal.sqlite"))
    journal.execute("UPDATE record SET content = NULL, sha256 = ? WHERE seq = 1", ("a" * 64,))
    journal.close()
    assert run_check(tmp_path / "damaged", everything=False, sample=10) == 1
    assert f"Binary/{'a' * 64} is not here" in capsys.readouterr().out
