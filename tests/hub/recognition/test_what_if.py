"""A new catalogue over last month's orders: hand-counted changes by step, item and facility; nothing is written."""

from __future__ import annotations

import time
from datetime import date
from typing import get_args

import pytest

from hub.recognition.publishing.columns import columns_of
from hub.recognition.publishing.drafts import MOST, draft_in, draft_of, drafts_in, keep_draft
from hub.recognition.publishing.what_if import submit_what_if
from profiles.catalogue import Catalogue, Item
from tests.hub.recognition.test_cds_hooks import call
from tests.hub.recognition.test_decisions import ask
from tests.hub.recognition.test_publishing import CATALOGUE, catalogue, evidence
from tests.hub.web.county import build, day

FIRST, LAST = date(2026, 2, 8), date(2026, 3, 10)
LOINC = "http://loinc.org"


@pytest.fixture(scope="module")
def ordered(tmp_path_factory):
    """Two prompts; five orders: one is a prompt's, one was withdrawn, one means no item."""
    site = build(tmp_path_factory.mktemp("ordered"))
    assert all(ask(site, "w1", item)["answers"][0]["prompt"] for item in ("钾", "肌酐"))
    orders = (
        ("urn:hub:TWP:item", "钾", 0, "active"),
        ("urn:hub:TWP:item", "钾", 3, "completed"),
        (LOINC, "14933-6", 0, "active"),
        (LOINC, "2823-3", 1, "revoked"),
        ("urn:hub:TWP:item", "没有这个", 1, "active"),
    )
    for number, (system, code, ago, status) in enumerate(orders):
        order = {
            "resourceType": "ServiceRequest",
            "id": f"placed-{number}",
            "status": status,
            "intent": "order",
            "code": {"coding": [{"system": system, "code": code}]},
            "subject": {"reference": f"Patient/{site.person}"},
            "authoredOn": day(ago, "09:30:00"),
        }
        assert call(site, "PUT", f"/fhir/ServiceRequest/placed-{number}", order, "TWP").status_code == 201
    yield site
    site.hub.close()


def tried(site, facts):
    """The result of a what-if run of `facts`."""
    hub = site.hub
    draft = draft_of(facts, "new.xlsx", "office", hub.clock())
    hub.store.write(lambda transaction: keep_draft(transaction, draft)).result()
    job = hub.store.write(lambda transaction: submit_what_if(transaction, draft.id, FIRST, LAST, hub.clock())).result()
    hub.jobs.wake()
    end = time.monotonic() + 60
    while not (found := hub.jobs.job(job.id)).over:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert found.state == "done", found.message
    return found.result


def changed(facts, **items):
    """The catalogue with other values for some items, by code."""
    return Catalogue(
        catalogue=facts.catalogue,
        items=tuple(item.model_copy(update=items.get(item.code, {})) for item in facts.items),
    )


def test_what_is_newly_and_no_longer_recognisable_is_counted_by_step_item_and_facility(ordered):
    day_only = {"validity_days": {**CATALOGUE.item("L0101").validity_days, "outpatient": 1}}
    told = tried(ordered, changed(catalogue("2"), L0101=day_only, L0203={"requires_eqa": "no"}))
    price = {code: CATALOGUE.item(code).price for code in ("L0101", "L0203")}
    net = price["L0203"] - price["L0101"]
    assert told["total"] == [4, 2, 2, 1, 1, net]  # orders, recognisable before and after, newly, no longer, fen
    assert {row[0]: row[4:6] for row in told["steps"]} == {"window": [0, 1], "eqa": [1, 0]}
    assert {row[0]: row[1:6] for row in told["items"]} == {
        "L0101": [2, 1, 0, 0, 1],
        "L0201": [1, 1, 1, 0, 0],
        "L0203": [1, 0, 1, 1, 0],
    }
    assert [row[0] for row in told["facilities"]] == ["TWP"]
    assert (told["names"]["L0101"], told["cut"]) == (["钾", "Potassium"], False)


def test_an_item_that_is_taken_out_of_it_or_whose_evidence_is_withdrawn(ordered):
    told = tried(ordered, catalogue("2", keep=lambda item: item.code != "L0101"))
    assert told["steps"] == [["mapping", 1, 1, 0, 0, 1, -300]]
    told = tried(ordered, evidence("2", change=lambda row: None if row.item == "L0101" else row))
    assert told["steps"] == [["eqa", 1, 1, 0, 0, 1, -300]]
    assert tried(ordered, catalogue("2"))["steps"] == []
    assert tried(ordered, catalogue("2", region="county:110000", keep=lambda item: False))["steps"] == []


def test_drafts_are_few_and_the_oldest_make_room(ordered):
    store = ordered.hub.store
    for number in range(MOST + 3):
        draft = draft_of(catalogue(str(number)), "a.xlsx", "office", ordered.hub.clock() + number)
        store.write(lambda transaction, d=draft: keep_draft(transaction, d)).result()
    assert [draft.version for draft in drafts_in(store)] == [str(number) for number in range(MOST + 2, 2, -1)]
    assert draft_in(store, draft.id).facts == catalogue(str(MOST + 2))


def test_the_choices_of_a_workbook_are_those_of_the_catalogue():
    for column in columns_of("catalogue", ("outpatient",)):
        stated = get_args(Item.model_fields[column.field].annotation) if column.choices and column.field != "contrast" else ()
        assert set(stated) == (set(column.choices) if stated else set()), column.field
