"""Two `yitong serve`, each with its own data folder and fronts, on one MongoDB store: to their clients they are one hub."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.base import SourceUnavailable
from connectors.hl7v2_mllp.client import MllpClient
from demo.process import HubProcess, free_ports
from tests.hub.ingest.messages import oru

pytestmark = pytest.mark.slow

JSON = {"content-type": "application/fhir+json"}
FRONTS = 2
START_SECONDS = 200  # of two hubs at once, on a busy machine
TOGETHER = 8
CHANNEL = "cty-lis"


@dataclass
class Pair:
    address: str
    hubs: tuple[HubProcess, HubProcess]
    clients: tuple[httpx.Client, httpx.Client]
    port: int  # of the MLLP channel that both are told to listen on

    @property
    def here(self) -> httpx.Client:
        return self.clients[0]

    @property
    def there(self) -> httpx.Client:
        return self.clients[1]

    def anew(self, number: int) -> httpx.Client:
        """A connection of its own: whichever front of that hub takes it."""
        known = self.clients[number % 2]
        return httpx.Client(base_url=known.base_url, headers=known.headers, timeout=60)

    def owner(self) -> int | None:
        """Which hub listens for the laboratory."""
        up = [number for number, client in enumerate(self.clients) if channel(client)["up"]]
        assert len(up) < 2, "two owners of one channel"
        return up[0] if up else None


@pytest.fixture(scope="module")
def pair(mongodb, tmp_path_factory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("hubs")
    *web, port = free_ports(3)
    county = (
        '[[facility]]\ncode = "CTY"\nname = "示范县人民医院"\n'
        f'[[channel]]\nname = "{CHANNEL}"\nconnector = "hl7v2_mllp"\nfacility = "CTY"\nport = {port}\n'
    )
    with mongodb.address() as address, ExitStack() as stack:
        hubs = [stack.enter_context(serve(folder / name, at, address, county)) for name, at in zip("ab", web, strict=True)]
        for hub in hubs:
            hub.wait_until_ready(START_SECONDS)
        token = yitong("token", "create", "--data", hubs[0].data, "--store", address, "--name", "a", "--role", "admin").split()[-1]
        headers = {"authorization": f"Bearer {token}"}
        clients = [stack.enter_context(httpx.Client(base_url=hub.url, headers=headers, timeout=60)) for hub in hubs]
        yield Pair(address, (hubs[0], hubs[1]), (clients[0], clients[1]), port)


def serve(data: Path, port: int, address: str, county: str) -> HubProcess:
    data.mkdir(mode=0o700)
    (data / "county.toml").write_text(county, "utf-8")
    return HubProcess(data, port, "--store", address, "--processes", str(FRONTS))


def yitong(*arguments: object, most: int = 0) -> str:
    """What it says; `most`: the highest exit code that is no failure."""
    command = [sys.executable, "-m", "hub", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode <= most, done.stderr
    return done.stdout


def basic(id: str = "", text: str = "x") -> dict[str, Any]:
    return {"resourceType": "Basic", **({"id": id} if id else {}), "code": {"text": text}}


def channel(client: httpx.Client) -> dict[str, Any]:
    return next(each for each in client.get("/ops/status").json()["channels"] if each["source"] == CHANNEL)


def ids(page: dict[str, Any]) -> list[str]:
    return [entry["resource"]["id"] for entry in page.get("entry", [])]


def following(page: dict[str, Any]) -> str | None:
    """The next page's address, whichever hub is asked."""
    link = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
    return httpx.URL(link).raw_path.decode() if link else None


def wait_until(holds: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_is_acknowledged_is_seen_at_once_by_every_front_of_both(pair: Pair) -> None:
    def write_and_look(number: int) -> None:
        with pair.anew(number) as writing:
            made = writing.post("/fhir/Basic", json=basic(text=f"seen {number}"), headers=JSON)
        id = made.json()["id"]
        for each in range(2 * 2 * FRONTS):
            with pair.anew(each) as looking:
                assert looking.get(f"/fhir/Basic/{id}").json()["code"]["text"] == f"seen {number}"
                assert ids(looking.get("/fhir/Basic", params={"_id": id}).json()) == [id]
                assert ids(looking.get("/fhir/Basic", params={"_count": 50}).json()).count(id) == 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write_and_look, range(6)))


def test_no_update_is_lost_whether_or_not_it_says_if_match(pair: Pair) -> None:
    assert pair.here.put("/fhir/Basic/counter", json=basic("counter", "0"), headers=JSON).status_code == 201

    def count_up(number: int) -> int:
        """What was answered 412 until it was done."""
        refused = 0
        while True:
            client = pair.clients[(number + refused) % 2]
            current = client.get("/fhir/Basic/counter")
            increased = basic("counter", str(int(current.json()["code"]["text"]) + 1))
            answer = client.put("/fhir/Basic/counter", json=increased, headers=JSON | {"if-match": current.headers["etag"]})
            if answer.status_code == 200:
                return refused
            assert answer.status_code == 412, answer.text
            refused += 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count_up, range(20)))
    assert pair.there.get("/fhir/Basic/counter").json()["code"]["text"] == "20"

    def state(number: int) -> str:
        answer = pair.clients[number % 2].put("/fhir/Basic/stated", json=basic("stated", f"{number}"), headers=JSON)
        return answer.headers["etag"]

    with ThreadPoolExecutor(TOGETHER) as pool:
        etags = list(pool.map(state, range(40)))
    assert sorted(etags) == sorted(f'W/"{number}"' for number in range(1, 41))
    history = pair.there.get("/fhir/Basic/stated/_history", params={"_count": 100}).json()
    assert {entry["resource"]["code"]["text"] for entry in history["entry"]} == {str(number) for number in range(40)}


