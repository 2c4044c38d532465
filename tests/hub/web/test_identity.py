"""`/ops/identity`: doubts, two records side by side, a decision with its reason, and taking it back."""

from __future__ import annotations

import asyncio
import re

import pytest

from hub.app import create_app, open_hub
from hub.identity.decisions import STATUS
from hub.identity.operations import ACTS
from hub.identity.review import STATES
from hub.identity.rules import REASONS
from hub.identity.weights import ELEMENTS
from hub.keep import keep
from hub.settings import Policy
from hub.web import i18n
from tests.hub.identity.test_rules import HERS, patient
from tests.hub.web.conftest import Visitor, served
from tests.hub.web.county import COUNTY, Site
from tests.hub.web.test_browser import Screen
from tests.hub.web.test_pages import in_loop

HOME = "示范县青山镇柳树村3组12号"
PEOPLE = (
    ("CTY", patient("cty-wang", phone="13900000001", address=HOME)),
    ("CTY", patient("cty-wang-again", phone="13900000002")),
    ("TWP", patient("twp-wang", card=HERS, phone="13900000003")),
    ("TWP", patient("twp-wang-copy", card=HERS)),
    *(
        ("TWP", patient(f"village-{n}", name=f"{surname}建国", born=f"19{50 + n}-05-06", sex="male", phone="13900000001"))
        for n, surname in enumerate("赵钱孙李周吴郑冯陈褚卫蒋沈韩杨朱")  # one telephone: the village doctor's
    ),
)
CARD = HERS[-6:]


@pytest.fixture(scope="module")
def county(tmp_path_factory):
    hub = open_hub(tmp_path_factory.mktemp("identity"), COUNTY)
    for facility, person in PEOPLE:
        hub.store.write(
            lambda t, f=facility, p=person: keep(t, p, id=p["id"], facility=f, now=hub.clock(), policy=Policy())
        ).result()
    roles = {"it": ("it", ""), "admin": ("admin", ""), "it-CTY": ("it", "CTY"), "doctor": ("clinician", "CTY")}
    tokens = {who: hub.tokens.create(who, *role) for who, role in roles.items()}
    yield Site(hub, create_app(hub), tokens, "", "")
    hub.close()


async def visit(county, who):
    visitor = Visitor(county)
    await visitor.login(who, next="")
    return visitor


def pairs(page):
    return re.findall(r'href="(/ops/identity/pair\?one=[^"]+)"', page)


@in_loop
async def test_who_comes_in_and_what_each_sees(county):
    assert (await Visitor(county).get("/ops/identity")).status_code == 303
    doctor = await visit(county, "doctor")
    for path in ("/ops/identity", "/ops/identity/pair?one=cty-wang&other=twp-wang", "/ops/identity/person/cty-wang"):
        assert (await doctor.get(path)).status_code == 403
    everything = (await (await visit(county, "it")).get("/ops/identity")).text
    assert len(pairs(everything)) >= 3
    own = await visit(county, "it-CTY")
    assert len(pairs((await own.get("/ops/identity")).text)) == 1
    for path in ("/ops/identity/pair?one=cty-wang&other=twp-wang", "/ops/identity/person/twp-wang", "/ops/identity/person/none"):
        assert (await own.get(path)).status_code == 404
    assert "王小芳" not in everything
    office = await visit(county, "it")
    assert len(pairs((await office.get("/ops/identity?facility=TWP&reason=same-name-birth-sex")).text)) >= 2
    assert pairs((await office.get("/ops/identity?state=apart")).text) == []
    for wrong in ("state=x", "reason=x", "after=x"):
        assert (await office.get(f"/ops/identity?{wrong}")).status_code in (200, 400)


@in_loop
async def test_values_are_masked_until_they_are_opened_with_a_reason(county):
    office = await visit(county, "it")
    address = "/ops/identity/pair?one=cty-wang&other=twp-wang"
    masked = (await office.get(address)).text
    assert "王小芳" not in masked
    assert CARD not in masked
    assert 'value="link"' not in masked
    ids = {"one": "cty-wang", "other": "twp-wang"}
    assert (await office.post("/ops/identity/pair", act="show", reason="x", **ids)).status_code == 400
    opened = await office.post("/ops/identity/pair", act="show", reason="a doubt of the lab", **ids)
    assert "王小芳" in opened.text
    assert "<mark>" in opened.text
    assert 'value="link"' in opened.text
    assert (await office.http.post("/ops/identity/pair", data={**ids, "act": "link", "reason": "no form token"})).status_code == 403
    members = await office.post("/ops/identity/person/twp-wang", act="show", reason="a doubt of the lab")
    assert CARD in members.text


@in_loop
async def test_what_too_many_share_is_said_to_be_no_evidence(county):
    office, own = await visit(county, "it"), await visit(county, "it-CTY")
    everything = (await office.get("/ops/identity")).text
    assert i18n.catalogue("zh-CN")["identity.givenup"] in everything
    assert re.search(r"电话: <b>1</b>", everything)
    assert i18n.catalogue("zh-CN")["identity.givenup"] not in (await own.get("/ops/identity")).text
    assert "太多人共用,不作为证据:电话。" in (await office.get("/ops/identity/pair?one=cty-wang&other=twp-wang")).text
    assert "太多人共用" not in (await office.get("/ops/identity/pair?one=cty-wang-again&other=twp-wang")).text


