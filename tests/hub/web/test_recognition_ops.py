"""`/ops/recognition`: out to Excel, in again, tried on past orders, published; wrong cells named; who may look and who may act."""

from __future__ import annotations

import asyncio
import re
from datetime import date
from io import BytesIO

import pytest
from openpyxl import load_workbook

from hub.recognition.facts import recognition_of
from hub.recognition.publishing.export import workbook_of
from hub.recognition.publishing.library import Publication, publish
from hub.recognition.publishing.sheets import read_workbook
from tests.hub.recognition.test_decisions import ask
from tests.hub.recognition.test_publishing import CATALOGUE, catalogue, evidence
from tests.hub.recognition.test_what_if import changed
from tests.hub.web.conftest import Visitor, served
from tests.hub.web.county import build
from tests.hub.web.test_browser import Screen, wait_until
from tests.hub.web.test_pages import in_loop

EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
STRICT = {"validity_days": {**CATALOGUE.item("L0101").validity_days, "outpatient": 1}}


@pytest.fixture(scope="module")
def county(tmp_path_factory):
    site = build(tmp_path_factory.mktemp("facts"))
    site.tokens["bureau"] = site.hub.tokens.create("bureau", "bureau", "")
    site.tokens["admin-TWP"] = site.hub.tokens.create("admin-TWP", "admin", "TWP")
    yield site
    site.hub.close()


def spoilt(book):
    """With two wrong cells."""
    opened, content = load_workbook(BytesIO(book)), BytesIO()
    opened.worksheets[1]["A3"], opened.worksheets[1]["D4"] = "L0101", "化验"
    opened.save(content)
    return content.getvalue()


async def visit(county, who):
    visitor = Visitor(county)
    await visitor.login(who, next="")
    await visitor.get("/ops/recognition")
    return visitor


async def send(visitor, content, name="new.xlsx"):
    return await visitor.http.post("/ops/recognition", data={"csrf": visitor.csrf}, files={"file": (name, content, EXCEL)})


@in_loop
async def test_who_may_look_and_who_may_act(county):
    assert (await Visitor(county).get("/ops/recognition")).status_code == 303
    for who in ("admin", "it", "bureau", "admin-TWP"):
        visitor = await visit(county, who)
        page = await visitor.get("/ops/recognition")
        assert page.status_code == 200
        assert ('type="file"' in page.text) == (who == "admin")
        exported = await visitor.get("/ops/recognition.xlsx?kind=catalogue&library=file")
        assert read_workbook(exported.content).facts == CATALOGUE
        if who != "admin":
            assert (await send(visitor, workbook_of(CATALOGUE, "en"))).status_code == 403
    doctor = await visit(county, "TWP")
    for path in ("/ops/recognition", "/ops/recognition.xlsx?kind=evidence&library=file", "/ops/recognition/draft/1"):
        assert (await doctor.get(path)).status_code == 403
    assert (await (await visit(county, "it")).get("/ops/recognition.xlsx?kind=evidence&library=nobody")).status_code == 404
    assert 'href="/ops/messages"' not in (await (await visit(county, "bureau")).get("/ops/recognition")).text


@in_loop
async def test_wrong_cells_are_named_and_nothing_is_kept(county):
    admin = await visit(county, "admin")
    book = workbook_of(catalogue("2"), "zh-CN")
    assert (await send(admin, b"code,name")).status_code == 400
    assert (await admin.post("/ops/recognition")).status_code == 400
    told = await send(admin, spoilt(book), "互认.xlsx")
    assert told.status_code == 422
    assert "“互认.xlsx”中有 2 处错误" in told.text
    assert "与第 2 行重复" in told.text
    assert '<b class="num">D</b> 类别' in told.text
    assert "/ops/recognition/draft/" not in (await admin.get("/ops/recognition")).text
    assert (await admin.http.post("/ops/recognition", files={"file": ("a.xlsx", book, EXCEL)})).status_code == 403


async def done(visitor, address):
    """The page of a draft once its what-if run is over."""
    for _ in range(600):
        page = (await visitor.get(address)).text
        if "hx-trigger" not in page:
            return page
        await asyncio.sleep(0.1)
    raise AssertionError(page)


