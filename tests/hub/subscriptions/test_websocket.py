"""Websockets of a real `yitong serve`, through its fronts: R4's pings and the backport's Bundles; and kill -9 in the middle."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from demo.process import HubProcess, free_ports
from hub.subscriptions.accept import CONTENT
from tests.hub.api.county import observation, patient
from tests.hub.subscriptions.receiver import subscription

CONFIG = """
[egress]
allow = ["127.0.0.1"]
[subscriptions]
first_retry_seconds = 0.05
longest_retry_seconds = 0.2
"""


def serve(folder, processes=2):
    folder.mkdir(exist_ok=True)
    config = folder / "county.toml"
    config.write_text(CONFIG)
    http, mllp, dicom = free_ports(3)
    ports = "--mllp-port", str(mllp), "--dicom-port", str(dicom)
    return HubProcess(folder / "data", http, *ports, "--processes", str(processes), "--config", str(config))


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("served")) as process:
        process.wait_until_ready()
        yield process


def token(hub):
    command = [sys.executable, "-m", "hub", "token", "create", "--data", str(hub.data), "--name", "a", "--role", "admin"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]


@pytest.fixture(scope="module")
def bearer(hub):
    return token(hub)


def client(hub, bearer):
    return httpx.Client(base_url=f"{hub.url}/fhir/", headers={"authorization": f"Bearer {bearer}"}, timeout=30)


def put(asking, resource):
    answer = asking.put(f"{resource['resourceType']}/{resource['id']}", json=resource)
    assert answer.status_code in (200, 201), answer.text


def socket(hub, **headers):
    return connect(f"{hub.url.replace('http', 'ws')}/fhir/$websocket", additional_headers=headers, proxy=None)


def test_bound_it_pings_for_what_waited_and_for_what_comes(hub, bearer):
    with client(hub, bearer) as asking:
        put(asking, subscription("W", "", "Observation?code=2345-7", type="websocket"))
        put(asking, patient("P"))
        put(asking, observation("waited", "P"))
        with socket(hub) as talking:
            talking.send("bind W")
            assert json.loads(talking.recv(10))["issue"][0]["code"] == "login"
            talking.send(f"auth {bearer}")
            assert talking.recv(10) == "authenticated"
            talking.send("bind W")
            assert talking.recv(10) == "bound W"
            assert talking.recv(10) == "ping W"
            put(asking, observation("comes", "P"))
            assert talking.recv(10) == "ping W"
        with socket(hub, authorization=f"Bearer {bearer}") as talking:
            talking.send("bind W")
            assert talking.recv(10) == "bound W"
            with pytest.raises(TimeoutError):
                talking.recv(0.3)


@pytest.mark.parametrize("shape", ["bind-with-token {}", '{{"type": "bind-with-token", "payload": {{"token": "{}"}}}}'])
def test_a_binding_token_brings_the_notifications(hub, bearer, shape):
    with client(hub, bearer) as asking:
        made = subscription("T", "", "urn:hub:topic:report-final", type="websocket")
        made["channel"]["_payload"] = {"extension": [{"url": CONTENT, "valueCode": "full-resource"}]}
        put(asking, made)
        put(asking, patient("P"))
        given = {each["name"]: each for each in asking.get("Subscription/T/$get-ws-binding-token").json()["parameter"]}
        assert given["websocket-url"]["valueUrl"] == f"{hub.url.replace('http', 'ws')}/fhir/$websocket"
        with socket(hub) as talking:
            talking.send(shape.format(given["token"]["valueString"]))
            assert '"handshake"' in talking.recv(10)
            report = {"resourceType": "DiagnosticReport", "id": "R", "status": "final", "code": {"text": shape[:4]}}
            put(asking, {**report, "subject": {"reference": "Patient/P"}})
            told = json.loads(talking.recv(10))
            assert told["entry"][1]["resource"]["id"] == "R"
        with socket(hub) as talking:
            talking.send("bind-with-token " + given["token"]["valueString"][:-2] + "xx")
            assert json.loads(talking.recv(10))["issue"][0]["code"] == "login"


def test_a_stranger_is_not_kept(hub):
    with pytest.raises(InvalidStatus, match="403"):
        socket(hub, authorization="Bearer nobody")
    with socket(hub) as talking:
        mistakes = 0
        with contextlib.suppress(ConnectionClosed):
            for mistakes in range(20):  # noqa: B007
                talking.send("bind nothing")
                talking.recv(10)
        assert mistakes == 10


@pytest.mark.timeout(180)
def test_kill_9_loses_no_event_and_mixes_no_order(tmp_path, receiver):
    seen = []
    receiver.answer = lambda call: (seen.append(call.number), (200 if len(seen) % 7 else 503, {}))[1]
    total = 0
    bearer = ""
    for turn in range(2):
        with serve(tmp_path, processes=1) as process:
            process.wait_until_ready()
            bearer = bearer or token(process)
            with client(process, bearer) as asking:
                if not turn:
                    put(asking, subscription("S", receiver.url()))
                    put(asking, subscription("other", receiver.url("/other")))
                    put(asking, patient("P"))
                for _ in range(30):
                    put(asking, observation(f"o{total}", "P"))
                    total += 1
            os.kill(process.pid, signal.SIGKILL)
    with serve(tmp_path, processes=1) as process:
        process.wait_until_ready()
        for path in ("/hook", "/other"):
            heard = until(receiver, path, total)
            firsts = list(dict.fromkeys(call.number for call in heard))
            assert firsts == list(range(1, total + 1))
            assert [call.json["id"] for call in first_of(heard)] == [f"o{number}" for number in range(total)]


def until(receiver, path, number):
    with receiver.changed:
        holds = lambda: any(call.number == number for call in receiver.calls if call.path == path)  # noqa: E731
        assert receiver.changed.wait_for(holds, 60), [call.number for call in receiver.of(path)][-3:]
    return receiver.of(path)


def first_of(calls):
    """Each event when it was first heard."""
    return list({call.number: call for call in reversed(calls)}.values())[::-1]
