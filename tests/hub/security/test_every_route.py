"""Everything that the hub serves × everybody who may ask: docs/guides/who-sees-what-by-route.md is what is expected.

The tables of that document are read here. An address without a row in it, or a row without an address, fails.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from hub.api.hl7v2 import install_hl7v2
from hub.app import create_app, open_hub
from hub.ingest.run import IntakeService
from hub.ingest.status import install_status
from tests.hub.api.county import FHIR
from tests.hub.bulk.exports import manifest
from tests.hub.security.persons import ACCOUNTS, CLOSED, COUNTY, NAME, NUMBER, PLAIN, Site, filled, parameters, signed_in, told
from tests.hub.security.probes import ELSEWHERE, PROBES, SIGN, Probe, addresses, hook
from tests.hub.web.county import NOW

pytestmark = pytest.mark.anyio

GUIDE = Path(__file__).parents[3] / "docs/guides/who-sees-what-by-route.md"
REFUSED = (401, 403)
ANY = ("stranger", "bureau", "neighbour")
"""Who asks for the others too where everybody may."""
HER_ID = {"village": "v-p", "town": "t-p", "resident": "t-p", "neighbour": "other"}
"""The id by which an account knows her; the others try the county hospital's."""


# -- the document


def tables() -> Iterator[list[list[str]]]:
    """Rows of each Markdown table, the heading first."""
    for block in re.findall(r"(?:^\|.*\n)+", GUIDE.read_text("utf-8"), re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in block.splitlines()]
        yield [row for row in rows if set("".join(row)) != {"-"}]


def expectations() -> tuple[dict[str, frozenset[str]], dict[str, dict[str, str]], dict[str, str]]:
    """Account → results; rule → account → mark; `METHOD address` → rule."""
    who, rules, *routes = tables()
    seen = {row[0]: PLAIN & _results(row[2], "o") | CLOSED & _results(row[3], "h") for row in who[1:]}
    marks = {row[0]: dict(zip(rules[0][2:], row[2:], strict=True)) for row in rules[1:]}
    served: dict[str, str] = {}
    for row in (row for table in routes for row in table[1:]):
        for method in row[0].split():
            address = f"{method} {row[1].strip('`')}"
            assert address not in served, f"{address} has two rows"
            served[address] = row[2]
    return seen, marks, served


def _results(cell: str, kind: str) -> frozenset[str]:
    letters = {"county": "c", "town": "t", "village": "v"}
    return frozenset(f"{letters[name.strip()]}-{kind}" for name in cell.split(",") if name.strip() not in ("", "–"))


# -- the hub, as `serve` puts it together


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


class Asked:
    """A site, what its accounts know, and their browsers."""

    def __init__(self, site: Site, routes: frozenset[str]) -> None:
        self.site = site
        self.routes = routes
        self.known: dict[str, str] = {}
        self.browsers: dict[str, tuple[httpx.AsyncClient, str]] = {}

    async def prepare(self) -> None:
        """The doctor is prompted, and exports what she sees; everybody opens a browser."""
        files = self.site.files
        self.known = {"document": files.document, "picture": files.picture, "tracing": files.tracing}
        doctor = self.site.clients["doctor"]
        answer = await doctor.post(_filled(hook("order-sign"), {"her": "c-p"}), SIGN)
        (card,) = answer.json()["cards"]
        page = next(link["url"] for link in card["links"] if "/embed/prompt/" in link["url"])
        self.known |= {"prompt": card["uuid"], "ticket": page.partition("ticket=")[2]}
        files_of_export = (await manifest(doctor, "/fhir/Patient/$export?_type=Observation"))["output"]
        self.known["export"], self.known["exported"] = urlsplit(files_of_export[0]["url"]).path.split("/")[-2:]
        started = await self.site.clients["admin"].post(parameters(type="Basic"), "/fhir/$reindex")
        self.known["job"] = started.headers["content-location"].rpartition("/")[2]
        for who, token in self.site.tokens.items():
            self.browsers[who] = await signed_in(self.site.served, token)

    async def ask(self, who: str, method: str, address: str, probe: Probe) -> httpx.Response:
        http, csrf = self.browsers[who] if probe.page else (self.site.clients[who].http, "")
        facility = ACCOUNTS.get(who, ("", ""))[1] or "CTY"
        return await self.ask_by(http, csrf, HER_ID.get(who, "c-p"), method, address, probe, facility)

    async def ask_by(
        self, http: httpx.AsyncClient, csrf: str, her: str, method: str, address: str, probe: Probe, facility: str = "CTY"
    ) -> httpx.Response:
        known = {**self.known, "her": her, "facility": facility}
        path, body = _filled(probe.path or address, known), _filled(probe.body, known)
        if probe.form:
            return await http.request(method, path, data={"csrf": csrf, **body}, headers=probe.headers)
        headers = {**FHIR, **probe.headers} if body is not None else probe.headers
        content = {} if body is None else {"content": body if isinstance(body, str) else json.dumps(body)}
        return await http.request(method, path, headers=headers, **content)


