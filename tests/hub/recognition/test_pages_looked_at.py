"""The measures and the prompt in a frame, in Chromium: on a phone in Chinese, on a desk in English; axe finds nothing on them."""

from __future__ import annotations

import httpx
import pytest

from tests.hub.web.conftest import address, chromium, site  # noqa: F401
from tests.hub.web.county import NUMBERS
from tests.hub.web.test_browser import Screen, change_account, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.parametrize(("language", "width"), [("zh-CN", 390), ("en", 1366)])
def test_measures_and_prompt(chromium, address, site, language, width):  # noqa: F811
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
