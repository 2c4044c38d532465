"""The main path in Chromium: login, search by initials, the person, a trend, the prompt, the measures; axe finds nothing on it."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from tests.hub.web.county import NUMBERS

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WORDS = {
    "zh-CN": {
        "found": "找到 1 人",
        "verdict": "可互认",
        "test": "肌酐",
        "trend": "趋势：肌酐",
        "nothing": "没有可显示的记录",
    },
    "en": {
        "found": "1 found",
        "verdict": "Recognisable",
        "test": "Creatinine",
        "trend": "Trend: Creatinine",
        "nothing": "Nothing to show",
    },
}
SHOTS = os.environ.get("YITONG_SCREENSHOTS", "")
SLOWER = int(os.environ.get("YITONG_SLOWER", "1"))  # how many times the page's processor is slowed down
PATIENCE = 30_000  # ms


class Screen:
    """One page looked at: no accessibility violation, nothing wider than the window, no error in the console."""

    def __init__(self, page, language, width):
        self.page, self.language, self.width = page, language, width
        self.complaints = []
        page.set_default_timeout(PATIENCE * SLOWER)
        if SLOWER > 1:
            page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def look(self, name):
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page, options={"resultTypes": ["violations"]}).response["violations"]
        assert [(v["id"], v["nodes"][0]["html"][:120]) for v in found] == [], name
        assert self.page.evaluate("document.documentElement.scrollWidth") <= self.width, name
        assert self.complaints == [], name
        if SHOTS:
            self.page.screenshot(path=Path(SHOTS) / f"{name}-{self.language}-{self.width}.png", full_page=True)


def seen(page, selector):
    """The picture is decoded and has a size, not only a place."""
    wait_until(page, "s => (document.querySelector(s) || {}).naturalWidth > 100", selector)


def wait_until(page, condition, argument=None):
    """Asked from outside: Playwright's own waiting evaluates text within the page, which the pages forbid."""
    for _ in range(600):
        if page.evaluate(condition, argument):
            return
        page.wait_for_timeout(50)
    raise AssertionError(condition)


def change_account(page, address, token):
    page.context.clear_cookies()
    page.goto(f"{address}/p")
    page.locator("#token").fill(token)
    page.keyboard.press("Enter")
    page.wait_for_selector("#q")


@pytest.mark.parametrize("width", [1366, 390])
@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_from_login_to_the_recognition_prompt(chromium, address, site, language, width):
    words = WORDS[language]
    context = chromium.new_context(viewport={"width": width, "height": 800}, locale=language)
    page = context.new_page()
    screen = Screen(page, language, width)
    page.goto(f"{address}/p")
    screen.look("login")
    page.locator("#token").fill(site.tokens["TWP"])
    page.keyboard.press("Enter")
    page.wait_for_selector("#q")
    screen.look("search")

    page.locator("#q").fill("zxy")
    page.keyboard.press("Enter")
    page.get_by_text(words["found"]).wait_for()
    assert page.url == f"{address}/p"
    screen.look("hits")
    page.keyboard.press("Tab")  # focus must not move what is about to be clicked
    page.locator(".hits a").click()
    page.wait_for_selector("#timeline")
    assert "zxy" not in page.url
    screen.look("person")

    page.locator(".grid a", has_text=words["test"]).click()
    page.locator("#trend h3", has_text=words["trend"]).wait_for()
    assert page.url.endswith(site.person)
    page.select_option("#item", "L0101")
    page.locator("#recognition .button").click()
    page.locator(".answer[data-verdict=recognisable]").wait_for()
    page.locator(".candidate summary").first.click()
    assert words["verdict"] in page.locator(".candidate").first.inner_text()
    screen.look("prompt")

    page.locator(".studies img[src$='.jpg']").scroll_into_view_if_needed()
    seen(page, ".studies img[src$='.jpg']")
    page.locator(".studies img[src*='.svg']").scroll_into_view_if_needed()
    seen(page, ".studies img[src*='.svg']")
    screen.look("images")

    page.locator(".study.ecg h3 a").click()
    page.wait_for_selector(".document.ecg")
    seen(page, ".picture img")
    screen.look("ecg")
    page.goto(f"{address}/p/{site.person}/doc/DiagnosticReport/report-chest")
    seen(page, ".picture img")
    screen.look("report")
    page.goto(f"{address}/p/{site.person}/doc/Composition/discharge-1")
    screen.look("document")
    page.goto(f"{address}/p/{site.person}/recognition?item=L0203")
    screen.look("refused")
    page.locator("body").press("/")
    wait_until(page, "() => (document.activeElement || {}).id === 'q'")
    page.goto(f"{address}/p/nobody")
    page.get_by_text(words["nothing"]).wait_for()
    screen.complaints.clear()  # the browser reports the 404 that is meant
    screen.look("nothing")
    page.goto(f"{address}/nowhere")
    page.wait_for_selector("h1")
    screen.complaints.clear()
    screen.look("nowhere")
    change_account(page, address, site.tokens["it"])
    page.goto(f"{address}/p/{site.person}")
    page.wait_for_selector("h1")
    screen.complaints.clear()
    screen.look("forbidden")
    change_account(page, address, site.tokens["reader"])
    page.goto(f"{address}/p/{site.person}")
    page.wait_for_selector(".allergy.withheld")
    screen.look("reader")
    context.close()


def test_the_whole_path_works_without_script(chromium, address, site):
    context = chromium.new_context(java_script_enabled=False, locale="zh-CN")
    page = context.new_page()
    page.goto(f"{address}/p")
    page.locator("#token").fill(site.tokens["TWP"])
    page.locator("form .button").click()
    page.locator("#q").fill("zxy")
    page.locator("form .button").click()
    page.locator(".hits a").click()
    page.locator(".grid a", has_text="肌酐").click()
    assert page.locator("svg.trend").count() == 1
    page.go_back()
    page.select_option("#item", "L0101")
    page.locator("#recognition .button").click()
    assert page.locator(".answer[data-verdict=recognisable]").count() == 1
    context.close()


def test_the_measures_and_a_prompt_in_a_frame_on_a_phone(chromium, address, site):
    language, width = "zh-CN", 390
    with httpx.Client(base_url=address, headers={"authorization": f"Bearer {site.tokens['TWP']}"}, timeout=60) as station:
        for number, decision in enumerate(({"decision": "recognise"}, {"decision": "repeat", "reason": "R02"}, None)):
            prompt = ask(station, f"looked-at-{number}-{width}", "肌酐")["prompt"]
            if decision:
                assert station.post("/recognition/decide", json={"prompt": prompt, **decision}).status_code == 200
        page = ask(station, f"looked-at-{width}", "钾")["page"]
    context = chromium.new_context(viewport={"width": width, "height": 800}, locale=language)
    screen = Screen(context.new_page(), language, width)
    change_account(screen.page, address, site.tokens["admin"])
    screen.page.goto(f"{address}/measures")
    screen.page.wait_for_selector("svg.bars rect.recognised")
    screen.look("measures")
    context.clear_cookies()
    screen.page.goto(page)
    screen.page.wait_for_selector("form")
    screen.look("prompt-in-a-frame")
    screen.page.locator("form .button:not(.second)").click()
    wait_until(screen.page, "() => !document.querySelector('form')")
    screen.look("prompt-answered")
    context.close()


def ask(station, visit, item):
    answer = station.post("/recognition/ask", json={"patient": NUMBERS["TWP"], "items": [item], "visit": visit})
    assert answer.status_code == 200, answer.text
    return answer.json()["answers"][0]