def _filled(value: Any, known: dict[str, str]) -> Any:
    """With every {name} of ours in its texts replaced; other braces stay."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda found: known.get(found[1], found[0]), value)
    if isinstance(value, dict):
        return {name: _filled(each, known) for name, each in value.items()}
    return [_filled(each, known) for each in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
async def asked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Asked]:
    folder = tmp_path_factory.mktemp("routes") / "data"
    hub = open_hub(folder, COUNTY, clock=lambda: int(NOW.timestamp() * 1000))
    app = create_app(hub)
    intake = IntakeService(folder, COUNTY, hub.store, hub.blobs, clock=hub.clock)
    install_status(app, intake)
    install_hl7v2(app, intake)
    site = Asked(await filled(hub, app), frozenset(addresses(app.routes)))
    await site.prepare()
    yield site
    hub.close()


SEEN, MARKS, ROUTES = expectations()


async def test_every_address_has_one_row_and_one_probe(asked: Asked) -> None:
    assert sorted(asked.routes - set(ROUTES)) == [], f"say in {GUIDE.name} who may use these"
    assert sorted(set(ROUTES) - asked.routes) == [], f"{GUIDE.name} tells of what nobody serves"
    assert sorted(asked.routes - set(PROBES) - set(ELSEWHERE)) == [], "say in probes.py how these are asked"
    assert sorted((set(PROBES) | set(ELSEWHERE)) - asked.routes) == []
    assert set(ROUTES.values()) <= set(MARKS)
    assert set(SEEN) == {*ACCOUNTS, "resident", "neighbour"} == set(MARKS["record"])
    assert all((GUIDE.parents[2] / test).is_file() for test in ELSEWHERE.values())


@pytest.mark.parametrize("who", list(SEEN))
async def test_every_address_answers_as_the_guide_says(asked: Asked, who: str) -> None:
    wrong = []
    for address, probes in PROBES.items():
        mark = MARKS[ROUTES[address]][who]
        if who not in ANY and set(MARKS[ROUTES[address]].values()) == {"●"}:
            continue
        seen = PLAIN if ROUTES[address] == "ticket" else SEEN[who]
        method, path = address.split(" ", 1)
        for probe in probes:
            answer = await asked.ask(who, method, path, probe)
            if said := _wrong(answer, mark, seen, probe):
                wrong.append(f"{address} {probe.path}: {answer.status_code} {said}")
    assert wrong == []


def _wrong(answer: httpx.Response, mark: str, seen: frozenset[str], probe: Probe) -> str:
    """What the answer should not be; "" where it is as the mark says."""
    found, expected = told(answer), seen & probe.tells if mark == "●" else frozenset()
    missing = expected - found and not probe.cut and not (probe.some and found)
    if missing or found - expected:
        return f"told {sorted(found)}, not {sorted(expected)}"
    if answer.status_code >= 500:
        return "failed"
    if mark == "●":
        return "refused" if answer.status_code in REFUSED else ""
    if mark == "✗":
        return "" if answer.status_code in REFUSED else "not refused"
    named = NAME not in str(probe) and NUMBER not in str(probe) and (NAME in answer.text or NUMBER in answer.text)
    return "named her" if named else "" if answer.status_code in (200, 400, *REFUSED, 404) else "neither refused nor nothing"


async def test_whoever_has_no_account_is_refused_everywhere(asked: Asked) -> None:
    """Or is sent to the login; but for what is public, and an address that carries its own proof."""
    nobody = httpx.AsyncClient(transport=asked.site.served.transport, base_url="http://hub")
    let_in = []
    for address, probes in PROBES.items():
        if ROUTES[address] in ("public", "ticket"):
            continue
        method, path = address.split(" ", 1)
        for probe in probes:
            answer = await asked.ask_by(nobody, "", "c-p", method, path, probe)
            to_login = answer.status_code == 303 and answer.headers["location"].startswith("/login")
            if told(answer) or not (to_login or answer.status_code in REFUSED):
                let_in.append(f"{address} {probe.path}: {answer.status_code}")
    assert let_in == []
