"""Code gaps, alerts and metrics: what hospital IT sees and what it may decide."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from hub.app import Hub, create_app, open_hub
from hub.errors import Invalid, NotAllowed
from hub.fhir_json import load
from hub.ingest.alerts import Alerts, Firing, Reading
from hub.ingest.channels import ChannelState
from hub.ingest.code_suggestions import Suggestions
from hub.ingest.gap_sheets import from_csv, to_csv
from hub.ingest.gaps import Confirmation, confirm, gaps
from hub.ingest.journal import SourceCount
from hub.ingest.requests import answer_to, leave
from hub.ingest.run import IntakeService
from hub.ingest.status import install_status
from hub.ingest.workbench import CONFIRM
from hub.search.query import SearchQuery
from hub.security.access import Access
from hub.security.egress import Egress
from hub.settings import Alert, County
from hub.store.port import EVERYTHING, SourceTally, UnmappedCode
from tests.hub.ingest.messages import oru_record, wait_until

COUNTY = {
    "channel": [{"name": "cty-lis", "connector": "hl7v2_mllp", "facility": "CTY", "port": 0}],
    "metrics": {"token_env": "YITONG_TEST_SCRAPE"},
}
IT = Access("Li", "it", token_id="t1")
ITEM = "urn:hub:CTY:item"
LOINC = "http://loinc.org"


class Office:
    def __init__(self, folder: Path) -> None:
        county = County.model_validate(COUNTY)
        self.hub: Hub = open_hub(folder, county)
        self.intake = IntakeService(folder, county, self.hub.store, self.hub.blobs)
        app = create_app(self.hub)
        install_status(app, self.intake)
        self.intake.start()
        self.app = app

    def take(self, *numbers: int) -> None:
        self.intake.journal(*(oru_record(number) for number in numbers))
        assert self.intake.pipeline.wait_until_idle(60)

    def confirm(self, *decisions: Confirmation, access: Access = IT) -> None:
        made = asyncio.run(confirm(self.hub.door, self.hub.store, access, decisions, self.hub.clock))
        assert wait_until(lambda: self.hub.jobs.job(made.job).over)
        assert wait_until(self.intake.pipeline.idle)

    def potassium(self) -> list[tuple[list[str], str]]:
        found = [load(version.body) for version in self.hub.store.search(SearchQuery("Observation"), EVERYTHING).matches]
        codings = ((each["code"]["coding"], each["meta"]["versionId"]) for each in found)
        return [([one["code"] for one in coding], version) for coding, version in codings if coding[0]["code"] == "K"]

    def get(self, path: str, token: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
                return await client.get(path, headers={"Authorization": f"Bearer {token}"})

        return asyncio.run(ask())

    def close(self) -> None:
        self.intake.stop()
        self.hub.close()


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    opened = Office(tmp_path_factory.mktemp("office"))
    yield opened
    opened.close()


def test_a_confirmed_code_is_taken_up_without_a_restart_and_by_what_is_stored(office):
    office.take(1, 2)
    assert {gap.code.code for gap in gaps(office.hub.store)} == {"CHEM", "K", "NA", "CL"}
    office.confirm(Confirmation(ITEM, "K", LOINC, "2823-3", "Potassium"), Confirmation(ITEM, "CHEM", equivalence="unmatched"))
    assert office.potassium() == [(["K", "2823-3"], "2")] * 2
    left = {gap.code.code: gap.decided for gap in gaps(office.hub.store)}
    assert left == {"CHEM": "unmatched", "NA": "", "CL": ""}
    office.take(3)
    assert (["K", "2823-3"], "1") in office.potassium()
    office.confirm(Confirmation(ITEM, "K", LOINC, "6298-4", "Potassium in Blood"))
    (concept_map,) = (load(v.body) for v in office.hub.store.search(SearchQuery("ConceptMap"), EVERYTHING).matches)
    codes = [element["code"] for group in concept_map["group"] for element in group["element"]]
    assert sorted(codes) == ["CHEM", "K"]


def test_a_command_leaves_a_request_that_the_hub_answers_once(office):
    journal = office.intake.journal
    good = leave(journal, CONFIRM, {"who": "root", "codes": [[ITEM, "NA", LOINC, "2951-2", "", "equivalent", "钠"]]})
    bad = leave(journal, CONFIRM, {"who": "root", "codes": [["nothing", "NA", LOINC, "1", "", "equivalent", ""]]})
    unknown = leave(journal, "make-coffee", {})
    assert answer_to(journal, good, 30)["codes"] == 1
    assert "a table of the mapper" in answer_to(journal, bad, 30)["error"]
    assert "does not know" in answer_to(journal, unknown, 30)["error"]
    assert answer_to(journal, 4711, 0) is None


@pytest.mark.parametrize("access", [Access("x", "clinician"), Access("x", "it", facility="CTY"), Access("x", "reader")])
def test_what_a_code_means_is_decided_by_those_who_configure_the_hub(office, access):
    with pytest.raises(NotAllowed):
        office.confirm(Confirmation(ITEM, "K", LOINC, "1"), access=access)


@pytest.mark.parametrize(
    ("decision", "says"),
    [
        (("", "K", LOINC, "1"), "names the source"),
        ((ITEM, "K", "", "1"), "needs its system"),
        ((ITEM, "K", "loinc", "1"), "URI"),
        ((ITEM, "K", LOINC, "1", "", "alike"), "equivalence alike"),
        ((ITEM, "K", LOINC, "1", "", "unmatched"), "no target"),
        (("unit", "mg", LOINC, "1"), "a table of the mapper"),
    ],
)
def test_a_decision_that_cannot_be_meant_is_refused(office, decision, says):
    with pytest.raises(Invalid, match=says):
        office.confirm(Confirmation(*decision))


@pytest.mark.parametrize(
    ("code", "display", "target", "why"),
    [
        ("K", "钾", "2823-3", "same-code-and-name"),
        ("0101", "钾", "2823-3", "same-name"),
        ("XQJ", "血清钾测定", "2823-3", "core-name"),
        ("GPT", "谷丙转氨酶", "1742-6", "synonym"),
        ("x", "谷丙转氨霉", "1742-6", "pinyin"),
        ("TSH", "", "3016-3", "synonym"),
    ],
)
def test_a_proposal_says_why(code, display, target, why):
    first = Suggestions(None).of(UnmappedCode("urn:hub:NEW:item", code, display, 1))[0]
    assert (first.code, first.why) == (target, why)


def test_nothing_is_proposed_for_what_is_like_nothing():
    for system, display in (("urn:hub:NEW:item", "完全未知"), ("urn:hub:NEW:drug", "钾"), ("urn:hub:NEW:item", "")):
        assert Suggestions(None).of(UnmappedCode(system, "ZZZ9", display, 1)) == ()


def test_a_sheet_goes_out_and_comes_back(office):
    office.take(8)
    sheet = to_csv(gaps(office.hub.store)).decode("utf-8-sig")
    assert "CHEM" in sheet
    filled = f"system,code,target_system,target_code\r\n{ITEM},CL,{LOINC},2075-0\r\n{ITEM},'=1+1,,local\r\n{ITEM},NA,,\r\n"
    for codec in ("utf-8-sig", "gb18030"):
        found = from_csv(filled.encode(codec))
        assert [(each.code, each.target_code, each.equivalence) for each in found] == [
            ("CL", "2075-0", "equivalent"),
            ("=1+1", "", "unmatched"),
        ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "line 1"),
        (b"a,b\n1,2\n", "line 1: the columns"),
        (b"system,code,target_system,target_code\nurn:a:b,K,,123\n", "line 2: urn:a:b|K"),
        (b"\xff\xfe\x00\x01", "neither UTF-8"),
    ],
)
def test_a_sheet_that_cannot_be_read_names_its_line(content, says):
    with pytest.raises(Invalid, match=says.replace("|", r"\|")):
        from_csv(content)


# ---------------------------------------------------------------- metrics and alerts


def test_metrics_are_counts_for_those_who_may_scrape(office, monkeypatch):
    monkeypatch.setenv("YITONG_TEST_SCRAPE", "s3cret")
    office.take(20)
    answer = office.get("/metrics", "s3cret")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    assert int(samples['yitong_received_total{channel="cty-lis"}']) == int(samples['yitong_done_total{channel="cty-lis"}']) > 0
    assert samples['yitong_channel_up{channel="cty-lis"}'] == "1"
    assert "测试" not in answer.text
    assert "P20" not in answer.text
    for token, status in (("wrong", 401), (office.hub.tokens.create(name="r", role="reader", facility="CTY"), 403)):
        assert office.get("/metrics", token).status_code == status
    it = office.hub.tokens.create(name="it", role="it")
    assert office.get("/metrics", it).status_code == 200


class Source:
    """A channel as the alerts see it; time passes when it is told."""

    def __init__(self, **rule: Any) -> None:
        self.now = datetime(2026, 5, 1, 4, 0, tzinfo=UTC)  # noon in China
        self.state = ChannelState("lis", "hl7v2_mllp", "CTY", up=True, since=self.now)
        self.received = SourceCount(100, 0, self.now)
        self.tally = SourceTally(done=100)
        county = County.model_construct(alerts=(Alert(**rule),), zone="+08:00", name="县")
        self.alerts = Alerts(county, self.read, clock=lambda: self.now, egress=Egress(("127.0.0.1",)))

    def read(self) -> list[Reading]:
        return [Reading(self.state, self.received, self.tally)]

    def after(self, minutes: float) -> list[tuple[str, bool]]:
        self.now += timedelta(minutes=minutes)
        return [(firing.kind, began) for firing, began, _ in self.alerts.look()]


def test_silence_is_said_once_and_once_when_it_is_over():
    source = Source(silence_minutes=60)
    assert source.after(59) == []
    assert source.after(2) == [("silence", True)]
    assert source.after(30) == []
    assert source.alerts.firing()[0].says == "no record for 1 h 31 min; 60 min are allowed"
    source.received = source.received._replace(last=source.now)
    assert source.after(1) == [("silence", False)]


def test_a_quiet_night_is_no_alarm():
    source = Source(silence_minutes=60, quiet=("22:00-06:00",))
    source.received = source.received._replace(last=source.now + timedelta(hours=9, minutes=50))  # 21:50
    assert source.after(60 * 17) == []  # 05:00
    assert source.after(61) == [("silence", True)]  # 06:01


def test_backlog_failing_records_and_a_channel_that_is_down():
    source = Source(backlog=50, error_percent=10, down_minutes=5)
    assert source.after(1) == []
    source.received = source.received._replace(received=300)
    assert source.after(1) == [("backlog", True)]
    source.tally = SourceTally(done=240, dead=60)
    assert source.after(1) == [("errors", True), ("backlog", False)]
    source.state.up, source.state.since = False, source.now
    assert source.after(6) == [("down", True)]
    assert source.after(10) == [("errors", False)]


@pytest.mark.parametrize("rule", [{"quiet": ("25:00-06:00",)}, {"error_percent": 101}, {"silence_minutes": -1}, {"silense": 1}])
def test_a_rule_that_cannot_be_meant_is_refused(rule):
    with pytest.raises(ValueError, match=next(iter(rule))):
        Alert(**rule)


def test_a_rule_for_a_channel_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no channel x"):
        County.model_validate({"alert": [{"channel": "x", "backlog": 1}]})


def test_a_webhook_gets_the_alert_and_nothing_of_a_record():
    heard: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204 if len(heard) > 1 else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Hook)
    Thread(target=server.serve_forever, daemon=True).start()
    source = Source(silence_minutes=1)
    firing = Firing("lis", "silence", source.now, "no record for 2 min; 1 min are allowed")
    url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    assert asyncio.run(source.alerts.tell(url, firing, began=True))
    server.shutdown()
    server.server_close()
    assert heard[1] == {
        "county": "县",
        "channel": "lis",
        "alert": "silence",
        "state": "firing",
        "since": "2026-05-01T04:00:00+00:00",
        "says": "no record for 2 min; 1 min are allowed",
    }