@in_loop
async def test_a_draft_is_compared_tried_and_published(county):
    assert (await ask_in_thread(county, "f1", "钾"))["verdict"] == "recognisable"
    admin = await visit(county, "admin")
    strict = changed(catalogue("2", keep=lambda item: item.code != "L0702"), L0101={**STRICT, "price": 350})
    answer = await send(admin, workbook_of(strict, "zh-CN"))
    address = answer.headers["location"]
    page = (await admin.get(address)).text
    assert "新增 0，修改 1，删除 1" in page
    assert "outpatient 7, inpatient 3" in page
    assert "价格(元): <del>3.00</del> → <ins>3.50</ins>" in page
    assert (await admin.post(address, act="try", **{"from": "2026-03-10", "to": "2026-01-01"})).status_code == 400
    assert (await admin.post(address, act="try", **{"from": "2026-03-01", "to": "2026-03-10"})).status_code == 303
    told = await done(admin, address)
    assert "互认时限" in told
    bureau = await visit(county, "bureau")
    assert "新增 0，修改 1，删除 1" in (await bureau.get(address)).text
    for seen in (await bureau.get(address), await bureau.get(address, **{"hx-request": "true"})):
        assert "互认时限" not in seen.text
    assert re.search(r"−1</b>\s*不再可互认", told)
    assert (await admin.post(address, act="publish", version="2", published="someday")).status_code == 400
    answer = await admin.post(address, act="publish", version="2026-3", published="2026-03-10")
    assert answer.headers["location"].startswith("/ops/recognition?published=")
    overview = (await admin.get(answer.headers["location"])).text
    assert "2026-3" in overview
    assert "draft/" not in overview
    assert recognition_of(county.app.state).facts.look().catalogue_of("TWP").catalogue.version == "2026-3"
    assert (await ask_in_thread(county, "f2", "钾"))["verdict"] == "reference-only"
    assert (await admin.get(address)).status_code == 404
    again = (await send(admin, workbook_of(catalogue("2026-3"), "en"))).headers["location"]
    clash = await admin.post(again, act="publish", version="2026-3", published="2026-03-10")
    assert clash.status_code == 409
    assert "请换一个版本号" in clash.text
    older = await admin.post(again, act="publish", version="2026-4", published="2026-03-09")
    assert (older.status_code, "不会生效" in older.text) == (409, True)
    assert (await admin.post(again, act="drop")).headers["location"] == "/ops/recognition"


async def ask_in_thread(county, visit, item):
    return (await asyncio.to_thread(ask, county, visit, item))["answers"][0]


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize(("language", "width"), [("zh-CN", 1366), ("en", 390)])
def test_the_pages_in_chromium(chromium, county, tmp_path, language, width):
    good, wrong = tmp_path / "new.xlsx", tmp_path / "wrong.xlsx"
    ending = {"L0101": date(2026, 3, 25), "L0201": date(2026, 3, 1)}
    soon = lambda row: row.model_copy(update={"valid_to": ending.get(row.item, row.valid_to)})  # noqa: E731
    ended = Publication(evidence(f"ending-{language}", published="2026-03-10", change=soon))
    hub = county.hub
    hub.store.write(lambda transaction: publish(transaction, ended, "office", hub.clock(), hub.county.policy)).result()
    elsewhere = lambda row: row.model_copy(update={"organization": "XXX"} if row.item == "L0101" else {})  # noqa: E731
    drafts = {
        "zh-CN": changed(catalogue("seen", published="2026-03-10"), L0101=STRICT, L0201={"price": 600}),
        "en": evidence("seen", published="2026-03-10", change=elsewhere),
    }
    good.write_bytes(workbook_of(drafts[language], language))
    wrong.write_bytes(spoilt(workbook_of(catalogue("wrong"), language)))
    context = chromium.new_context(viewport={"width": width, "height": 900}, locale=language)
    page = context.new_page()
    screen = Screen(page, language, width)
    with served(county.app) as address:
        page.goto(f"{address}/ops/recognition")
        page.locator("#token").fill(county.tokens["admin"])
        page.keyboard.press("Enter")
        page.wait_for_selector("#file")
        if width == 390:
            screen.look("facts")
        page.set_input_files("#file", wrong)
        page.locator("form[enctype] button").click()
        page.wait_for_selector(".note.bad h2")
        screen.complaints.clear()  # the browser reports the 422 that is meant
        screen.look("facts-wrong")
        page.set_input_files("#file", good)
        page.locator("form[enctype] button").click()
        page.wait_for_selector("button[value=try]")
        page.locator("button[value=try]").click()
        wait_until(page, "() => !!document.querySelector('#what-if .figures')")
        screen.look("facts-draft")
        page.locator("button[value=publish]").click()
        page.wait_for_selector(".note.good")
    context.close()
