"""$recognizable-results as a client sees it: Parameters with every candidate and every step, or an OperationOutcome."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from hub.recognition.facts import recognition_of
from tests.hub.web.conftest import site  # noqa: F401  the county with its three facilities


def ask(site, query, who="TWP", person="", language="en"):  # noqa: F811
    async def run():
        transport = httpx.ASGITransport(site.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as http:
            headers = {"authorization": f"Bearer {site.tokens[who]}", "accept-language": language}
            return await http.get(f"/fhir/Patient/{person or site.person}/$recognizable-results?{query}", headers=headers)

    return asyncio.run(run())


def value(parts, name):
    part = next(part for part in parts if part["name"] == name)
    return next(v for k, v in part.items() if k.startswith("value"))


def groups(parts, name):
    return [part["part"] for part in parts if part["name"] == name]


def results(answer):
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["resourceType"] == "Parameters"
    return groups(body["parameter"], "result")


@pytest.mark.parametrize("code", ["钾", "urn:hub:TWP:item|钾", "urn:hub:CTY:item|K", "http://loinc.org|2823-3", "2823-3", "L0101"])
def test_whatever_names_the_item_finds_the_county_hospitals_result(site, code):  # noqa: F811
    (result,) = results(ask(site, f"code={code}&context=outpatient&orderer=Organization/TWP"))
    assert value(result, "verdict") == "recognisable"
    assert value(result, "item")["code"] == "L0101"
    assert (value(result, "catalogue"), value(result, "catalogue-version")) == ("county-demo", "1")
    first, *others = groups(result, "candidate")
    assert value(first, "facility") == {"reference": "Organization/CTY"}
    assert value(first, "result")["reference"].startswith("Observation/")
    assert (value(first, "value"), value(first, "age-days"), value(first, "duty")) == ("3.2 mmol/L", 2, "must")
    assert {value(step, "number") for step in groups(first, "step")} == set(range(1, 10))
    assert {value(other, "verdict") for other in others} == {"reference-only"}


def test_codes_are_asked_together_in_order_and_each_once(site):  # noqa: F811
    answer = results(ask(site, "code=钾,尿酸&code=L0201&code=钾&context=outpatient"))
    assert [value(result, "item")["code"] for result in answer] == ["L0101", "L0203", "L0201"]
    assert [value(result, "verdict") for result in answer] == ["recognisable", "reference-only", "recognisable"]
    failed = [step for step in groups(groups(answer[1], "candidate")[0], "step") if value(step, "outcome") == "fail"]
    assert [value(step, "rule") for step in failed] == ["eqa"]
    assert "not in date" in value(failed[0], "detail")


def test_the_reasons_are_in_the_callers_language(site):  # noqa: F811
    (result,) = results(ask(site, "code=尿酸", language="zh-CN"))
    assert value(result, "reason-text") == "有既往结果，仅供参考"


def test_an_unmapped_code_gets_no_prompt_and_is_counted(site):  # noqa: F811
    before = recognition_of(site.app.state).unmapped["TWP"]
    (result,) = results(ask(site, "code=没有这个"))
    assert (value(result, "verdict"), value(result, "reason"), value(result, "prompt")) == ("none", "unmapped", "none")
    assert recognition_of(site.app.state).unmapped["TWP"] == before + 1


def test_images_are_recognised_only_if_they_can_be_opened_now(site):  # noqa: F811
    chest, head = results(ask(site, "code=R0101,R0201"))
    assert (value(chest, "verdict"), value(head, "verdict")) == ("recognisable", "reference-only")
    assert value(groups(chest, "candidate")[0], "conclusion") == "心肺膈未见明显异常。"


def test_an_emergency_gets_one_line(site):  # noqa: F811
    (result,) = results(ask(site, "code=钾&context=emergency"))
    assert (value(result, "verdict"), value(result, "prompt")) == ("reference-only", "line")


@pytest.mark.parametrize(
    "query",
    [
        "code=钾&context=moon",
        "code=钾&orderer=Organization/NOWHERE",
        "code=",
        "context=outpatient",
        "code=" + ",".join(map(str, range(101))),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_with_a_reason(site, query):  # noqa: F811
    answer = ask(site, query)
    assert answer.status_code == 400
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_a_county_wide_token_must_name_the_orderer(site):  # noqa: F811
    assert ask(site, "code=L0101", who="admin").status_code == 400
    (result,) = results(ask(site, "code=L0101&orderer=TWP", who="admin"))
    assert value(result, "verdict") == "recognisable"


def test_who_may_not_see_the_person_learns_nothing(site):  # noqa: F811
    foreign, nobody = ask(site, "code=L0101", who="FAR"), ask(site, "code=L0101", person="nobody")
    assert (foreign.status_code, nobody.status_code) == (404, 404)
    assert foreign.json() == nobody.json()


def test_the_code_of_a_panel_is_no_code_of_a_result(site):  # noqa: F811
    service = recognition_of(site.app.state)
    codes = {code for _, code in service.codes_of(service.catalogue.item("L0101"))}
    assert {"2823-3", "K"} <= codes
    assert "24320-4" not in codes
