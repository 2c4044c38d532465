"""`yitong map …`: what a file would become, what a changed map would change, whether declared tables do what they promise."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.progress import Progress
from rich.text import Text

from hub.cli.desk import Desk, at_desk, bring_up, err, out
from hub.cli.doctor import county_path
from hub.cli.language import say
from hub.errors import Invalid
from hub.fhir_json import dump
from hub.ingest.contexts import context_of
from hub.ingest.explaining import Contexts
from hub.ingest.messages import Query, search
from hub.ingest.preview import MapDiff, MessageDiff, Preview, diff, preview, stored
from hub.settings import load_county
from mappers.base import MappingContext

MOST_DIFFED = 100_000
MOST_SHOWN = 20


def map_preview(
    file: Path, *, data: Path | None, config: Path | None, channel: str, kind: str, facility: str, opened: bool, as_json: bool
) -> int:
    """Exit code 0; 1 if something of the file cannot be mapped."""
    context, facility = _channel(data, config, channel, facility)
    found = preview(file.read_bytes(), context, name=file.name, kind=kind, facility=facility, masked=not opened)
    if as_json:
        sys.stdout.write(dump([asdict(each) for each in found]).decode() + "\n")
    else:
        for number, each in enumerate(found, 1):
            _show(number, each)
    return 1 if any(each.reason for each in found) else 0


def _channel(data: Path | None, config: Path | None, channel: str, facility: str) -> tuple[MappingContext, str]:
    """The context that a channel of county.toml would give it; without one, none of a facility's habits."""
    if not channel:
        return MappingContext(), facility or "PREVIEW"
    path = county_path(data or Path(), config)
    if path is None:
        raise Invalid(say("--channel needs --data or --config", "--channel 需要 --data 或 --config 指明 county.toml"))
    county = load_county(path)
    found = next((each for each in county.channels if each.name == channel), None)
    if found is None:
        there = ", ".join(each.name for each in county.channels) or "–"
        raise Invalid(say(f"{path} has no channel {channel}; there are {there}", f"{path} 中没有通道 {channel};现有:{there}"))
    return context_of(found, path.parent, county.validation), facility or found.facility or "PREVIEW"


def _show(number: int, found: Preview) -> None:
    counts = Counter(each["resourceType"] for each in found.resources)
    made = ", ".join(f"{count} {name}" for name, count in counts.items())
    out.print(Text(f"── {number} {found.kind}: ", "bold").append(made or say("nothing", "无")))
    if found.reason:
        out.print(Text(f"  ✗ {found.reason}", "red"))
    if found.ledger:
        out.print("  " + ", ".join(f"{name} {count}" for name, count in found.ledger.items()), style="dim")
    for line in found.lines:
        out.print(Text(f"  {line.where:28} {line.state:9} {line.to}"), soft_wrap=True)
    for issue in found.issues:
        out.print(Text(f"  ! {issue.code} {issue.where} {issue.value} {issue.display} {issue.detail}", "yellow"), soft_wrap=True)
    for resource in found.resources:
        out.print(Text(json.dumps(json.loads(dump(dict(resource))), ensure_ascii=False, indent=1)), soft_wrap=True)


# ---------------------------------------------------------------- a changed map


def map_diff(data: Path, *, new: Path, old: Path | None, query: Query, last: int, as_json: bool, accept: bool) -> int:
    """Exit code 0 if nothing is worse by the new county.toml, 1 if something is and `accept` is not said."""
    if not 1 <= last <= MOST_DIFFED:
        raise Invalid(f"--last {last}: 1 … {MOST_DIFFED}")
    before = county_path(data, old)
    with at_desk(data, before) as desk:
        bring_up(desk.journal)
        was, now = _contexts(desk, before), _contexts(desk, new)
        numbers = _numbers(desk, query, last)
        if not numbers:
            raise Invalid(say("no stored message matches", "没有符合条件的消息"))
        with Progress(console=err, disable=not sys.stderr.isatty()) as progress:
            bar = progress.add_task(say("mapping twice", "双重映射"), total=len(numbers))
            batches = stored(desk.journal, numbers)
            found = diff(was, now, batches, data / "blobs", told=lambda done: progress.update(bar, completed=done))
    if as_json:
        sys.stdout.write(dump(_json(found)).decode() + "\n")
    else:
        _print_diff(found)
    return 1 if found.regressions and not accept else 0


