"""Open prompts when evidence is withdrawn, comes back, or runs out by itself: marked at once, without anybody looking."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from datetime import date, timedelta

import pytest

from hub.jobs import OVER, jobs_in
from hub.keep import keep
from hub.recognition.facts import recognition_of
from hub.recognition.publishing.changed import changed_pairs
from hub.recognition.publishing.review import KEY, KIND, SHELF
from hub.recognition.publishing.service import publish_facts
from tests.hub.recognition.test_cds_hooks import call
from tests.hub.recognition.test_decisions import ask, decide, task_of
from tests.hub.recognition.test_publishing import ADMIN, EVIDENCE, evidence
from tests.hub.web.county import COUNTY, ID_NUMBER, NOW, build, encounter, patient

POTASSIUM = ("CTY", "L0101")


@pytest.fixture(params=["sqlite", "mongodb"])
def place(request, tmp_path):
    """The neighbour county's hospital treats the resident too: it goes by marks alone, for it is of no community."""
    with ExitStack() as stack:
        store = stack.enter_context(request.getfixturevalue("mongodb").address()) if request.param == "mongodb" else ""
        days = []
        clock = lambda: int((NOW + timedelta(days=len(days))).timestamp() * 1000)  # noqa: E731
        site = build(tmp_path, clock=clock, store=store)
        stack.callback(site.hub.close)
        for record in (patient("FAR", "F9", "曾晓燕", card=True), encounter("FAR", "F9", 0, "IMP")):
            site.hub.store.write(
                lambda t, r=record: keep(t, r, id=r["id"], facility="FAR", now=clock(), policy=COUNTY.policy)
            ).result()
        until(lambda: site.hub.store.item(SHELF, KEY) is not None)
        yield site, days


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def publish(site, facts):
    asyncio.run(publish_facts(site.hub, recognition_of(site.app.state), ADMIN, facts))


def reviews(site):
    return [job for job in jobs_in(site.hub.store, OVER) if job.kind == KIND and job.state == "done"]


def lapse(site, prompt):
    return task_of(site, prompt).get("businessStatus", {}).get("text", "")


def without_potassium(row):
    return None if (row.organization, row.item) == POTASSIUM else row


def test_a_row_withdrawn_marks_the_open_prompts_that_rest_on_it_and_put_back_opens_them_again(place):
    site, _ = place
    prompts = {
        "open": ask(site, "r1", "钾")["answers"][0]["prompt"],
        "other item": ask(site, "r1", "肌酐")["answers"][0]["prompt"],
        "decided": ask(site, "r2", "钾")["answers"][0]["prompt"],
        "elsewhere": ask(site, "r1", "http://loinc.org|2823-3", who="FAR", patient="", id_number=ID_NUMBER)["answers"][0]["prompt"],
    }
    assert all(prompts.values())
    assert decide(site, prompts["decided"], decision="recognise").status_code == 200
    publish(site, evidence("2", change=without_potassium))
    until(lambda: len(reviews(site)) == 1)
    assert {name: lapse(site, prompt) for name, prompt in prompts.items()} == {
        "open": "eqa-none",
        "other item": "",
        "decided": "",
        "elsewhere": "mark-unverified",
    }
    assert reviews(site)[0].result == {"reviewed": 3, "changed": 2}
    told = call(site, "GET", f"/recognition/prompt/{prompts['open']}").json()
    assert (told["counts"], told["decision"]) == (False, "")
    publish(site, evidence("3"))
    until(lambda: len(reviews(site)) == 2)
    assert {lapse(site, prompt) for prompt in prompts.values()} == {""}
    events = call(site, "GET", "/fhir/AuditEvent?agent-name=yitong-pipeline&_count=50", who="admin").json()["entry"]
    assert any(
        e["what"]["reference"].startswith("Task/") for each in events for e in each["resource"].get("entity", ()) if "what" in e
    )


def test_a_row_that_runs_out_marks_them_by_itself_when_its_last_day_is_over(place):
    site, days = place
    today = date(2026, 3, 10)
    publish(
        site,
        evidence("2", change=lambda row: row.model_copy(update={"valid_to": today}) if without_potassium(row) is None else row),
    )
    until(lambda: len(reviews(site)) == 1)
    far = ask(site, "r1", "http://loinc.org|2823-3", who="FAR", patient="", id_number=ID_NUMBER)["answers"][0]["prompt"]
    own = ask(site, "r1", "钾")["answers"][0]["prompt"]  # of one community: it needs no mark
    assert (lapse(site, far), lapse(site, own)) == ("", "")
    days.append(1)
    until(lambda: len(reviews(site)) == 2)
    assert (lapse(site, far), lapse(site, own)) == ("mark-lapsed", "")


def test_whose_marks_stand_otherwise():
    later = date(2040, 1, 1)  # when the demonstration's evidence is over
    day = date(2026, 3, 10)
    assert changed_pairs(EVIDENCE, day, EVIDENCE, day) == frozenset()
    assert changed_pairs(EVIDENCE, day, evidence("2", change=without_potassium), day) == {POTASSIUM}
    every = {(row.organization, row.item) for row in EVIDENCE.rows if row.valid_to >= day}
    assert changed_pairs(EVIDENCE, day, EVIDENCE, later) == every
