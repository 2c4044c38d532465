"""What is MongoDB's alone: which server is accepted, and that several processes on one store agree."""

from __future__ import annotations

import base64
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from pymongo import MongoClient

from hub.errors import HubError, Invalid, Kind, Unavailable
from hub.fhir_json import load
from hub.search.query import Criterion, SearchQuery, Sort, UriValue
from hub.store.lease import Lease
from hub.store.mongo import MongoStore
from hub.store.mongo.checks import mended, version_of
from hub.store.mongo.reading import ON_THE_WAY
from hub.store.mongo.writer import Writer
from hub.store.opening import target_of
from hub.store.port import EVERYTHING, Key, Scope, TooCostly
from tests.contracts.resources import every_id, observation, patient, save, token
from tests.mongod import FLAGS, make_replica_set, started, wait_for


@pytest.fixture
def store(mongodb) -> Iterator[MongoStore]:
    with mongodb.store() as opened:
        yield opened


@pytest.fixture(autouse=True)
def address(mongodb, monkeypatch):
    """For the other processes."""
    monkeypatch.setenv("TEST_ADDRESS", mongodb.uri)


@contextmanager
def worker(store, *arguments):
    command = [
        sys.executable,
        "-m",
        "tests.hub.store.mongo_worker",
        os.environ["TEST_ADDRESS"],
        store.database.name,
        *map(str, arguments),
    ]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()


def together(store, work, count):
    """What two other processes say that they did, at the same time."""
    with worker(store, work, "a", count) as one, worker(store, work, "b", count) as other:
        for process in (one, other):
            process.stdin.write("go\n")
            process.stdin.flush()
        return [json.loads(process.stdout.readline()) for process in (one, other)]


# -- which server


def test_a_standalone_server_is_refused_with_what_to_do(tmp_path):
    with started(tmp_path) as (_, address), pytest.raises(Unavailable, match=r"--replSet rs0 and run rs\.initiate\(\)"):
        MongoStore(address, "x", allow_unsafe=True)


def test_a_server_with_a_known_hole_is_refused_unless_that_is_allowed(mongodb):
    with pytest.raises(Unavailable, match=r"MongoDB 6\.0\.5 .*CVE-2025-14847.* install 6\.0\.27 or later.*allow_unsafe_server"):
        MongoStore(mongodb.uri, "x")


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        *[("6.0.26", False), ("6.0.27", True), ("4.4.29", False), ("4.4.30", True), ("4.2.25", False), ("3.6.23", False)],
        *[("8.2.2", False), ("8.2.3", True), ("8.1.9", False), ("8.3.0", True), ("9.0.0-rc1", True), ("7.0.28", True)],
    ],
)
def test_which_versions_have_no_known_hole(version, safe):
    assert mended(version_of(version)) is safe


def test_the_compose_file_starts_servers_that_a_hub_accepts_and_hands_passwords_on_in_files():
    text = (Path(__file__).parents[3] / "docker-compose.yml").read_text("utf-8")
    images = re.findall(r"image: mongo:(\S+)", text)
    assert images
    assert all(mended(version_of(image)) for image in images)
    assert "--replSet rs0" in text
    assert "@" not in re.sub(r"root:\$\$\{secret\(\"root_password\"\)\}@", "", text)


def test_a_password_belongs_into_the_environment_or_a_file_and_is_never_shown(tmp_path):
    with pytest.raises(Invalid, match="YITONG_STORE_FILE") as refused:
        target_of("mongodb://li:geheim@db1,db2/county")
    assert "geheim" not in str(refused.value)
    (tmp_path / "address").write_text("mongodb://li:geheim@db1,db2/county?replicaSet=rs0\n")
    for environment in (
        {"YITONG_STORE": "mongodb://li:geheim@db1,db2/county?replicaSet=rs0"},
        {"YITONG_STORE_FILE": str(tmp_path / "address")},
    ):
        found = target_of("", environment)
        assert (found.database, found.shown) == ("county", "mongodb://db1,db2/county")
        assert "geheim" in found.address
        assert "geheim" not in repr(found)
    assert target_of("", {}) is None
    assert target_of("mongodb://127.0.0.1").database == "yitong"
    for address in ("postgres://x/y", "mongodb://[::1/x"):
        with pytest.raises(Invalid, match="mongodb://host/database"):
            target_of(address)