def test_conditional_creates_at_both_make_one_resource(pair: Pair) -> None:
    body = {**basic(), "identifier": [{"system": "urn:t", "value": "once"}]}
    start = threading.Barrier(TOGETHER)

    def create(number: int) -> tuple[int, str]:
        with pair.anew(number) as client:
            start.wait()
            answer = client.post("/fhir/Basic", json=body, headers=JSON | {"if-none-exist": "identifier=urn:t|once"})
        assert answer.status_code in (200, 201), answer.text
        return answer.status_code, answer.json()["id"]

    with ThreadPoolExecutor(TOGETHER) as pool:
        answers = list(pool.map(create, range(TOGETHER)))
    assert sorted(status for status, _ in answers) == [200] * (TOGETHER - 1) + [201]
    assert len({id for _, id in answers}) == 1


def test_pages_walked_over_both_while_others_write_neither_lose_nor_repeat(pair: Pair) -> None:
    there_before = set()
    for number in range(30):
        answer = pair.clients[number % 2].put(f"/fhir/Group/g{number:02d}", json=group(f"g{number:02d}"), headers=JSON)
        assert answer.status_code == 201, answer.text
        there_before.add(f"g{number:02d}")
    stop = threading.Event()

    def write(which: int) -> None:
        number = 0
        with pair.anew(which) as client:
            while not stop.is_set():
                client.put(f"/fhir/Group/new-{which}-{number}", json=group(f"new-{which}-{number}"), headers=JSON)
                client.put(f"/fhir/Group/g{number % 30:02d}", json=group(f"g{number % 30:02d}", number + 1), headers=JSON)
                number += 1

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write, which) for which in range(2)]
        try:
            for walk in (0, 1):
                found: list[str] = []
                turns = 0
                address: str | None = "/fhir/Group?_count=4"
                while address:
                    answer = pair.clients[(walk + turns) % 2].get(address)
                    assert answer.status_code == 200, answer.text
                    found += ids(answer.json())
                    address, turns = following(answer.json()), turns + 1
                assert len(found) == len(set(found))
                assert there_before <= set(found)
        finally:
            stop.set()
        for writer in writers:
            writer.result()


def group(id: str, quantity: int = 0) -> dict[str, Any]:
    return {"resourceType": "Group", "id": id, "type": "person", "actual": False, "quantity": quantity}


def test_a_search_parameter_made_at_one_is_answered_at_the_other(pair: Pair) -> None:
    color = {"url": "urn:t:color", "valueCode": "red"}
    assert pair.there.put("/fhir/Basic/red", json={**basic("red"), "extension": [color]}, headers=JSON).status_code == 201
    parameter = {
        "resourceType": "SearchParameter",
        "id": "color",
        "url": "urn:t:SearchParameter/color",
        "name": "color",
        "status": "active",
        "description": "Color",
        "code": "color",
        "base": ["Basic"],
        "type": "token",
        "expression": "Basic.extension.where(url='urn:t:color').value",
    }
    made = pair.here.put("/fhir/SearchParameter/color", json=parameter, headers=JSON)
    assert made.status_code == 201, made.text

    def answers(client: httpx.Client, wanted: list[str]) -> bool:
        answer = client.get("/fhir/Basic", params={"color": "red"})
        return answer.status_code == 200 and sorted(ids(answer.json())) == wanted

    for client in pair.clients:
        wait_until(lambda client=client: answers(client, ["red"]))
    assert pair.here.put("/fhir/Basic/red2", json={**basic("red2"), "extension": [color]}, headers=JSON).status_code == 201
    assert answers(pair.there, ["red", "red2"])


def test_one_of_them_listens_for_a_laboratory_and_the_other_takes_over_when_it_is_killed(pair: Pair) -> None:
    wait_until(lambda: pair.owner() is not None)
    owner = pair.owner() or 0
    heir = 1 - owner
    assert channel(pair.clients[heir])["problem"] == "another hub on this store has the channel"
    assert deliver(pair.port, 1)
    wait_until(lambda: reports(pair.clients[heir]) == 1)
    hub = pair.hubs[owner]
    yitong("doctor", "--data", hub.data, "--store", pair.address, "--url", hub.url, most=1)  # warned: this server has a hole
    replayed = yitong("replay", "--data", pair.hubs[owner].data, "--store", pair.address, "--channel", CHANNEL)
    assert "1 record matches" in replayed
    assert "The running hub does it now" in replayed

    os.kill(pair.hubs[owner].pid, signal.SIGKILL)
    wait_until(lambda: channel(pair.clients[heir])["up"])
    wait_until(lambda: deliver(pair.port, 2))
    wait_until(lambda: reports(pair.clients[heir]) == 2)
    assert channel(pair.clients[heir])["received"] == 1, "each journal holds what its hub took"
    replayed = yitong("replay", "--data", pair.hubs[owner].data, "--store", pair.address, "--channel", CHANNEL)
    assert "1 record matches" in replayed
    assert "running hub" not in replayed, "it is done by the command itself: nobody holds the folder"
    assert reports(pair.clients[heir]) == 2


def deliver(port: int, number: int) -> bool:
    """Whether it was acknowledged."""
    with closing(MllpClient("127.0.0.1", port)) as laboratory:
        try:
            return b"MSA|AA|" in laboratory.send(oru(number))
        except SourceUnavailable:
            return False


def reports(client: httpx.Client) -> int:
    found: int = client.get("/fhir/DiagnosticReport", params={"_summary": "count"}).json()["total"]
    return found
