"""What `yitong directory` does: a look at the files first; writing goes through a running hub, or opens the hub where none runs."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from rich.text import Text
from rich.tree import Tree

from hub.app import open_hub
from hub.cli.desk import Desk, ask_yes, at_desk, err, out
from hub.cli.doctor import county_path
from hub.cli.language import say
from hub.directory.bring import REQUEST, bring, look
from hub.directory.identifiers import known_numbers
from hub.directory.numbers import folded
from hub.directory.resources import Said
from hub.directory.sheet import LARGEST
from hub.errors import HubError, Invalid, Unavailable
from hub.fhir_json import load
from hub.ingest.requests import answer_to, leave
from hub.search.query import SearchQuery
from hub.security.access import Access
from hub.settings import load_county
from hub.store.blobs import BlobStore
from hub.store.port import EVERYTHING, ResourceStore

ANSWER_SECONDS = 120.0
TOLD = 100  # problems that are listed
MOST = 20_000  # organisations of a tree
PAGE = 500


def import_directory(data: Path, paths: Sequence[Path], *, dry_run: bool, yes: bool, config: Path | None) -> int:
    """Exit code 0: all rows are there; 1: some were left out, or nobody agreed."""
    files = [(path.name, _content(path)) for path in paths]
    county = load_county(county_path(data, config))
    made, said = look(files, county)
    types = Counter(each.resource["resourceType"] for each in made)
    _tell(said)
    out.print(", ".join(f"{number} {type}" for type, number in sorted(types.items())) or say("nothing", "没有内容"))
    if dry_run:
        return 1 if any(each.error for each in said) else 0
    if not ask_yes(say("Take them in?", "导入吗?"), yes=yes):
        err.print(say("Nothing was changed; --yes takes them in without asking.", "未作更改;--yes 可免询问。"))
        return 1
    counts, more = _write(data, files, config)
    _tell([each for each in more if not each.row])
    names = {"created": say("created", "新建"), "updated": say("updated", "更新"), "unchanged": say("unchanged", "未变")}
    out.print(", ".join(f"{counts.get(name, 0)} {word}" for name, word in names.items()))
    return 1 if any(each.error for each in more) else 0


def _content(path: Path) -> bytes:
    if path.stat().st_size > LARGEST:
        raise Invalid(say(f"{path}: more than {LARGEST >> 20} MB", f"{path}:超过 {LARGEST >> 20} MB"))
    return path.read_bytes()


def _write(data: Path, files: Sequence[tuple[str, bytes]], config: Path | None) -> tuple[Mapping[str, int], list[Said]]:
    who = f"{getpass.getuser()} (yitong directory)"
    try:
        hub = open_hub(data, load_county(county_path(data, config)))
    except Unavailable:
        with at_desk(data, config) as desk:
            return _by_running_hub(desk, files, who)
    with closing(hub):
        done = asyncio.run(bring(hub, Access(name=who, role="admin", purpose="HOPERAT", address="127.0.0.1"), files))
        return done.counts, list(done.said)


def _by_running_hub(desk: Desk, files: Sequence[tuple[str, bytes]], who: str) -> tuple[Mapping[str, int], list[Said]]:
    blobs = BlobStore(desk.data / "blobs", tidy=False)
    body = {"who": who, "files": [[name, blobs.put(content)] for name, content in files]}
    answer = answer_to(desk.journal, leave(desk.journal, REQUEST, body), ANSWER_SECONDS)
    if answer is None:
        raise Unavailable(say("the running hub has not answered yet; the request waits", "运行中的平台尚未响应;请求仍在等待"))
    if "error" in answer:
        raise HubError(str(answer["error"]))
    return answer["counts"], [Said(**each) for each in answer["said"]]


def _tell(said: Sequence[Said]) -> None:
    for each in said[:TOLD]:
        where = say(f"{each.sheet} row {each.row}: ", f"{each.sheet} 第 {each.row} 行:") if each.row else ""
        out.print(Text(f"{'✕' if each.error else '!'} {where}{each.text}"), style="red" if each.error else "yellow", soft_wrap=True)
    if len(said) > TOLD:
        out.print(f"  … {len(said)}")


def show_tree(data: Path, *, as_json: bool, config: Path | None) -> int:
    with at_desk(data, config) as desk:
        every = {str(each["id"]): each for each in _organizations(desk.store)}
    below: dict[str, list[str]] = {}
    for id, each in every.items():
        above = str((each.get("partOf") or {}).get("reference", "")).removeprefix("Organization/")
        below.setdefault(above if above in every else "", []).append(id)
    if as_json:
        sys.stdout.write(json.dumps([_branch(id, every, below) for id in below.get("", [])], ensure_ascii=False, indent=1) + "\n")
        return 0
    root = Tree(say("county", "全县"))
    waiting = [(root, id) for id in below.get("", [])]
    while waiting:
        node, id = waiting.pop(0)
        inner = node.add(Text(f"{every[id].get('name', '')} ({id})"))
        waiting += [(inner, each) for each in below.get(id, [])]
    out.print(root)
    return 0


def _branch(id: str, every: Mapping[str, Any], below: Mapping[str, list[str]]) -> dict[str, Any]:
    parts = [_branch(each, every, below) for each in below.get(id, [])]
    return {"id": id, "name": every[id].get("name", ""), **({"parts": parts} if parts else {})}


def _organizations(store: ResourceStore) -> Iterator[dict[str, Any]]:
    after, seen = None, 0
    while seen < MOST:
        page = store.search(SearchQuery("Organization", count=PAGE, after=after), EVERYTHING)
        yield from (load(version.body) for version in page.matches)
        after, seen = page.next, seen + len(page.matches)
        if after is None:
            return


def check_numbers(kind: str, stated: Sequence[str]) -> int:
    number = known_numbers().get(kind)
    if number is None:
        raise Invalid(say(f"no such kind: {', '.join(known_numbers())}", f"没有这种号码:{'、'.join(known_numbers())}"))
    wrong = 0
    for text in stated:
        problem = number.problem(folded(text))
        wrong += problem is not None
        out.print(Text(f"{folded(text)}: {problem.said if problem else say('right', '正确')}"), soft_wrap=True)
    return 1 if wrong else 0
