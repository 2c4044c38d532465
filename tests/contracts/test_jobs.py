"""Jobs on every store: each is done by one process, goes on where it was, and stops when asked to."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import msgspec
import pytest

from hub.errors import Invalid, Unavailable
from hub.jobs import Jobs, job_in, jobs_in, patiently, put, submit
from tests.contracts.conftest import ticking

PIECES = 5


def counting(run, *, at_piece=lambda number: None):
    """Counts to five on a shelf, one at a time."""
    while run.job.done < PIECES:
        at_piece(run.job.done)

        def piece(transaction):
            done = run.job.done + 1
            transaction.put_item("count", f"{run.job.id}/{done}", (transaction.item("count", f"{run.job.id}/{done}") or b"") + b"x")
            return run.save_in(transaction, position=str(done), done=done)

        run.write(piece)
    return {"resourceType": "Parameters"}


@contextmanager
def process(store, *, sole=True, **kinds):
    jobs = Jobs(store, ticking(), sole=sole)
    for kind, work in kinds.items():
        jobs.serve(kind, work)
    jobs.start()
    try:
        yield jobs
    finally:
        jobs.close()


def submitted(store, kind="count", now=1_700_000_000_000):
    return store.write(lambda transaction: submit(transaction, kind, now, caller="somebody")).result().id


def until(store, id, state):
    end = time.monotonic() + 60
    while (job := job_in(store, id)).state != state:
        assert time.monotonic() < end, job
        time.sleep(0.01)
    return job


def counted(store, id):
    return [value for _, value in store.items("count", prefix=f"{id}/")]


def test_a_job_is_done_and_remembered(store):
    with process(store, count=counting):
        id = submitted(store)
        job = until(store, id, "done")
    assert (job.done, job.position, job.caller, job.result) == (5, "5", "somebody", {"resourceType": "Parameters"})
    assert counted(store, id) == [b"x"] * PIECES
    assert list(jobs_in(store)) == []


def test_it_goes_on_after_a_stop_where_it_was(store):
    reached, leave = threading.Event(), threading.Event()

    def slowly(number):
        if number == 3:
            reached.set()
            assert leave.wait(60)

    id = submitted(store)
    with process(store, count=lambda run: counting(run, at_piece=slowly)):
        assert reached.wait(60)
        closing = threading.Timer(0.05, leave.set)  # once `close` is waiting
        closing.start()
    assert job_in(store, id).state == "running"
    assert len(counted(store, id)) == 4
    with process(store, count=counting):
        until(store, id, "done")
    assert counted(store, id) == [b"x"] * PIECES


def test_it_stops_when_cancelled(store):
    reached, leave = threading.Event(), threading.Event()

    def slowly(number):
        if number == 2:
            reached.set()
            assert leave.wait(60)

    id = submitted(store)
    with process(store, count=lambda run: counting(run, at_piece=slowly)) as jobs:
        assert reached.wait(60)
        jobs.cancel(id)
        leave.set()
        assert until(store, id, "cancelled").done == 2
        jobs.cancel(id)
        waiting = submitted(store)
        until(store, waiting, "done")
    assert len(counted(store, id)) == 2


def test_one_that_waits_is_cancelled_before_it_begins(store):
    id = submitted(store)
    Jobs(store, ticking(), sole=True).cancel(id)
    with process(store, count=counting):
        until(store, id, "cancelled")
    assert counted(store, id) == []


def test_two_processes_share_the_jobs_and_each_is_done_by_one(store):
    ids = [submitted(store, now=1_700_000_000_000 + number) for number in range(4)]
    with process(store, sole=False, count=counting), process(store, sole=False, count=counting):
        for id in ids:
            until(store, id, "done")
    assert all(counted(store, id) == [b"x"] * PIECES for id in ids)


def test_one_that_must_be_done_goes_on_when_the_store_is_back(store):
    away = iter([True])

    def at_piece(number):
        if number == 3 and next(away, False):
            raise Unavailable("the store's server does not answer")

    work = patiently(lambda run: counting(run, at_piece=at_piece), seconds=0.05)
    with process(store, count=work):
        id = submitted(store)
        assert until(store, id, "done").done == PIECES
    assert counted(store, id) == [b"x"] * PIECES


def test_what_a_dead_process_held_is_taken_over_when_its_time_is_up(store):
    held, free = submitted(store, "held"), submitted(store, "free")
    for id, until_when in ((held, 9_000_000_000_000), (free, 1)):

        def hold(transaction, id=id, until_when=until_when):
            job = job_in(transaction, id)
            put(transaction, msgspec.structs.replace(job, state="running", holder="dead", held_until=until_when))

        store.write(hold).result()
    with process(store, sole=False, held=counting, free=counting):
        until(store, free, "done")
    assert job_in(store, held).holder == "dead"
    with process(store, sole=True, held=counting):  # nobody else writes here: the holder must be gone
        until(store, held, "done")


def test_what_only_this_process_does_waits_for_no_holder(store):
    id = submitted(store)

    def hold(transaction):
        put(transaction, msgspec.structs.replace(job_in(transaction, id), state="running", holder="dead", held_until=2**53))

    store.write(hold).result()
    jobs = Jobs(store, ticking(), sole=False)
    jobs.serve("count", counting, own=True)
    jobs.start()
    until(store, id, "done")
    jobs.close()


def test_jobs_of_one_kind_come_one_after_the_other(store):
    order, ids = [], [submitted(store, now=1_700_000_000_000 + number) for number in (3, 1, 2)]

    def note(run):
        order.append(run.job.id)
        return counting(run)

    with process(store, count=note):
        for id in ids:
            until(store, id, "done")
    assert order == sorted(ids)


@pytest.mark.parametrize(
    ("error", "said"), [(Invalid("no such folder"), "no such folder"), (ValueError("曾小乐"), "the server failed")]
)
def test_a_failure_says_why_and_never_what(store, caplog, error, said):
    def fail(run):
        raise error

    with process(store, count=fail):
        id = submitted(store)
        assert said in until(store, id, "failed").message
    assert "曾小乐" not in caplog.text
