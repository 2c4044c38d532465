"""`/ops/emergencies`: who opened whose record, why, until when somebody looks at it, and what the county found."""

from __future__ import annotations

import re
from datetime import timedelta

import httpx
import pytest

from hub.security.reviews import waiting_in
from tests.hub.security.persons import parameters
from tests.hub.web.conftest import Visitor, served
from tests.hub.web.county import ID_NUMBER, build
from tests.hub.web.test_browser import Screen
from tests.hub.web.test_pages import in_loop

WHY = {"number": ID_NUMBER, "reason": "emergency", "text": "昏迷送医，需要了解用药与过敏情况"}
FINDING = "已核对急诊登记与护理记录，当时患者昏迷，调阅必要"


@pytest.fixture(scope="module")
def county(tmp_path_factory):
    """Two doctors of the neighbour county broke the glass."""
    site = build(tmp_path_factory.mktemp("emergencies"))
    roles = {"first": ("clinician", "FAR"), "second": ("clinician", "FAR"), "office": ("admin", "CTY"), "bureau": ("bureau", "")}
    names = {"first": "急诊医师甲", "second": "急诊医师乙", "office": "医务科", "bureau": "卫健局"}
    for who, (role, facility) in roles.items():
        site.tokens[who] = site.hub.tokens.create(names[who], role, facility)
    yield site
    site.hub.close()


async def visit(county, who):
    visitor = Visitor(county)
    await visitor.login(who, next="")
    await visitor.get("/measures" if who == "bureau" else "/p")
    return visitor


async def broken(county, who):
    answer = await (await visit(county, who)).post("/emergency", **WHY)
    assert answer.status_code == 303


@in_loop
async def test_each_emergency_is_looked_at_once_and_the_finding_is_kept(county):
    for who in ("first", "second"):
        await broken(county, who)
    for who in ("first", "office", "it", "reader", "bureau"):
        assert (await (await visit(county, who)).get("/ops/emergencies")).status_code == 403, who
    assert waiting_in(county.hub.store, county.hub.clock()) == (2, 0)
    assert waiting_in(county.hub.store, county.hub.clock() + int(timedelta(days=4).total_seconds() * 1000)) == (2, 2)
    admin = await visit(county, "admin")
    page = (await admin.get("/ops/emergencies")).text
    for told in ("急诊医师甲", "急诊医师乙", "邻县医院", WHY["text"], "待审查 2 例", "2026-03-13"):
        assert told in page, told
    assert "曾晓燕" not in page
    tasks = re.findall(r'name="emergency" value="([^"]+)"', page)
    short = await admin.post("/ops/emergencies", emergency=tasks[0], finding="justified", text="短")
    assert (short.status_code, 'value="短"' in short.text) == (400, True)
    assert (await admin.post("/ops/emergencies", emergency="none", finding="justified", text=FINDING)).status_code == 404
    for task, finding in zip(tasks, ("justified", "unjustified"), strict=True):
        done = await admin.post("/ops/emergencies", emergency=task, finding=finding, text=FINDING)
        assert done.headers["location"] == f"/ops/emergencies?done={finding}"
    again = await admin.post("/ops/emergencies", emergency=tasks[0], finding="justified", text=FINDING)
    assert again.status_code == 409
    nothing = (await admin.get("/ops/emergencies?done=justified")).text
    assert "没有需要审查的紧急调阅" in nothing
    everything = (await admin.get("/ops/emergencies?state=all")).text
    assert everything.count(FINDING) == 2
    assert [(await (await visit(county, who)).get(f"/p/{county.person}")).status_code for who in ("first", "second")].count(
        404
    ) == 1


@pytest.mark.browser
@pytest.mark.parametrize(("language", "width"), [("zh-CN", 1366), ("en", 390)])
def test_the_page_in_chromium(chromium, county, language, width):
    context = chromium.new_context(viewport={"width": width, "height": 800}, locale=language)
    page = context.new_page()
    screen = Screen(page, language, width)
    with served(county.app) as address:
        body = parameters(reason=WHY["reason"], text=WHY["text"])
        bearer = {"authorization": f"Bearer {county.tokens['second']}", "content-type": "application/fhir+json"}
        assert httpx.post(f"{address}/fhir/Patient/{county.person}/$break-glass", json=body, headers=bearer).status_code == 200
        page.goto(f"{address}/ops/emergencies")
        page.locator("#token").fill(county.tokens["admin"])
        page.keyboard.press("Enter")
        page.wait_for_selector("select[name=finding]")
        screen.look("emergencies")
        page.locator("select[name=finding]").first.select_option("justified")
        page.locator("input[name=text]").first.fill(FINDING)
        page.keyboard.press("Enter")
        page.wait_for_selector(".note.good")
        page.goto(f"{address}/ops/emergencies?state=all")
        page.wait_for_selector(".state.done")
        screen.look("emergencies-all")
    context.close()
