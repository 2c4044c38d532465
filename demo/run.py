"""`yitong demo`: start a hub and the county's systems, let everything flow, then look at it as a client would.

The hub runs as its own process. After that only HTTP is used: what the table shows is what any other software would see.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from demo.checks import Line, check_county
from demo.county import write_county
from demo.his import HospitalDatabase
from demo.people import FACILITIES, make_people
from demo.process import HubProcess, free_ports
from demo.sources import Feed, fill_databases, start_feeds
from demo.story import make_visits
from hub.security.tokens import TokenStore

CHINA = timezone(timedelta(hours=8))
SETTLE_SECONDS = 600


def run_demo(*, headless: bool, people: int, data: Path | None, seed: int) -> int:
    """Return the exit code: 0 if every line holds."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    folder = data or Path(tempfile.mkdtemp(prefix="yitong-demo-"))
    if data is not None and any(folder.glob("*.sqlite")):
        console.print(f"{folder} holds a hub already; give a new or empty folder.", style="red")
        return 2
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    started = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends the demo ends its hub
    try:
        return _demo(console, folder, headless=headless, people=people, seed=seed, started=started)
    except KeyboardInterrupt:
        return 130
    except RuntimeError as error:
        console.print(str(error), style="red", markup=False)
        return 2
    finally:
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)


def _demo(console: Console, folder: Path, *, headless: bool, people: int, seed: int, started: float) -> int:
    now = datetime.now(CHINA)
    residents = make_people(people, seed, date(now.year, now.month, now.day))
    visits = make_visits(residents, seed, now)
    sources = folder / "sources"
    drops = {f: sources / f"{f.lower()}-emr" for f in ("CTY", "TCM")}
    for path in drops.values():
        path.mkdir(parents=True)
    databases = {f: HospitalDatabase(sources / f"{f.lower()}-his.sqlite", f) for f in FACILITIES}
    fill_databases(databases, residents, visits, now)
    http, *others = free_ports(5)
    named = dict(zip(("mllp_cty", "mllp_tcm", "mllp_twp", "dicom"), others, strict=True))
    config = write_county(folder, ports=named, his={f: d.path for f, d in databases.items()}, emr=drops)
    tokens = _tokens(folder)
    console.print(
        f"{len(residents)} residents, {len(visits)} visits, three facilities; the hub's data is in {folder}", highlight=False
    )
    with HubProcess(folder, http, "--config", str(config)) as hub:
        hub.wait_until_ready()
        console.print(f"The hub is up at {hub.url}", highlight=False)
        feeds = start_feeds(residents, visits, databases=databases, drops=drops, ports=named, now=now, seed=seed)
        _watch(console, hub.url, tokens["it"], feeds)
        lines = check_county(hub.url, tokens, feeds, residents[0], visits)
        _print_table(console, hub.url, tokens["it"], feeds, lines, time.monotonic() - started)
        good = all(line.holds for line in lines)
        if not headless:
            _leave_open(console, hub.url, tokens, residents[0].name)
        return 0 if good else 1


def _tokens(folder: Path) -> dict[str, str]:
    store = TokenStore(folder)
    return {
        "admin": store.create("demo administrator", "admin"),
        "it": store.create("demo hospital IT", "it"),
        "CTY": store.create("demo county doctor", "clinician", "CTY"),
        "TWP": store.create("demo township doctor", "clinician", "TWP"),
    }


def status(url: str, token: str) -> dict[str, dict[str, int]]:
    """What the hub says of each channel: received, done, dead, issues, resources."""
    answer = httpx.get(f"{url}/ops/status", headers={"Authorization": f"Bearer {token}"}, timeout=30)
    answer.raise_for_status()
    return {channel["source"]: channel for channel in answer.json()["channels"]}


def _watch(console: Console, url: str, token: str, feeds: list[Feed]) -> None:
    """Show progress until every record sent is acknowledged and has an outcome."""
    columns = (TextColumn("{task.description:<13}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    until = time.monotonic() + SETTLE_SECONDS
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bars = {feed.source: progress.add_task(feed.source, total=feed.total) for feed in feeds}
        while time.monotonic() < until:
            for feed in feeds:
                if feed.error:
                    raise RuntimeError(f"{feed.source}: {feed.error}")
            now = status(url, token)
            finished = {f.source: now.get(f.source, {}).get("done", 0) + now.get(f.source, {}).get("dead", 0) for f in feeds}
            for source, count in finished.items():
                progress.update(bars[source], completed=count)
            if all(finished[f.source] >= f.total for f in feeds):
                return
            time.sleep(0.2)
    raise RuntimeError(f"after {SETTLE_SECONDS} s not every record has an outcome: {finished}")


def _print_table(console: Console, url: str, token: str, feeds: list[Feed], lines: list[Line], seconds: float) -> None:
    now = status(url, token)
    table = Table(title="What flowed in", title_justify="left")
    for column in ("channel", "protocol", "sent", "acknowledged", "mapped", "with issues", "dead", "resources"):
        table.add_column(column, justify="left" if column in {"channel", "protocol"} else "right")
    for feed in feeds:
        channel = now.get(feed.source, {})
        counts = [channel.get(name, 0) for name in ("done", "issues", "dead", "resources")]
        acknowledged = feed.acknowledged or channel.get("received", 0)  # a polled source knows of no acknowledgement
        table.add_row(feed.source, feed.protocol, *map(str, (feed.total, acknowledged, *counts)))
    console.print(table)
    result = Table(title="What a client sees", title_justify="left")
    for column in ("", "check", "seen"):
        result.add_column(column)
    for line in lines:
        result.add_row("[green]✓" if line.holds else "[red]✗", line.check, line.seen)
    console.print(result)
    console.print(f"{seconds:.0f} s from nothing to here", highlight=False)


def _leave_open(console: Console, url: str, tokens: dict[str, str], name: str) -> None:
    console.print(f"\nOpen {url}/ and log in with a token:", highlight=False)
    for who, key in (("township doctor", "TWP"), ("county doctor", "CTY"), ("administrator", "admin")):
        console.print(f"  {who:<16} {tokens[key]}", highlight=False, markup=False)
    console.print(f"Try {name}, zxy, or the ID number in her banner. The administrator also finds", highlight=False)
    console.print("  /measures       what mutual recognition brought    /ops/identity  who is one person")
    console.print("  /ops/codes      tables of codes and their maps     /ops           what flows in")
    console.print("Ctrl-C ends it; nothing is kept.")
    while True:
        time.sleep(3600)
