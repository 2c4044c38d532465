"""What recognition brought: the sums of decisions made over HTTP, as MeasureReport, as a page and as a workbook."""

from __future__ import annotations

import asyncio
from io import BytesIO

import pytest
from openpyxl import load_workbook

from tests.hub.recognition.test_cds_hooks import call
from tests.hub.recognition.test_decisions import ask
from tests.hub.web.conftest import Visitor
from tests.hub.web.county import ID_NUMBER, build, day

CHINA_DAY = "2026-03-10"


@pytest.fixture(scope="module")
def counted_site(tmp_path_factory):
    """Five prompts of two facilities: two recognised, one refused, two unanswered; three orders, one placed again."""
    site = build(tmp_path_factory.mktemp("measures"))
    for visit, item, decision in (
        ("m1", "钾", {"decision": "recognise"}),
        ("m2", "钾", {"decision": "recognise"}),
        ("m3", "肌酐", {"decision": "repeat", "reason": "R02"}),
        ("m4", "肌酐", None),
    ):
        prompt = ask(site, visit, item)["answers"][0]["prompt"]
        if decision:
            assert call(site, "POST", "/recognition/decide", {"prompt": prompt, **decision}).status_code == 200
    assert ask(site, "m5", "K", who="CTY", patient="", id_number=ID_NUMBER)["answers"][0]["prompt"]
    for number, (code, ago) in enumerate((("钾", 9), ("钾", 5), ("肌酐", 1))):
        order = {
            "resourceType": "ServiceRequest",
            "id": f"placed-{number}",
            "status": "active",
            "intent": "order",
            "code": {"coding": [{"system": "urn:hub:TWP:item", "code": code}]},
            "subject": {"reference": f"Patient/{site.person}"},
            "authoredOn": day(ago),
        }
        assert call(site, "PUT", f"/fhir/ServiceRequest/placed-{number}", order).status_code == 201
    yield site
    site.hub.close()


def report(site, measure, who="admin", query=f"periodStart=2026-03-01&periodEnd={CHINA_DAY}"):
    return call(site, "GET", f"/fhir/Measure/{measure}/$evaluate-measure?{query}", who=who)


def populations(group):
    return {each["code"]["coding"][0]["code"]: each["count"] for each in group["population"]}


def test_the_rate_has_the_unanswered_in_its_denominator(counted_site):
    told = report(counted_site, "recognition-rate").json()
    (group,) = told["group"]
    assert populations(group) == {"numerator": 2, "denominator": 5, "denominator-exclusion": 0}
    assert group["measureScore"]["value"] == 0.4
    assert (told["contained"][0]["version"], told["period"]) == ("2", {"start": "2026-03-01", "end": CHINA_DAY})
    strata = {
        each["code"][0]["text"]: {s["value"]["text"]: populations(s) for s in each["stratum"]} for each in group["stratifier"]
    }
    assert strata["facility"]["TWP"] == {"numerator": 2, "denominator": 4, "denominator-exclusion": 0}
    assert strata["facility"]["CTY"]["denominator"] == 1
    assert strata["item"]["L0101"]["numerator"] == 2
    assert strata["month"]["2026-03"]["denominator"] == 5


def test_refusals_saved_and_repeats(counted_site):
    refusals = report(counted_site, "recognition-refusals").json()["group"][0]
    by_reason = next(each for each in refusals["stratifier"] if each["code"][0]["text"] == "reason")
    assert [(s["value"]["coding"][0]["code"], populations(s)["numerator"]) for s in by_reason["stratum"]] == [("R02", 1)]
    assert populations(report(counted_site, "recognition-saved").json()["group"][0]) == {"numerator": 600}
    repeats = report(counted_site, "recognition-repeats").json()["group"][0]
    assert (populations(repeats)["numerator"], populations(repeats)["denominator"]) == (1, 3)


def test_who_sees_whose_numbers(counted_site):
    assert populations(report(counted_site, "recognition-prompts", who="TWP").json()["group"][0]) == {"numerator": 4}
    assert populations(report(counted_site, "recognition-prompts", who="FAR").json()["group"][0]) == {"numerator": 0}
    assert report(counted_site, "recognition-prompts", who="reader").status_code == 403
    assert report(counted_site, "nothing").status_code == 404
    assert report(counted_site, "recognition-rate", query="periodStart=yesterday").status_code == 400


def test_the_page_and_its_workbook_say_the_same(counted_site):
    async def run():
        visitor = Visitor(counted_site)
        await visitor.login("admin")
        return (
            await visitor.get("/measures?lang=en"),
            await visitor.get("/measures.xlsx?lang=en"),
            await visitor.get("/measures?from=x&to=y"),
        )

    page, book, wrong = asyncio.run(run())
    assert page.status_code == book.status_code == wrong.status_code == 200
    assert "40.0%" in page.text
    assert "2026-03 Recognised: 2" in page.text
    assert "recognition-rate v2" in page.text.replace("</span>", "")
    assert "last six months" in wrong.text
    sheets = load_workbook(BytesIO(book.content), read_only=True)
    assert sheets.sheetnames == ["Facility", "Item", "Month", "R01–R12", "Definitions"]
    rows = list(sheets["Facility"].values)
    assert rows[0][:4] == ("Facility", "Prompts", "Recognised", "Refused")
    assert rows[-1][:8] == ("Σ", 5, 2, 1, 2, 0, 0.4, 6)


def test_a_bureau_is_told_of_whole_months_and_of_nothing_small(counted_site):
    """Five prompts are too few to be told; with four orders of each of three items more, what is small stands together."""
    site = counted_site
    site.tokens["bureau"] = site.hub.tokens.create("bureau", "bureau")
    query = "periodStart=2026-03-09&periodEnd=2026-03-09"
    few = report(site, "recognition-prompts", who="bureau", query=query).json()
    assert few["period"] == {"start": "2026-03-01", "end": "2026-03-31"}
    assert populations(few["group"][0]) == {"numerator": 0}
    assert "stratifier" not in few["group"][0] or few["group"][0]["stratifier"] == []
    placed = [f"more-{item}-{number}" for item, many in (("钾", 12), ("肌酐", 12), ("葡萄糖", 2)) for number in range(many)]
    for id in placed:
        _, item, _ = id.split("-")
        order = {
            "resourceType": "ServiceRequest",
            "id": f"more-{placed.index(id)}",
            "status": "active",
            "intent": "order",
            "code": {"coding": [{"system": "urn:hub:TWP:item", "code": item}]},
            "subject": {"reference": f"Patient/{site.person}"},
            "authoredOn": day(1),
        }
        assert call(site, "PUT", f"/fhir/ServiceRequest/{order['id']}", order).status_code == 201
    told = report(site, "recognition-repeats", who="bureau", query=query).json()["group"][0]
    every = report(site, "recognition-repeats", query="periodStart=2026-03-01&periodEnd=2026-03-31").json()["group"][0]
    assert populations(told) == populations(every)
    rows = {each["code"][0]["text"]: {s["value"]["text"]: populations(s) for s in each["stratum"]} for each in told["stratifier"]}
    assert "CTY" not in rows["facility"], "one prompt alone"
    assert "*" in rows["facility"]
    assert sum(row["denominator"] for row in rows["item"].values()) == populations(told)["denominator"]

    async def run():
        visitor = Visitor(site)
        await visitor.get("/login")
        return (await visitor.post("/login", token=site.tokens["bureau"], next="")).headers["location"], await visitor.get(
            "/measures"
        )

    where, page = asyncio.run(run())
    assert where == "/measures"
    assert "其余合计（各不足 10）" in page.text
    assert "按整月统计" in page.text
