"""`yitong doctor`: numbered checks, each with its cause and the exact fix."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

import apsw
import httpx
from rich.console import Console

from hub.errors import HubError
from hub.settings import County, load_county
from hub.store.opening import open_reader, target_of
from hub.store.port import ResourceStore
from hub.store.sqlite.outcomes import StoredOutcomes

State = Literal["ok", "warning", "broken"]
SAFE_SQLITE = (3, 51, 3)  # the WAL-reset corruption is fixed from here on
FEW_GIGABYTES = 5
FULL_BYTES = 1 << 20  # with less a database cannot even fold its log
MOST_SKEW_SECONDS = 30
MARKS: dict[State, tuple[str, str]] = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "broken": ("✗", "red")}


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    state: State
    found: str
    fix: str = ""


def county_path(data: Path, config: Path | None) -> Path | None:
    """The county.toml in force: the one named, else the one in the data folder, else none."""
    own = data / "county.toml"
    return config or (own if own.is_file() else None)


def run_doctor(data: Path, *, config: Path | None, url: str, as_json: bool) -> int:
    """Print the findings; 0 all well, 1 warnings, 2 something is broken."""
    findings = list(_findings(data, config, url))
    if as_json:
        sys.stdout.write(json.dumps([asdict(f) for f in findings], ensure_ascii=False, indent=2) + "\n")
    else:
        _print(findings)
    return max({"ok": 0, "warning": 1, "broken": 2}[f.state] for f in findings)


def _print(findings: list[Finding]) -> None:
    console = Console()
    for number, finding in enumerate(findings, 1):
        mark, style = MARKS[finding.state]
        console.print(
            f"{number:2} {mark} {finding.check}: {finding.found}", style=style, markup=False, highlight=False, soft_wrap=True
        )
        if finding.fix:
            console.print(f"     → {finding.fix}", markup=False, highlight=False, soft_wrap=True)


def _findings(data: Path, config: Path | None, url: str) -> Iterator[Finding]:
    from hub.cli.doctor_channels import channel_findings

    yield from (check() for check in (_python, _sqlite, _assets, _clock))
    yield from _folder(data)
    county, finding = _county(county_path(data, config))
    yield finding
    store = list(_server(data, county or County()))
    yield from store
    if county is not None and all(each.state != "broken" for each in store):
        yield from _came(data, county)
    if url:
        yield _running(url)
    elif county is not None:
        yield from channel_findings(county, data)


def _python() -> Finding:
    return Finding("Python", "ok", platform.python_version())


def _sqlite() -> Finding:
    version = apsw.sqlite_lib_version()
    if tuple(map(int, version.split("."))) >= SAFE_SQLITE:
        return Finding("SQLite", "ok", version)
    return Finding("SQLite", "broken", f"{version} may corrupt its log", "install apsw 3.51.3 or later")


def _assets() -> Finding:
    script = Path(__file__).parents[1] / "web" / "static" / "vendor" / "htmx-2.min.js"
    if script.is_file():
        return Finding("Page assets", "ok", "htmx is there")
    return Finding(
        "Page assets", "warning", "htmx is missing: pages work, each click reloads", "install the package anew: pip install ."
    )


def _clock() -> Finding:
    now = datetime.now().astimezone()
    if now.year >= 2026:
        return Finding("Clock", "ok", f"{now:%Y-%m-%d %H:%M %z}")
    return Finding("Clock", "broken", f"{now:%Y-%m-%d}", "set the machine's clock: windows and audits depend on it")


def _folder(data: Path) -> Iterator[Finding]:
    if not data.is_dir():
        yield Finding("Data folder", "ok", f"{data} is not there yet; `yitong serve` makes it")
        return
    if not os.access(data, os.W_OK | os.X_OK):
        yield Finding("Data folder", "broken", f"{data} is not writable", f"chown -R $(id -un) {data}")
    elif data.stat().st_mode & 0o077:
        yield Finding("Data folder", "warning", f"others may read {data}", f"chmod 700 {data}")
    else:
        yield Finding("Data folder", "ok", str(data))
    yield _disk(data)
    files = [_file(data / name) for name in ("store.sqlite", "journal.sqlite", "tokens.sqlite") if (data / name).is_file()]
    yield from files
    if any(file.check == "store.sqlite" and file.state == "ok" for file in files):
        yield from _records(data)


def _disk(data: Path) -> Finding:
    room = os.statvfs(data)
    free = room.f_bavail * room.f_frsize
    if free < FULL_BYTES or (room.f_files and not room.f_favail):
        found = f"full ({free / 2**20:.0f} MB, {room.f_favail} files free): the hub takes nothing in and tells every sender so"
        return Finding("Disk", "broken", found, "free some space: the hub goes on by itself, no restart is needed")
    if free < FEW_GIGABYTES * 2**30:
        fix = "free some space: at zero the hub stops acknowledging"
        return Finding("Disk", "warning", f"{free / 2**30:.1f} GB free", fix)
    return Finding("Disk", "ok", f"{free / 2**30:.0f} GB free")


def _records(data: Path) -> Iterator[Finding]:
    """What became of each channel's records so far."""
    with closing(StoredOutcomes(data)) as outcomes:
        yield from _tallies(data, outcomes)


