"""kill -9 of a hub that delivers: no event is lost and none overtakes; of two hubs on one store the other one goes on."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.hub.api.county import observation, patient
from tests.hub.subscriptions.receiver import subscription
from tests.hub.subscriptions.served import client, put, serve, socket, token

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]
PATHS = ("/hook", "/other")
PATIENCE = 120.0


def failing_now_and_then(receiver):
    receiver.answer = lambda _: (200 if len(receiver.calls) % 7 else 503, {})


def until(receiver, path, number):
    """The calls of a path once that event was heard."""
    with receiver.changed:
        holds = lambda: any(call.number == number for call in receiver.calls if call.path == path)  # noqa: E731
        assert receiver.changed.wait_for(holds, PATIENCE), [call.number for call in receiver.of(path)][-3:]
    return receiver.of(path)


def check_heard(receiver, total):
    """Each event was heard, in its order; the same again bears the same number and content."""
    for path in PATHS:
        heard = until(receiver, path, total)
        by_number = {}
        for call in heard:
            assert by_number.setdefault(call.number, call.body) == call.body
        assert list(by_number) == list(range(1, total + 1))
        assert [call.json["id"] for call in first_of(heard)] == [f"o{number}" for number in range(total)]


def first_of(calls):
    return list({call.number: call for call in reversed(calls)}.values())[::-1]


def subscribe(asking, receiver):
    for id, path in zip(("S", "other"), PATHS, strict=True):
        put(asking, subscription(id, receiver.url(path)))
    put(asking, patient("P"))


def reindexing(asking, *parameters):
    """Asked for again where the store was too busy to take the job."""
    end = time.monotonic() + 60
    while (answer := asking.post("$reindex", json={"resourceType": "Parameters", "parameter": parameters})).status_code != 202:
        assert answer.status_code == 503, answer.text
        assert time.monotonic() < end
    return answer


def kill(process):
    os.kill(process.pid, signal.SIGKILL)


def test_kill_9_loses_no_event_and_mixes_no_order(tmp_path, store, receiver):
    failing_now_and_then(receiver)
    total = 0
    bearer = ""
    for turn in range(2):
        with serve(tmp_path, store) as process:
            process.wait_until_ready()
            bearer = bearer or token(process, store)
            with client(process, bearer) as asking:
                if not turn:
                    subscribe(asking, receiver)
                for _ in range(30):
                    put(asking, observation(f"o{total}", "P"))
                    total += 1
            kill(process)
    with serve(tmp_path, store) as process:
        process.wait_until_ready()
        check_heard(receiver, total)


def test_one_of_two_hubs_delivers_and_the_other_takes_over_what_it_was_at(tmp_path, mongodb, receiver):
    with mongodb.address() as store, serve(tmp_path / "a", store) as first:
        first.wait_until_ready()
        bearer = token(first, store)
        with serve(tmp_path / "b", store) as second, client(first, bearer) as here, client(second, bearer) as there:
            second.wait_until_ready()
            subscribe(here, receiver)
            put(here, subscription("W", "", type="websocket"))
            with socket(second, authorization=f"Bearer {bearer}") as talking:
                talking.send("bind W")
                assert talking.recv(20) == "bound W"
                put(here, observation("o0", "P"))
                assert talking.recv(20) == "ping W"  # of what the other hub has stored
            for number in range(1, 40):
                put((here, there)[number % 2], observation(f"o{number}", "P"))
            until(receiver, "/hook", 40)
            assert len(receiver.of("/hook")) == 40  # by one of the two only
            failing_now_and_then(receiver)
            for number in range(40, 60):
                put(here, observation(f"o{number}", "P"))
            job = reindexing(here, {"name": "type", "valueCode": "Observation"})
            until(receiver, "/hook", 45)
            kill(first)
            for number in range(60, 80):
                put(there, observation(f"o{number}", "P"))
            check_heard(receiver, 80)
            address = job.headers["content-location"].replace(first.url, second.url)
            end = time.monotonic() + PATIENCE  # what it had open in a transaction is free when mongod ends that
            while (answer := there.get(address)).status_code == 202:
                assert time.monotonic() < end
                time.sleep(0.1)
            assert answer.json()["parameter"] == [{"name": "resources", "valueInteger": 80}]