def test_a_database_of_another_layout_is_refused(mongodb):
    with mongodb.database() as name, MongoClient(mongodb.uri) as client:
        for stated, refused in ((1, False), (2, True), (1, False)):
            client[name]["process"].update_one({"_id": "layout"}, {"$set": {"n": stated}}, upsert=True)
            with pytest.raises(Unavailable, match="layout 2; this program reads layout 1") if refused else nullcontext():
                MongoStore(mongodb.uri, name, allow_unsafe=True).close()


# -- works that share a transaction


def test_a_work_that_fails_among_many_fails_alone_whether_or_not_something_of_it_was_sent(store):
    save(store, patient(), "first")

    def one(number):
        def work(t):
            t.save(patient(number), id=f"p{number}", method="POST")
            t.put_item("shelf", f"{number}", b"x")
            if number % 3 == 0:
                t.find(SearchQuery("Patient", (token("identifier", f"{number}"),)))  # so far it is sent
            if number % 5 == 0:
                raise Invalid(f"{number}")

        return store.write(work)

    futures = [one(number) for number in range(60)]
    for number, future in enumerate(futures):
        error = future.exception(60)
        assert (str(error) == f"{number}" and isinstance(error, Invalid)) if number % 5 == 0 else error is None
    kept = {f"p{number}" for number in range(60) if number % 5}
    assert set(every_id(store, SearchQuery("Patient", count=100))) == {"first", *kept}
    assert {key for key, _ in store.items("shelf")} == {id.removeprefix("p") for id in kept}


def test_works_that_share_a_transaction_see_what_those_before_them_did(store):
    futures = [store.write(lambda t, n=n: t.save(patient(n), id="same", method="POST")) for n in range(40)]
    assert sorted(future.result(60).version.version for future in futures) == list(range(1, 41))


# -- several processes


def test_conditional_creates_in_two_processes_make_one_resource(store):
    found = together(store, "create", 4)
    assert len({id for each in found for id in each}) == 1
    assert len(every_id(store, SearchQuery("Patient"))) == 1


def test_updates_of_two_processes_each_become_a_version(store):
    etags = [etag for each in together(store, "update", 20) for etag in each]
    assert sorted(etags) == sorted(f'W/"{number}"' for number in range(1, 41))
    history = store.history(Key("Basic", "one"), count=100)
    assert [version.version for version in history] == list(range(40, 0, -1))
    assert {load(version.body)["code"]["text"] for version in history} == {f"{name}-{n}" for name in "ab" for n in range(20)}
    assert [v.updated for v in history] == sorted((v.updated for v in history), reverse=True)


def test_no_update_is_lost_between_two_processes_that_say_if_match(store):
    save(store, {"resourceType": "Basic", "code": {"text": "0"}}, "counter")
    together(store, "count_up", 15)
    counter = store.read(Key("Basic", "counter"))
    assert (load(counter.body)["code"]["text"], counter.version) == ("30", 31)


def test_a_commit_whose_answer_is_lost_is_done_once(store):
    save(store, patient(), "p1")
    client = store.database.client
    for fail in (
        {"failCommands": ["commitTransaction"], "closeConnection": True},
        {"failCommands": ["insert", "update"], "errorCode": 112, "errorLabels": ["TransientTransactionError"]},
    ):
        before = store.read(Key("Patient", "p1")).version
        client.admin.command("configureFailPoint", "failCommand", mode={"times": 2}, data={**fail, "appName": "yitong"})
        assert save(store, patient(multipleBirthInteger=before), "p1").version.version == before + 1
        assert store.read(Key("Patient", "p1")).version == before + 1