def _tallies(data: Path, outcomes: StoredOutcomes | ResourceStore) -> Iterator[Finding]:
    for source, tally in sorted(outcomes.tallies().items()):
        found = f"{tally.done} done ({tally.issues} with issues), {tally.dead} dead"
        if not tally.dead:
            yield Finding(f"Records of {source}", "ok", found)
            continue
        reason = next((o.reason for o in outcomes.outcomes(state="dead", source=source, limit=1, newest=True)), "")
        fix = f"GET /ops/status lists the reasons; mend, then: yitong replay --data {data} --channel {source} --state dead"
        yield Finding(f"Records of {source}", "warning", f"{found}, the newest: {reason}", fix)


def _server(data: Path, county: County) -> Iterator[Finding]:
    """The MongoDB store, if the hub is to use one."""
    try:
        target = target_of("")
    except HubError as error:
        yield Finding("Store", "broken", error.message, "mend the environment variable")
        return
    if target is None or not data.is_dir():
        return
    try:
        with closing(open_reader(data, target, county.store)) as store:
            problem = getattr(store, "problem", "")
            yield Finding("Store", "warning" if problem else "ok", problem or f"{target.shown} answers")
            yield from _tallies(data, store)
    except HubError as error:
        yield Finding("Store", "broken", f"{target.shown}: {error.message}", "start the server, or mend its address")


def _file(path: Path) -> Finding:
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        answer = str(next(iter(connection.execute("pragma quick_check(1)")))[0])
    except apsw.Error as error:
        return Finding(path.name, "broken", str(error), "stop the hub, keep a copy of the folder, restore a backup")
    if answer == "ok":
        return Finding(path.name, "ok", f"sound, {path.stat().st_size / 2**20:.0f} MB")
    return Finding(path.name, "broken", answer, "stop the hub, keep a copy of the folder, restore a backup")


def _county(path: Path | None) -> tuple[County | None, Finding]:
    if path is None:
        return None, Finding("county.toml", "ok", "none: records say whose they are (see docs/guides/first-channel.md)")
    try:
        county = load_county(path)
    except HubError as error:
        return None, Finding("county.toml", "broken", error.message, "mend the line named")
    known = {f.code for f in county.facilities}
    strangers = sorted({c.facility for c in county.channels if c.facility and c.facility not in known})
    if strangers:
        fix = "add a [[facility]] for each"
        return county, Finding("county.toml", "warning", f"channels name unknown facilities: {', '.join(strangers)}", fix)
    found = f"{len(county.facilities)} facilities, {len(county.channels)} channels"
    return county, Finding("county.toml", "ok", found)


def _came(data: Path, county: County) -> Iterator[Finding]:
    from hub.cli.doctor_channels import record_findings

    try:
        target = target_of("")
        if target is None and not (data / "store.sqlite").is_file():
            return
        with closing(open_reader(data, target, county.store) if target else StoredOutcomes(data)) as outcomes:
            yield from record_findings(data, county, outcomes)
    except (HubError, apsw.Error) as error:
        yield Finding("Records", "broken", f"cannot be read: {type(error).__name__}", "see the findings above")


def _running(url: str) -> Finding:
    try:
        answer = httpx.get(f"{url.rstrip('/')}/health", timeout=5)
    except httpx.HTTPError as error:
        return Finding(
            "Running hub", "broken", f"{url} does not answer ({type(error).__name__})", "start it: yitong serve --data DIR"
        )
    if answer.status_code == httpx.codes.OK:
        return _same_time(answer, url)
    return Finding("Running hub", "broken", f"{url}/health answers {answer.status_code}", "look at its log")


def _same_time(answer: httpx.Response, url: str) -> Finding:
    """Whether the hub's clock and this machine's agree: windows, audits and late records depend on it."""
    try:
        skew = abs((parsedate_to_datetime(answer.headers["date"]) - datetime.now(UTC)).total_seconds())
    except (KeyError, ValueError):
        return Finding("Running hub", "ok", url)
    if skew > MOST_SKEW_SECONDS:
        return Finding("Running hub", "warning", f"{url}: its clock is {skew:.0f} s from this one", "set both by NTP: timedatectl")
    return Finding("Running hub", "ok", url)
