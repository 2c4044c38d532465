"""The workbench of hospital IT: records come over MLLP, and the pages tell what became of them."""

from __future__ import annotations

import base64
import re
import time
from contextlib import nullcontext

import pytest

from hub.fhir_json import load
from hub.ingest.journal import Selection
from hub.ingest.replay import Filter
from hub.search.query import SearchQuery
from hub.store.port import EVERYTHING
from tests.hub.ingest.messages import oru
from tests.hub.web.conftest import Visitor, served
from tests.hub.web.test_browser import Screen
from tests.hub.web.test_pages import events, in_loop
from tests.hub.web.workbench import GOOD, build

PAGES = (
    "/ops",
    "/ops/messages",
    "/ops/dead",
    "/ops/codes",
    "/ops/codes/tables",
    "/ops/codes/table?url=urn:hub:cn:cq:hospital-grade&version=1&to=urn:hub:cn:cn-core:hospital-grade",
    "/ops/quality",
    "/ops/mappings",
    "/ops/connectors/cty-lis",
    "/ops/outbox",
    "/ops/replay",
    "/ops/replays",
    "/ops/discard?state=dead",
)


@pytest.fixture(scope="module", params=["mongodb", "sqlite"])  # the browser comes last: its loop must not run beside theirs
def bench(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    with request.getfixturevalue("mongodb").address() if request.param == "mongodb" else nullcontext("") as store:
        bench = build(folder, store)
        yield bench
        bench.close()


async def visit(bench, who):
    visitor = Visitor(bench)
    await visitor.login(who, next="")
    return visitor


def number_of(page, control):
    """The journal number of the message with this control id, as the list shows it."""
    return re.search(r"/ops/messages/(\d+)\"(?:(?!/ops/messages/).)*?>" + control + "<", page, re.DOTALL)[1]


def observations(bench):
    return [load(v.body) for v in bench.hub.store.search(SearchQuery("Observation", count=100), EVERYTHING).matches]


@in_loop
async def test_only_hospital_it_comes_in_and_begins_there(bench):
    for path in PAGES:
        assert (await Visitor(bench).get(path)).headers["location"].startswith("/login?next=/ops")
    doctor = await visit(bench, "doctor")
    for path in (*PAGES, "/ops/live", "/ops/codes.csv", "/ops/messages/1"):
        assert (await doctor.get(path)).status_code == 403
    assert "/ops" not in (await doctor.get("/p")).text
    it = Visitor(bench)
    assert (await it.login("it", next="")).headers["location"] == "/ops"


@in_loop
async def test_the_overview_tells_what_runs_what_came_and_what_failed(bench):
    page = (await (await visit(bench, "it")).get("/ops")).text
    assert "2/3" in page
    assert "SourceUnavailable" in page
    assert f">{GOOD + 2}</a>" in page
    assert "no PID segment" in page
    assert re.search(r'role="alert">.*中断.*twp-his', page, re.DOTALL)
    ours = (await (await visit(bench, "it-TWP")).get("/ops")).text
    assert "twp-lis" in ours
    assert "cty-lis" not in ours
    assert "no PID segment" not in ours


@in_loop
async def test_a_facilitys_it_sees_nothing_of_another(bench):
    it = await visit(bench, "it-TWP")
    assert "ORU^R01" in (await it.get("/ops/messages")).text
    for path in ("/ops/messages?source=cty-lis", "/ops/messages?control=M1"):
        assert "ORU^R01<" not in (await it.get(path)).text
    county = await visit(bench, "it")
    foreign = number_of((await county.get("/ops/messages")).text, "M1")
    assert (await it.get(f"/ops/messages/{foreign}")).status_code == 404
    assert (await it.post(f"/ops/messages/{foreign}", reason="to see whether it opens")).status_code == 404
    for path in ("/ops/dead", "/ops/quality", "/ops/dead?source=cty-lis", "/ops/quality?source=cty-lis"):
        assert "no PID" not in (await it.get(path)).text
    assert (await it.get("/ops/connectors/cty-lis")).status_code == 404


@in_loop
async def test_messages_are_found_by_an_address_or_by_a_person_without_one(bench):
    it = await visit(bench, "it")
    assert len(re.findall("ORU\\^R01<", (await it.get("/ops/messages")).text)) == GOOD + 3
    dead = (await it.get("/ops/messages?state=dead&source=cty-lis")).text
    assert len(re.findall("ORU\\^R01<", dead)) == 2
    for wrong in ("since=yesterday", "state=lost", "until=2026-13-01"):
        assert (await it.get(f"/ops/messages?{wrong}")).status_code == 400
    assert (await it.get("/ops/messages?before=x&source=none")).status_code == 200
    before = len(events(bench))
    found = (await it.post("/ops/messages", patient="P2")).text
    assert len(re.findall("ORU\\^R01<", found)) == 1
    assert 'href="/ops/messages?' not in found.partition('id="messages"')[2]
    assert len(events(bench)) == before + 1
    assert len(re.findall("ORU\\^R01<", (await it.post("/ops/messages", text="项目3")).text)) == GOOD + 1
    assert (await it.http.post("/ops/messages", data={"patient": "P2"})).status_code == 403


@in_loop
async def test_a_message_is_masked_until_a_reason_is_given_and_audited(bench):
    it = await visit(bench, "it")
    number = number_of((await it.get("/ops/messages")).text, "M2")
    page = (await it.get(f"/ops/messages/{number}")).text
    assert "测试2" not in page
    assert "•" in page
    assert all(name in page for name in ("OBX[1]-3", "Observation.code", "PID", "DiagnosticReport/"))
    refused = await it.post(f"/ops/messages/{number}", reason=" no ")
    assert refused.status_code == 400
    assert "测试2" not in refused.text
    opened = await it.post(f"/ops/messages/{number}", reason="查找丢失的结果")
    assert "测试2" in opened.text
    kept = [base64.b64decode(entity["query"]).decode() for entity in events(bench)[0]["entity"] if "query" in entity]
    assert kept == [f"journal?seq={number}&reason=查找丢失的结果"]
    assert (await it.get("/ops/messages/999999")).status_code == 404


@in_loop
async def test_what_failed_is_grouped_by_cause(bench):
    page = (await (await visit(bench, "it")).get("/ops/dead")).text
    assert re.search(r"<b>2</b>.*no PID segment", page, re.DOTALL)
    assert "没有死信" in (await (await visit(bench, "it-TWP")).get("/ops/dead")).text


@in_loop
async def test_a_pasted_record_is_mapped_and_not_kept(bench):
    it = await visit(bench, "it")
    received = bench.intake.journal.last
    page = (await it.post("/ops/mappings", channel="cty-lis", text=oru(77, patient="PASTED").decode())).text
    assert "PASTED" in page
    assert "Observation/" in page
    assert (await it.post("/ops/mappings", text="hello")).status_code == 400
    assert (await it.post("/ops/mappings", text="")).status_code == 400
    assert bench.intake.journal.last == received


@in_loop
async def test_a_confirmed_code_is_taken_up_by_what_is_stored(bench):
    it = await visit(bench, "it")
    page = (await it.get("/ops/codes")).text
    assert "urn:hub:CTY:item" in page
    csv = await it.get("/ops/codes.csv")
    assert "urn:hub:CTY:item,NA" in csv.text
    choice = {"system": "urn:hub:CTY:item", "code": "NA", "choice": "other"}
    assert (await it.post("/ops/codes", **choice)).status_code == 400
    answer = await it.post("/ops/codes", **choice, target_system="http://loinc.org", target_code="2951-2")
    assert answer.status_code == 303
    assert "已确认 1 个代码" in (await it.get(answer.headers["location"])).text
    wait_for(lambda: codings(bench).count("2951-2") == GOOD)  # the job finds the records, the replay maps them
    ours = await visit(bench, "it-TWP")
    assert (await ours.post("/ops/codes", **choice, target_system="http://loinc.org", target_code="2951-2")).status_code == 403


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def codings(bench):
    return [coding["code"] for one in observations(bench) for coding in one["code"].get("coding", ())]


@in_loop
async def test_a_channels_page_tells_its_cause_and_hides_its_secrets(bench):
    it = await visit(bench, "it")
    page = (await it.get("/ops/connectors/twp-his")).text
    assert "s3cret" not in page
    assert "v_patient" in page
    assert "✕" in (await it.post("/ops/connectors/twp-his")).text
    assert (await it.get("/ops/connectors/nothing")).status_code == 404


@in_loop
async def test_records_are_replayed_after_a_count_and_a_reason(bench):
    it = await visit(bench, "it")
    page = (await it.get("/ops/replay?state=dead&source=cty-lis")).text
    assert ">2</b>" in page
    assert (await it.post("/ops/replay", state="dead", source="cty-lis")).status_code == 400
    held = await it.post("/ops/replay", state="dead", source="cty-lis", reason="代码表已修正", paused="1", rate="10")
    number = held.headers["location"].rpartition("=")[2]
    assert "暂停" in (await it.get(held.headers["location"])).text
    assert (await (await visit(bench, "it-TWP")).post("/ops/replays", number=number, action="resume")).status_code == 404
    await it.post("/ops/replays", number=number, action="resume")
    wait_for(lambda: bench.intake.replays.status(int(number)).finished)
    assert bench.intake.replays.status(int(number)).replayed == 2
    assert (await it.post("/ops/replays", number=number, action="cancel")).status_code == 404
    foreign = number_of((await it.get("/ops/messages")).text, "M1")
    assert (await (await visit(bench, "it-TWP")).get(f"/ops/replay?seq={foreign}")).status_code == 404
    assert ">1</b>" in (await it.get(f"/ops/replay?seq={foreign}")).text
    assert (await it.get("/ops/replay?source=nobody")).status_code == 200


@in_loop
async def test_tables_of_codes_are_looked_into_and_laid_side_by_side(bench):
    it = await visit(bench, "it")
    listed = (await it.get("/ops/codes/tables")).text
    assert re.search(r"2\.16\.156\.10011\.2\.3\.3\.3</code>", listed)
    assert "WS 364-2011" in listed
    hits = (await it.get("/ops/codes/tables?q=dwez")).text
    assert "达斡尔族" in hits
    assert "没有代码表" in (await it.get("/ops/codes/tables?q=%3Cscript%3E")).text
    beside = (await it.get(PAGES[5] + "&unmapped=1")).text
    assert "未定级" in beside
    assert "三级甲等" not in beside
    for wrong in ("?url=urn:nowhere&version=1", "", "?url=urn:hub:cn:bs:rh&version=2"):
        assert (await it.get("/ops/codes/table" + wrong)).status_code == 404
    assert (await it.get("/ops/codes/table?url=urn:hub:cn:bs:rh&version=1&offset=zz&to=urn:nowhere")).status_code == 200


@in_loop
async def test_dead_records_are_given_up_with_a_reason_and_taken_back(bench):
    it = await visit(bench, "it")
    dead = bench.hub.store.outcomes(state="dead", source="cty-lis")
    one = dead[0].seq
    assert f">{len(dead)}</b>" in (await it.get("/ops/discard?state=dead&source=cty-lis")).text
    assert (await it.post("/ops/discard", state="dead", source="cty-lis", reason="x")).status_code == 400
    assert (await it.post("/ops/discard", state="done", source="cty-lis", reason="测试数据")).status_code == 400
    ours = await visit(bench, "it-TWP")
    assert (await ours.post("/ops/discard", seq=one, reason="测试数据")).status_code == 404
    await ours.post("/ops/discard", state="dead", reason="测试数据")
    assert len(bench.hub.store.outcomes(state="dead", source="cty-lis")) == len(dead)
    before = len(events(bench))
    assert (await it.post("/ops/discard", state="dead", source="cty-lis", reason="测试数据")).status_code == 303
    assert len(events(bench)) == before + 1
    assert bench.hub.store.tallies()["cty-lis"].dead == 0
    assert "no PID" not in (await it.get("/ops/dead")).text
    assert len(re.findall("ORU\\^R01<", (await it.get("/ops/messages?state=discarded")).text)) == len(dead)
    assert "测试数据" in (await it.get(f"/ops/messages/{one}")).text
    number = bench.intake.replays.request(Filter(selection=Selection(source="cty-lis")))
    wait_for(lambda: bench.intake.replays.status(number).finished)
    assert bench.hub.store.outcome(one).state == "discarded"  # a replay of all passes it by …
    number = bench.intake.replays.request(Filter(seqs=(one,)))
    wait_for(lambda: bench.intake.replays.status(number).finished)
    assert bench.hub.store.outcome(one).state == "dead"  # … and one that names it does not
    assert (await it.post("/ops/discard", state="discarded", source="cty-lis", reason="仍需处理")).status_code == 303
    restored = bench.hub.store.outcomes(state="dead", source="cty-lis")
    assert [(each.seq, each.reason, each.note) for each in restored] == [(each.seq, each.reason, "") for each in dead]


@pytest.mark.browser
@pytest.mark.parametrize("bench", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("language", "width"), [("zh-CN", 390), ("en", 1366)])
def test_each_page_looked_at(chromium, bench, language, width):
    context = chromium.new_context(viewport={"width": width, "height": 800}, locale=language)
    page = context.new_page()
    screen = Screen(page, language, width)
    with served(bench.app) as address:
        page.goto(f"{address}/ops")
        page.locator("#token").fill(bench.tokens["it"])
        page.keyboard.press("Enter")
        page.wait_for_selector(".channel")
        for path in PAGES:
            page.goto(f"{address}{path}")
            page.wait_for_selector("h1")
            screen.look("ops" + re.sub("[/?=]", "-", path))
        page.goto(f"{address}/ops/messages")
        page.keyboard.press("j")
        page.keyboard.press("j")
        assert page.evaluate("document.activeElement.closest('tr').rowIndex") == 2
        page.keyboard.press("o")
        page.wait_for_url(re.compile(r"/ops/messages/\d+$"))
        screen.look("ops-message")
        context.close()