def test_a_long_work_is_not_starved_by_short_ones_on_the_same_document(store):
    """Whenever it is tried, another one commits before it does, as long as any other begins."""
    tries = []

    def long(workspace):
        tries.append(workspace.one("item", "hot"))
        end = time.monotonic() + 0.5
        while store.database.beside("item").find_one({"_id": "hot"}) == tries[-1] and time.monotonic() < end:
            pass
        workspace.put("item", {"_id": "hot", "value": "long"})

    def short(number):
        return lambda workspace: workspace.put("item", {"_id": "hot", "value": number})

    writer = Writer(store.database, patience=20, threads=2)
    result = writer.submit(long)

    def shorts(first):
        for number in itertools.takewhile(lambda _: not result.done(), itertools.count(first, 4)):
            writer.submit(short(number)).result(30)

    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(shorts, range(4)))
        assert result.exception() is None
        assert len(tries) < 10
    finally:
        writer.close()


def test_a_commit_whose_answer_never_comes_is_not_done_again(store):
    """The first one may have been kept."""
    tries = []

    def work(workspace):
        tries.append(1)
        workspace.put("item", {"_id": "shelf", "value": b"x"})

    lost = {"failCommands": ["commitTransaction"], "closeConnection": True, "appName": "yitong"}
    writer = Writer(store.database, patience=0.1, threads=1)
    try:
        store.database.client.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=lost)
        error = writer.submit(work).exception(60)
        assert isinstance(error, Unavailable)
        assert "whether the write was kept is not known" in str(error)
        assert tries == [1]
    finally:
        store.database.client.admin.command("configureFailPoint", "failCommand", mode="off")
        writer.close()


def test_a_server_that_is_silent_is_waited_for_by_one_and_the_others_are_told_at_once(tmp_path):
    with started(tmp_path, *FLAGS) as (server, address):
        make_replica_set(address)
        store = MongoStore(address, "x", allow_unsafe=True, statement_seconds=0.3)
        save(store, patient(), "p1")
        server.send_signal(signal.SIGSTOP)
        with pytest.raises(Unavailable, match="does not answer"):
            store.read(Key("Patient", "p1"))
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(store.items, "shelf") for _ in range(8)]
            assert all(isinstance(each.exception(60), Unavailable) for each in asked)
        assert time.monotonic() - began < 6 * (0.3 + ON_THE_WAY), "one after the other they would have waited for eight times that"
        server.send_signal(signal.SIGCONT)
        wait_for(lambda: answers(store))
        assert save(store, patient(2), "p1").version.version == 2
        store.close()


def answers(store):
    try:
        return store.read(Key("Patient", "p1")).version > 0
    except Unavailable:
        return False


def save_large(store, resource, id):
    """On a busy machine, too."""
    return store.write(lambda transaction: transaction.save(resource, id=id)).result(300).version


def test_what_no_server_could_keep_is_refused_and_says_so(store):
    noise = base64.b64encode(random.Random(1).randbytes(17_000_000)).decode()
    with pytest.raises(HubError, match="no resource that takes 16 MB") as refused:
        save_large(store, {"resourceType": "Basic", "code": {"text": noise}}, "large")
    assert refused.value.reason is Kind.TOO_LONG
    assert save(store, {"resourceType": "Basic", "code": {"text": "x"}}, "large").created


def test_a_table_of_more_codes_than_a_document_holds_is_kept_and_is_found_by_its_url(store):
    concepts = [{"code": f"XA{number:021}", "display": f"第{number}种注册药品的通用名称" * 9} for number in range(51_000)]
    table = {"resourceType": "CodeSystem", "url": "urn:drugs", "status": "active", "content": "complete", "concept": concepts}
    saved = save_large(store, table, "drugs")
    assert len(saved.body) > 17_000_000
    (found,) = store.search(SearchQuery("CodeSystem", (Criterion("url", "uri", (UriValue("urn:drugs"),)),)), EVERYTHING).matches
    assert found.body == saved.body == store.read(Key("CodeSystem", "drugs")).body
    save_large(store, {**table, "status": "retired"}, "drugs")
    assert store.vread(Key("CodeSystem", "drugs"), 1).body == saved.body
    store.write(lambda transaction: transaction.reindex("CodeSystem")).result(300)


