"""`yitong replay`: do records again from their stored bytes, beside a running hub or alone."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from hub.app import open_hub
from hub.cli.desk import holds_journal, journal_beside
from hub.cli.doctor import county_path
from hub.cli.language import say
from hub.errors import Invalid, Unavailable
from hub.ingest.journal import Journal, Selection
from hub.ingest.messages import Outcomes, Query, message_at, numbers
from hub.ingest.replay import Filter, NoOutcomes, Replays, Request, State, ask
from hub.ingest.run import IntakeService
from hub.settings import County, load_county
from hub.store.opening import open_reader, target_of
from hub.store.port import ResourceStore
from hub.store.sqlite.outcomes import StoredOutcomes

STATES = ("", "dead", "done")
MOST_FOUND = 100_000  # records that a search may give: their numbers stand in the request
SAMPLE = 3
err = Console(stderr=True, highlight=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says."""

    seqs: tuple[int, ...]
    query: Query
    rate: float = 0
    paused: bool = False

    @property
    def searched(self) -> bool:
        """Whether only the message index can tell which records these are."""
        return bool(self.query.cause or self.query.text or self.query.patient or self.query.control_id)


def run_replay(data: Path, wanted: Wanted, *, dry_run: bool, yes: bool, config: Path | None) -> int:
    """Exit code 0; 1 if nothing matches, or whoever was asked said no."""
    if wanted.query.state not in STATES:
        raise Invalid(f"--state {wanted.query.state}: dead or done")
    holds_journal(data)
    path = county_path(data, config)
    try:
        hub = open_hub(data, load_county(path))
    except Unavailable:
        return _ask_running(data, wanted, load_county(path), dry_run=dry_run, yes=yes)
    try:
        beside = path.parent if path else data
        intake = IntakeService(data, hub.county, hub.store, hub.blobs, clock=hub.clock, beside=beside)
        return _replay_here(intake, hub.store, wanted, dry_run=dry_run, yes=yes)
    finally:
        hub.close()


def change_request(data: Path, *, resume: int, pause: int, cancel: int) -> int:
    """Of a request that was made before; 1 if there is none to change."""
    with closing(journal_beside(data)) as journal:
        replays = Replays(journal, NoOutcomes())
        number, change = next(
            (number, change)
            for number, change in ((resume, replays.resume), (pause, replays.pause), (cancel, replays.cancel))
            if number
        )
        if not change(number):
            err.print(say(f"There is no open request {number}.", f"没有未完成的请求 {number}。"), style="red")
            return 1
        sys.stdout.write(say(f"Request {number} is changed.\n", f"请求 {number} 已更改。\n"))
        return 0


def list_requests(data: Path) -> int:
    with closing(journal_beside(data)) as journal:
        requests = Replays(journal, NoOutcomes()).listed()
    for each in requests:
        state = each.finished or (say("paused", "已暂停") if each.filter.paused else say("open", "进行中"))
        sys.stdout.write(f"{each.id:5}  {each.requested}  {each.replayed:8} {say('done', '已重放')}  {state}  {_said(each)}\n")
    return 0 if requests else 1


def _said(request: Request) -> str:
    wanted, chosen = request.filter, request.filter.selection
    stated = {"state": wanted.state, "channel": chosen.source, "kind": chosen.kind, "since": chosen.since, "until": chosen.until}
    if wanted.numbers:
        stated["records"] = str(len(wanted.numbers))
    return " ".join(f"{name}={value}" for name, value in stated.items() if value)


def _replay_here(intake: IntakeService, store: ResourceStore, wanted: Wanted, *, dry_run: bool, yes: bool) -> int:
    """No hub runs: count, then run the pipeline in this process."""
    try:
        chosen = _chosen(intake.journal, store, wanted)
        count = intake.replays.count(chosen)
        if not _may(count, intake.journal, store, intake.replays, chosen, dry_run=dry_run, yes=yes):
            return 0 if count and dry_run else 1
        number = intake.replays.request(chosen)
        if wanted.paused:
            _say_paused(number)
            return 0
        with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
            bar = progress.add_task(say("replaying", "重放"), total=count)
            while (request := intake.replays.status(number)) and not request.finished:
                if not intake.pipeline.run_once():
                    time.sleep(0.02)  # its rate forbids more
                progress.update(bar, completed=request.replayed)
        return 0
    finally:
        intake.stop()


def _ask_running(data: Path, wanted: Wanted, county: County, *, dry_run: bool, yes: bool) -> int:
    """A hub holds the store: leave the request in the journal's file, where it picks it up within a second."""
    with closing(journal_beside(data)) as journal:
        target = target_of("")
        with closing(open_reader(data, target, county.store) if target else StoredOutcomes(data)) as outcomes:
            chosen = _chosen(journal, outcomes, wanted)
            replays = Replays(journal, outcomes)
            count = replays.count(chosen)
            if not _may(count, journal, outcomes, replays, chosen, dry_run=dry_run, yes=yes):
                return 0 if count and dry_run else 1
        number = ask(journal, chosen)
        if wanted.paused:
            _say_paused(number)
            return 0
        sys.stdout.write("The running hub does it now; `GET /ops/status` or `yitong doctor` show the rest.\n")
        _follow(Replays(journal, NoOutcomes()), number, count)
        return 0


def _follow(replays: Replays, number: int, count: int) -> None:
    """A bar for whoever looks; leaving it stops nothing."""
    if not sys.stderr.isatty():
        return
    with Progress(console=err) as progress:
        bar = progress.add_task(say("replaying (Ctrl-C leaves it running)", "重放(Ctrl-C 退出,不影响进行)"), total=count)
        try:
            while (request := replays.status(number)) and not request.finished:
                progress.update(bar, completed=request.replayed)
                time.sleep(0.3)
        except KeyboardInterrupt:
            pass


def _chosen(journal: Journal, store: Outcomes, wanted: Wanted) -> Filter:
    query = wanted.query
    selection = Selection(source=query.source, kind=query.kind, since=query.since, until=query.until)
    plain = Filter(wanted.seqs, cast(State, query.state), selection, rate=wanted.rate, paused=wanted.paused)
    if not wanted.searched or wanted.seqs:
        return plain
    return replace(plain, found=tuple(numbers(journal, store, query, MOST_FOUND)) or (-1,))


def _may(count: int, journal: Journal, store: Outcomes, replays: Replays, chosen: Filter, *, dry_run: bool, yes: bool) -> bool:
    """Say what it would be; a person at the terminal is asked, a script has decided already."""
    sys.stdout.write(f"{count} record{'' if count == 1 else 's'} match{'es' if count == 1 else ''}.\n")
    if not count:
        return False
    if dry_run:
        _sample(journal, store, replays, chosen)
        return False
    if yes or not sys.stdin.isatty():
        return True
    import typer

    return typer.confirm(say("Replay them?", "确认重放?"))


def _sample(journal: Journal, store: Outcomes, replays: Replays, chosen: Filter) -> None:
    """Three of them, so that a person sees whether they are the ones that were meant."""
    request = Request(0, replace(chosen, rate=0), 0, 0)
    for number in replays.next(request)[:SAMPLE]:
        message = message_at(journal, store, number)
        if message:
            said = f"  {message.seq} {message.received:%Y-%m-%d %H:%M} {message.source} {message.type} {message.control}"
            err.print(Text(f"{said} {message.state} {message.reason}"), soft_wrap=True)


def _say_paused(number: int) -> None:
    sys.stdout.write(
        say(
            f"Request {number} waits; begin it by: yitong replay --resume {number}\n",
            f"请求 {number} 已暂停;开始:yitong replay --resume {number}\n",
        )
    )
