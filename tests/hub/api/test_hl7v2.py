"""HL7 v2 over HTTP: who may post, what is answered, what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from hub.api.hl7v2 import install_hl7v2
from hub.app import create_app, open_hub
from hub.ingest.run import IntakeService
from hub.settings import load_county
from tests.hub.api.county import Served
from tests.hub.ingest.messages import oru

pytestmark = pytest.mark.anyio
TOML = """
[[facility]]
code = "CTY"
name = "示范县人民医院"
[[facility]]
code = "TWN"
name = "青石镇卫生院"
[[channel]]
name = "his"
connector = "hl7v2_http"
max_body_bytes = 4096
max_messages = 3
[[channel]]
name = "twn-his"
connector = "hl7v2_http"
facility = "TWN"
[[channel]]
name = "mllp"
connector = "hl7v2_mllp"
port = 0
"""


@dataclass
class House:
    served: Served
    intake: IntakeService

    async def post(self, content: bytes, who: str = "system CTY", channel: str = "his", **headers: str) -> httpx.Response:
        role, _, facility = who.partition(" ")
        client = self.served.client(role, facility) if role else self.served.bearer("")
        named = {"content-type": "application/hl7-v2"} | {k.replace("_", "-"): v for k, v in headers.items()}
        return await client.http.post(f"/hl7v2/{channel}", content=content, headers=named)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    path = tmp_path / "county.toml"
    path.write_text(TOML, "utf-8")
    county = load_county(path)
    hub = open_hub(tmp_path / "data", county)
    intake = IntakeService(tmp_path / "data", county, hub.store, hub.blobs, clock=hub.clock, beside=tmp_path)
    intake.start()
    app = create_app(hub, beside=tmp_path)
    install_hl7v2(app, intake)
    yield House(Served(hub, httpx.ASGITransport(app)), intake)
    intake.stop()
    hub.close()


def codes(answer: httpx.Response) -> list[tuple[str, str]]:
    lines = [line.split("|") for line in answer.text.split("\r") if line.startswith("MSA")]
    return [(line[1], line[2] if len(line) > 2 else "") for line in lines]


async def test_messages_are_acknowledged_in_the_body_and_become_resources(house):
    batch = b"FHS|^~\\&\rBHS|^~\\&\r" + oru(1, items=1) + oru(2, items=1) + b"BTS|2\rFTS|1\r"
    answer = await house.post(batch)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/hl7-v2")
    assert codes(answer) == [("AA", "M1"), ("AA", "M2")]
    chinese = oru(3, items=1).replace(b"|UNICODE UTF-8", b"").decode().encode("gb18030")
    told = await house.post(chinese, content_type="x-application/hl7-v2+er7; charset=GB18030")
    assert (told.status_code, codes(told)) == (200, [("AA", "M3")])
    assert house.intake.pipeline.wait_until_idle(60)
    assert house.intake.journal.read(1).record.hints["peer"].startswith("system CTY@")  # whose token it was
    reports = await house.served.client("clinician", "CTY").walk("/fhir/DiagnosticReport")
    assert len(reports) == 3
    patients = await house.served.client("clinician", "CTY").walk("/fhir/Patient?name=测试3")
    assert len(patients) == 1
    assert codes(await house.post(oru(4).replace(b"|CTY|", b"|TWN|", 1))) == [("AR", "M4")]  # the token is CTY's
    assert codes(await house.post(oru(4).replace(b"|CTY|", b"|TWN|", 1), "system TWN", "twn-his")) == [("AA", "M4")]


async def test_what_is_refused_says_so_by_its_status_and_in_its_acknowledgement(house):
    half = await house.post(oru(1, items=1) + oru(2, items=1).replace(b"|M2|", b"||"))
    assert (half.status_code, codes(half)) == (400, [("AA", "M1"), ("AR", "")])
    assert "\rERR|" in half.text
    big = await house.post(oru(5) + b"NTE|1||" + b"x" * 5000)
    assert (big.status_code, codes(big)) == (413, [("AR", "M5")])
    many = await house.post(b"".join(oru(n, items=1) for n in range(10, 14)))
    assert (many.status_code, codes(many)) == (413, [("AR", "M10")])
    nothing = await house.post(b"hello")
    assert (nothing.status_code, codes(nothing)) == (400, [("AR", "")])
    assert house.intake.pipeline.wait_until_idle(60)
    assert {(o.state, o.reason) for o in house.served.hub.store.outcomes()} == {
        ("done", ""),
        ("dead", "MSH-10 is empty"),
        ("dead", "a body of more than 4096 bytes"),
        ("dead", "more than 3 messages in one body"),
        ("dead", "no MSH segment"),
    }


async def test_nothing_positive_while_the_journal_cannot_be_written(house):
    house.intake.connector("his").stop()
    closed = await house.post(oru(2))
    assert (closed.status_code, codes(closed)) == (503, [("AE", "M2")])
    house.intake.pipeline.stop()
    house.intake.journal.close()
    answer = await house.post(oru(1), "system TWN", "twn-his")
    assert (answer.status_code, codes(answer)) == (400, [("AR", "M1")])
    answer = await house.post(oru(1).replace(b"|CTY|", b"|TWN|", 1), "system TWN", "twn-his")
    assert (answer.status_code, codes(answer)) == (500, [("AE", "M1")])


async def test_who_may_not_send(house):
    refused = {
        ("", "his"): 401,
        ("clinician CTY", "his"): 403,
        ("reader CTY", "his"): 403,
        ("it", "his"): 403,
        ("system CTY", "twn-his"): 403,
        ("system CTY", "mllp"): 404,
        ("system CTY", "nowhere"): 404,
    }
    for (who, channel), status in refused.items():
        assert (await house.post(oru(1), who, channel)).status_code == status, (who, channel)
    assert (await house.post(oru(1), content_type="application/json")).status_code == 415
    assert (await house.post(oru(1), content_encoding="gzip")).status_code == 415
    assert house.intake.journal.last == 0