@in_loop
async def test_of_two_who_decide_at_once_the_second_is_told(county):
    first, second = await visit(county, "admin"), await visit(county, "it")
    ids = {"one": "cty-wang", "other": "twp-wang", "reason": "the register says so"}
    for each in (first, second):
        assert 'value="link"' in (await each.post("/ops/identity/pair", act="show", **ids)).text
    answers = await asyncio.gather(
        first.post("/ops/identity/pair", act="apart", **ids), second.post("/ops/identity/pair", act="link", **ids)
    )
    assert sorted(answer.status_code for answer in answers) == [303, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert 'role="alert">没有改动' in refused.text
    assert "先撤回" in refused.text
    operation = re.search(r'name="operation" value="([^"]+)"', (await first.get("/ops/identity")).text)[1]
    for who, status in ((first, 303), (second, 409)):
        undone = await who.post("/ops/identity", operation=operation, reason="it was a mistake")
        assert undone.status_code == status
    assert county.hub.store.person_of("cty-wang") == "cty-wang"


@in_loop
async def test_a_decision_is_made_refused_and_taken_back(county):
    office = await visit(county, "admin")
    ids = {"one": "cty-wang", "other": "cty-wang-again"}
    assert (await office.post("/ops/identity/pair", act="link", reason="", **ids)).status_code == 409
    assert (await office.post("/ops/identity/pair", act="steal", reason="the register says so", **ids)).status_code == 409
    done = await office.post("/ops/identity/pair", act="link", reason="the register says so", filter="state=open&x=1", **ids)
    assert done.headers["location"] == "/ops/identity?state=open&done=link"
    assert county.hub.store.person_of("cty-wang") == county.hub.store.person_of("cty-wang-again")
    page = (await office.get(done.headers["location"])).text
    assert "the register says so" in page
    split = await office.post("/ops/identity/person/cty-wang", act="split", reason="no, she is her sister", leaving="cty-wang")
    assert split.status_code == 303
    again = await office.post("/ops/identity/pair", act="later", reason="wait for her papers", **ids)
    assert again.status_code == 409
    assert "先撤回" in again.text
    for _ in range(2):
        operation = re.search(r'name="operation" value="([^"]+)"', (await office.get("/ops/identity")).text)[1]
        undone = await office.post("/ops/identity", operation=operation, reason="it was a mistake")
        assert undone.headers["location"].endswith("done=undo")
    assert county.hub.store.person_of("cty-wang") == "cty-wang"


def test_every_word_is_there_in_both_languages():
    names = {
        "reason": REASONS,
        "element": ELEMENTS,
        "level": [level for levels in ELEMENTS.values() for level in levels],
        "state": STATES,
        "act": ACTS,
        "done": [*ACTS, "undo"],
    }
    assert set(STATUS) >= {"together", "apart", "later"}
    for language in i18n.LANGUAGES:
        words = i18n.catalogue(language)
        missing = [
            f"identity.{key}.{name}" for key, every in names.items() for name in every if f"identity.{key}.{name}" not in words
        ]
        assert missing == []


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize(("language", "width"), [("zh-CN", 1366), ("en", 390)])
def test_the_pages_in_chromium(chromium, county, language, width):
    context = chromium.new_context(viewport={"width": width, "height": 900}, locale=language)
    page = context.new_page()
    screen = Screen(page, language, width)
    with served(county.app) as address:
        page.goto(f"{address}/ops/identity")
        page.locator("#token").fill(county.tokens["it"])
        page.keyboard.press("Enter")
        page.wait_for_selector("table.rows")
        screen.look("identity")
        page.locator("body").press("j")
        page.keyboard.press("Enter")
        page.wait_for_selector("table.compare")
        screen.look("identity-masked")
        page.locator("#open-reason").fill("a doubt of the laboratory")
        page.keyboard.press("Enter")
        page.wait_for_selector("button[value=link]")
        screen.look("identity-pair")
        if width == 390:
            decide_and_take_back(page, screen, address)
    context.close()


def decide_and_take_back(page, screen, address):
    page.locator("#reason").fill("both cards lay on the desk")
    page.locator("button[value=later]").click()
    page.wait_for_selector(".note.good")
    page.locator(".operations summary").first.click()
    screen.look("identity-done")
    page.locator(".operations input[name=reason]").first.fill("one more look")
    page.locator(".operations button").first.click()
    page.wait_for_selector(".operations .tag")
    page.goto(f"{address}/ops/identity/person/twp-wang")
    page.locator("#open-reason").fill("a doubt of the laboratory")
    page.keyboard.press("Enter")
    page.wait_for_selector("input[name=leaving]")
    screen.look("identity-person")