def _contexts(desk: Desk, path: Path | None) -> Contexts:
    """Of a county.toml, and on top of it what was confirmed on the workbench: as the hub would map."""
    from hub.ingest.live_contexts import LiveContexts

    county = load_county(path)
    return LiveContexts(county, path.parent if path else desk.data, desk.store)()


def _numbers(desk: Desk, query: Query, last: int) -> list[int]:
    """The newest that match, oldest first."""
    found: list[int] = []
    before: int | None = 0
    while before is not None and len(found) < last:
        page = search(desk.journal, desk.store, replace(query, before_seq=before), min(1000, last - len(found)))
        found += [message.seq for message in page.messages]
        before = page.next
    return sorted(found)


def _json(found: MapDiff) -> dict[str, Any]:
    counts = {"looked": found.looked, "same": found.same, "differing": found.differing, "regressions": found.regressions}
    counted = {"resources": dict(found.resources), "elements": dict(found.elements), "issues": dict(found.issues)}
    return {**counts, **counted, "messages": [_message(each) for each in found.messages]}


def _message(each: MessageDiff) -> dict[str, Any]:
    resources = [
        {"reference": one.reference, "change": one.change, "elements": [element._asdict() for element in one.elements]}
        for one in each.resources
    ]
    return {**asdict(each), "resources": resources}


def _print_diff(found: MapDiff) -> None:
    out.print(
        say(
            f"{found.looked} messages mapped by both: {found.same} the same, {found.differing} differ, {found.regressions} worse.",
            f"{found.looked} 条消息双重映射:{found.same} 条相同,{found.differing} 条不同,{found.regressions} 条变差。",
        ),
        style="red" if found.regressions else "green",
    )
    for title, counts in (
        ("FHIR", found.resources),
        (say("elements", "元素"), found.elements),
        (say("issues", "问题"), found.issues),
    ):
        for name, count in counts.most_common(MOST_SHOWN):
            out.print(Text(f"  {title}: {name} × {count}"))
    worst = sorted(found.messages, key=lambda each: not each.regression)
    for each in worst[:MOST_SHOWN]:
        _print_message(each)


def _print_message(each: MessageDiff) -> None:
    out.print(Text(f"── {each.seq} ", "bold").append(each.regression, "red"))
    for resource in each.resources[:5]:
        out.print(Text(f"  {resource.reference} {resource.change}"))
        for element in resource.elements[:10]:
            out.print(Text(f"    {element.path}: {_value(element.before)} → {_value(element.after)}"), soft_wrap=True)
    _issues("+", each.issues_added)
    _issues("-", each.issues_removed)


def _issues(sign: str, issues: Iterable[object]) -> None:
    for issue in list(issues)[:5]:
        code, where, value = (getattr(issue, name) for name in ("code", "where", "value"))
        out.print(Text(f"  {sign} {code} {where} {value}", "yellow"))


def _value(value: object) -> str:
    return "–" if value is None else str(value)


# ---------------------------------------------------------------- declared tables


def map_test(file: Path) -> int:
    """Exit code 0 if every [[example]] of the file holds, 1 if one does not."""
    from mappers.rows import run_table_tests
    from mappers.rows.tables import BadTable

    try:
        results = run_table_tests(file)
    except BadTable as error:
        raise Invalid(str(error)) from None
    if not results:
        raise Invalid(
            say(
                f"{file} has no [[example]]: write a row and what must come of it",
                f"{file} 中没有 [[example]]:请写一行输入和期望结果",
            )
        )
    for result in results:
        mark, style = ("✓", "green") if result.passed else ("✗", "red")
        out.print(Text(f"{mark} {result.number} {result.table} {result.says}", style))
        for problem in result.problems:
            out.print(Text(f"    {problem}"), soft_wrap=True)
    failed = sum(not result.passed for result in results)
    out.print(say(f"{len(results)} examples, {failed} failed", f"{len(results)} 个示例,{failed} 个未通过"))
    return 1 if failed else 0
