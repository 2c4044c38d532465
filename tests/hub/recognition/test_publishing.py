"""Catalogues and evidence as published data: which holds for whom from when, on both stores, and who may say so."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from datetime import date

import pytest

from hub.app import create_app, open_hub
from hub.errors import HubError, NotAllowed
from hub.fhir_json import load
from hub.recognition.facts import recognition_of, recognition_service
from hub.recognition.publishing.library import Publication, Published
from hub.security.access import Access
from hub.store.port import Key
from profiles.catalogue import load_catalogue, load_evidence
from tests.hub.recognition.test_cds_hooks import call
from tests.hub.web.county import COUNTY, NOW, Site

ADMIN = Access("office", "admin")
CATALOGUE, EVIDENCE = load_catalogue("county-demo"), load_evidence("county-demo")


def catalogue(version, region="", published="2026-03-01", keep=lambda item: True, **item_changes):
    head = CATALOGUE.catalogue.model_copy(update={"version": version, "region": region, "published": date.fromisoformat(published)})
    items = tuple(item.model_copy(update=item_changes) for item in CATALOGUE.items if keep(item))
    return CATALOGUE.model_copy(update={"catalogue": head, "items": items})


def evidence(version, published="2026-03-01", change=lambda row: row):
    head = EVIDENCE.evidence.model_copy(update={"version": version, "published": date.fromisoformat(published)})
    rows = tuple(row for each in EVIDENCE.rows if (row := change(each)) is not None)
    return EVIDENCE.model_copy(update={"evidence": head, "rows": rows})


def published(hub, facts, access=ADMIN):
    return asyncio.run(hub.door.writing(access, lambda writes: writes.publish(Publication(facts)), "operation"))


@pytest.fixture(params=["sqlite", "mongodb"])
def place(request, tmp_path):
    with ExitStack() as stack:
        store = stack.enter_context(request.getfixturevalue("mongodb").address()) if request.param == "mongodb" else ""
        hub = open_hub(tmp_path, COUNTY, clock=lambda: int(NOW.timestamp() * 1000), store=store)
        stack.callback(hub.close)
        tokens = {"admin": hub.tokens.create("admin", "admin", ""), "TWP": hub.tokens.create("TWP", "clinician", "TWP")}
        yield Site(hub, create_app(hub), tokens, "", "")


def test_what_holds_for_whom_and_from_when(place):
    facts, other = recognition_of(place.app.state).facts, recognition_service(place.hub).facts  # two processes of one store
    assert facts.look().catalogue_of("TWP") == CATALOGUE
    published(place.hub, catalogue("2"))
    published(place.hub, catalogue("county", region="county:339900"))
    published(place.hub, catalogue("province", region="province:33"))
    published(place.hub, catalogue("elsewhere", region="county:110000"))
    published(place.hub, catalogue("to come", region="county:339900", published="2026-03-11"))
    published(place.hub, catalogue("older", published="2026-02-01"))
    for each in (facts, other):
        held = each.look()
        versions = {code: held.catalogue_of(code).catalogue.version for code in ("TWP", "CTY", "FAR", "nobody")}
        assert versions == {"TWP": "county", "CTY": "county", "FAR": "province", "nobody": "2"}
        assert held.usual.catalogue.version == "county"
        assert held is each.look()
    assert held.evidence == EVIDENCE
    for version in ("b", "a", "c"):  # of one day and one moment: the last holds
        published(place.hub, catalogue(version))
        assert other.look().catalogue_of("nobody").catalogue.version == version
    published(place.hub, evidence("2", change=lambda row: row if row.item != "L0101" else None))
    held = other.look()
    assert held.evidence.of("CTY", "L0101") == ()
    assert other.evidence_of(held.evidence_stamp) == held.evidence
    assert held.catalogue_of("TWP").catalogue.version == "county"


def test_who_may_publish_and_that_a_version_stays_what_it_was(place):
    hub, first = place.hub, catalogue("2")
    saved = published(hub, first)
    assert published(hub, first).version.version == saved.version.version
    with pytest.raises(Published, match="version 2 of county-demo"):
        published(hub, catalogue("2", price=1))
    for access in (Access("it", "it"), Access("a", "admin", "TWP"), Access("d", "clinician", "TWP"), Access("s", "system")):
        with pytest.raises(NotAllowed):
            published(hub, catalogue("3"), access)
    library = call(place, "GET", f"/fhir/Library/{saved.version.id}", who="TWP").json()
    assert (library["version"], library["status"], library["effectivePeriod"]["start"]) == ("2", "active", "2026-03-01")
    for who in ("TWP", "admin"):
        for method, path, body in (
            ("PUT", saved.version.id, {**library, "status": "retired"}),
            ("PUT", "chosen", {**library, "id": "chosen"}),
            (
                "PUT",
                saved.version.id,
                {"resourceType": "Library", "id": saved.version.id, "status": "draft", "type": {"text": "x"}},
            ),
            ("DELETE", saved.version.id, None),
        ):
            assert call(place, method, f"/fhir/Library/{path}", body, who).status_code in (403, 404), (who, method, path)
    assert load(hub.store.read(Key("Library", saved.version.id)).body) == library
    events = call(place, "GET", f"/fhir/AuditEvent?entity=Library/{saved.version.id}&_count=50", who="admin").json()["entry"]
    told = [(e["resource"]["agent"][0].get("name"), e["resource"]["outcome"]) for e in events if e["resource"]["action"] == "C"]
    assert ("office", "0") in told
    with pytest.raises(HubError):
        hub.store.read(Key("Library", "chosen"))
