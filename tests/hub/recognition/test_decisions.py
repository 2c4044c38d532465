"""The plain call of an old HIS, the page in a frame, and what becomes of an open prompt when a laboratory's evaluation lapses."""

from __future__ import annotations

import asyncio
import re
import uuid
from datetime import date

import httpx
import pytest

from tests.hub.recognition.test_cds_hooks import call, prompts
from tests.hub.recognition.test_publishing import evidence, published
from tests.hub.web.conftest import site  # noqa: F401  the county with its three facilities
from tests.hub.web.county import ID_NUMBER, NUMBERS, build


def ask(site, visit, *items, who="TWP", **more):  # noqa: F811
    answer = call(site, "POST", "/recognition/ask", {"patient": NUMBERS["TWP"], "items": list(items), "visit": visit, **more}, who)
    assert answer.status_code == 200, answer.text
    return answer.json()


def decide(site, prompt, **more):  # noqa: F811
    return call(site, "POST", "/recognition/decide", {"prompt": prompt, **more})


def task_of(site, prompt):  # noqa: F811
    return next(task for task in prompts(site) if task["identifier"][0]["value"] == f"urn:uuid:{prompt}")


def test_one_object_in_one_out_with_the_sites_own_codes_and_numbers(site):  # noqa: F811
    told = ask(site, "p1", "钾", "没有这个", doctor="D7")
    potassium, unknown = told["answers"]
    assert (potassium["item"], potassium["name"], potassium["verdict"]) == ("L0101", "钾", "recognisable")
    best = potassium["results"][0]
    assert (best["value"], best["age_days"], best["facility_name"]) == ("3.2 mmol/L", 2, "示范县人民医院")
    assert (best["mark_claimed"], best["mark_verified"], best["eqa_now"]) == ("全国HR", ["national"], "valid")
    assert "/doc/DiagnosticReport/" in best["report"]
    assert all(result["why_not"] for result in potassium["results"][1:])
    assert (unknown["item"], unknown["prompt"], unknown["results"]) == ("", "", [])
    assert [reason["code"] for reason in told["reasons"]] == [f"R{n:02d}" for n in range(1, 13)]
    by_card = ask(site, "p1", "钾", patient="", id_number=ID_NUMBER)["answers"][0]
    assert by_card["prompt"] == potassium["prompt"]
    assert ask(site, "p1", "钾", patient="nobody") == {"known": False, "answers": []}


def test_recognised_it_saves_the_orderers_price_and_gives_the_text_for_the_record(site):  # noqa: F811
    prompt = ask(site, "p2", "钾")["answers"][0]["prompt"]
    told = decide(site, prompt, decision="recognise", doctor="D7").json()
    assert (told["recorded"], told["counts"], told["saved_fen"]) == (True, True, 300)
    assert "示范县人民医院 2026-03-08 08:00 的钾结果：3.2 mmol/L" in told["citation"]
    task = task_of(site, prompt)
    assert task["owner"]["identifier"] == {"system": "urn:hub:TWP:practitioner", "value": "D7"}
    assert ask(site, "p2", "钾")["answers"][0]["decided"] == "recognised"
    changed = decide(site, prompt, decision="repeat", reason="R02").json()  # a doctor may think again
    assert changed == {"recorded": True, "saved_fen": 0}
    assert call(site, "GET", f"/recognition/prompt/{prompt}").json()["reason"] == "R02"


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ({"decision": "perhaps"}, 400),
        ({"decision": "repeat", "reason": "R99"}, 422),
        ({"decision": "repeat", "reason": "R06"}, 422),
        ({"decision": "recognise", "prompt": str(uuid.uuid4())}, 404),
        ({"decision": ["recognise"]}, 400),
    ],
)
def test_a_decision_that_is_none_says_what_is_wrong(site, content, status):  # noqa: F811
    prompt = ask(site, "p3", "钾")["answers"][0]["prompt"]
    answer = decide(site, content.pop("prompt", prompt), **content)
    assert answer.status_code == status
    assert answer.json()["issue"][0]["diagnostics"]
    assert task_of(site, prompt)["status"] == "requested"


def test_another_facility_sees_and_decides_nothing_of_it(site):  # noqa: F811
    prompt = ask(site, "p4", "钾")["answers"][0]["prompt"]
    for who in ("CTY", "FAR"):
        assert call(site, "GET", f"/recognition/prompt/{prompt}", who=who).status_code == 404
        assert call(site, "POST", "/recognition/decide", {"prompt": prompt, "decision": "recognise"}, who=who).status_code == 404


def test_the_page_in_a_frame_needs_its_ticket_and_takes_the_decision(site):  # noqa: F811
    prompt, page = (ask(site, "p5", "钾")["answers"][0][name] for name in ("prompt", "page"))
    address = page.removeprefix("http://hub.test")
    shown = call(site, "GET", address, who="", headers={"accept-language": "zh-CN"})
    assert shown.status_code == 200
    assert "3.2 mmol/L" in shown.text
    assert "frame-ancestors 'self'" in shown.headers["content-security-policy"]
    ticket = re.search(r'name="ticket" value="([^"]+)"', shown.text)[1]
    for wrong in (address[:-2], address.replace(prompt, str(uuid.uuid4())), address.partition("?")[0]):
        assert call(site, "GET", wrong, who="").status_code in (401, 404)
    fields = {"ticket": ticket, "decision": "repeat", "reason": "R06", "text": ""}
    assert form(site, prompt, fields).status_code == 422
    done = form(site, prompt, {**fields, "text": "患者要求复核"})
    assert done.status_code == 200
    assert "患者要求复核" in done.text
    assert "<form" not in done.text
    assert task_of(site, prompt)["status"] == "completed"


def form(site, prompt, fields):  # noqa: F811
    async def run():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(site.app), base_url="http://hub.test") as http:
            return await http.post(f"/embed/prompt/{prompt}", data=fields, headers={"accept-language": "zh-CN"})

    return asyncio.run(run())


def test_when_the_evaluation_lapses_the_mark_stops_counting_and_the_open_prompt_says_so(tmp_path):
    place = build(tmp_path)
    prompt = ask(place, "p6", "钾")["answers"][0]["prompt"]
    here = lambda row: (row.organization, row.item) == ("CTY", "L0101")  # noqa: E731
    failed = {"passed": False, "valid_from": date(2026, 3, 1)}
    published(place.hub, evidence("failed", change=lambda row: row.model_copy(update=failed) if here(row) else row))
    told = call(place, "GET", f"/recognition/prompt/{prompt}").json()
    assert (told["counts"], told["decision"]) == (False, "")
    assert any("室间质评不合格" in why for why in told["why_not"])
    assert task_of(place, prompt)["businessStatus"]["coding"][0]["code"] == "lapsed"
    assert ask(place, "p7", "钾")["answers"][0]["verdict"] == "reference-only"
    assert decide(place, prompt, decision="recognise").json()["saved_fen"] == 0
    place.hub.close()
