"""Websockets of a real `yitong serve`, through its fronts, on both stores: R4's pings and the backport's Bundles."""

from __future__ import annotations

import contextlib
import json

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from hub.subscriptions.accept import CONTENT
from tests.hub.api.county import observation, patient
from tests.hub.ingest.messages import wait_until
from tests.hub.subscriptions.receiver import subscription
from tests.hub.subscriptions.served import client, put, serve, socket, token


@pytest.fixture(scope="module", params=["sqlite", "mongo"])
def address(request):
    """Of the store; "" is the hub's own folder."""
    if request.param == "sqlite":
        yield ""
        return
    with request.getfixturevalue("mongodb").address() as address:
        yield address


@pytest.fixture(scope="module")
def hub(tmp_path_factory, address):
    with serve(tmp_path_factory.mktemp("served"), address, processes=2) as process:
        process.wait_until_ready()
        yield process


@pytest.fixture(scope="module")
def bearer(hub, address):
    return token(hub, address)


def pending(asking, id):
    found = asking.get(f"{asking.base_url.join('/ops/status')}").raise_for_status().json()["subscriptions"]
    return next(each["pending"] for each in found if each["id"] == id)


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
        assert wait_until(lambda: pending(asking, "W") == 0), "who leaves at once was told all the same"
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