def test_what_is_no_address_is_told_without_what_it_says():
    ends = ("ge heim@", "geheim@host:port/x", "ge@heim@host/x", "geheim@host/x?tsl=geheim")
    for address in (f"mongodb://li:{end}" for end in ends):
        with pytest.raises(HubError) as refused:
            MongoStore(address, "x")
        assert "heim" not in str(refused.value)
        assert "geheim" not in repr(refused.value.__cause__)


def test_a_search_past_its_time_is_too_costly(mongodb):
    with mongodb.store(statement_seconds=0.0) as hasty, pytest.raises(TooCostly, match="narrow it"):
        hasty.search(SearchQuery("Observation"), Scope(everything=True, types=None))


def test_whom_a_facility_treats_may_be_more_than_a_query_can_name(store, mongodb):
    def fill(t):
        for number in range(12):
            t.save(patient(number), id=f"p{number}", facility="B")
            t.save(observation(subject=f"p{number}", when=f"2024-05-{number + 1:02d}"), id=f"o{number}", facility="BC"[number % 2])
        for number in range(0, 12, 3):
            t.relate(Key("Encounter", f"e{number}"), [("A", f"p{number}", 100)])
        t.assign_person("p4", "p0")

    store.write(fill).result(30)
    few = Scope(facility="A", types=None, now=50)
    asking = MongoStore(mongodb.uri, store.database.name, allow_unsafe=True, most_listed=1)
    try:
        for query in (
            SearchQuery("Observation", count=2, total="accurate"),
            SearchQuery("Observation", (token("code", "718-7"),), (Sort("date", "date", True),), count=3, total="accurate"),
            SearchQuery("Patient", sort=(Sort("identifier", "token"),), count=1, total="accurate"),
        ):
            wanted = every_id(store, query, few)
            assert len(wanted) == 5
            assert every_id(asking, query, few) == wanted
            assert asking.search(query, few).total == len(wanted)
        page = asking.changes(few, count=50, type="Observation")
        assert {version.id for version in page.versions} == {"o0", "o3", "o4", "o6", "o9"}
    finally:
        asking.close()


# -- one owner


def test_a_lease_has_one_owner_until_it_is_given_back(store, mongodb):
    other = MongoStore(mongodb.uri, store.database.name, allow_unsafe=True)
    mine, theirs = Lease(store, "thing", seconds=30), Lease(other, "thing", seconds=30)
    try:
        assert mine.acquire()
        assert mine.acquire(), "asking again changes nothing"
        assert not theirs.acquire()
        mine.release()
        assert not mine.held
        assert theirs.acquire()
        assert not mine.acquire()
    finally:
        theirs.release()
        other.close()


def test_the_lease_of_a_process_that_was_killed_is_taken_over(store):
    """Only what the taker's own clock says of the record counts, so here it leaps."""
    now = 0.0
    lease = Lease(store, "thing", seconds=6, monotonic=lambda: now)

    def beat():
        return json.loads(store.item("lease", "thing"))["beat"]

    with worker(store, "hold", "a", 0) as holder:
        holder.stdin.write("go\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "held\n"
        assert not lease.acquire()
        first = beat()
        wait_for(lambda: beat() > first)
        now = 100.0
        assert not lease.acquire(), "it is renewed"
        holder.kill()
        holder.wait()
        now = 200.0
        if not lease.acquire():  # it was renewed once more before it was killed
            now = 300.0
            assert lease.acquire()
    lease.release()


def test_who_loses_a_lease_is_told(store):
    lost = threading.Event()
    lease = Lease(store, "thing", seconds=0.5)
    assert lease.acquire(on_lost=lost.set)
    store.write(lambda t: t.put_item("lease", "thing", b'{"holder":"another","beat":1}')).result(10)
    assert lost.wait(60)
    assert not lease.held
