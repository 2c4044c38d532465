"""What became of each journal record, and how far the journal is finished without a gap.

A journal lies in one process's data folder and numbers its records from one, so its outcomes carry the folder's name, `n`: every
process sees those of its own journal. Counts are kept in several places (slots) that are added up when asked, for a single one
would be changed by every record, and records done at the same time would wait for each other.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict, fields
from typing import Any

from hub.store.mongo.documents import Document
from hub.store.mongo.reading import Reading
from hub.store.mongo.workspace import Workspace
from hub.store.port import Outcome, SourceTally, UnmappedCode

OUTCOMES = "outcome"
COUNTED = tuple(each.name for each in fields(SourceTally))
FIRST_LOOK = 1024  # records looked at together when the end of what is finished is searched


def read(reading: Reading, node: str, seq: int) -> Outcome | None:
    found = reading.one("outcome", {"_id": _id(node, seq)})
    return _outcome(found) if found else None


def listed(
    reading: Reading, node: str, *, state: str, source: str, after: int, before: int = 0, limit: int, newest: bool = False
) -> list[Outcome]:
    wanted: Document = {"n": node, "seq": {"$gt": after, **({"$lt": before} if before else {})}}
    wanted |= {name: value for name, value in (("state", state), ("source", source)) if value}
    if not state and not source:
        wanted = {"_id": {"$gt": _id(node, after), "$lt": _id(node, before or None)}}
    rows = reading.find("outcome", wanted, sort=[("seq" if "n" in wanted else "_id", -1 if newest else 1)], limit=limit)
    return [_outcome(row) for row in rows] if limit > 0 else []


def former(workspace: Workspace, node: str, seq: int) -> Outcome | None:
    found = workspace.one(OUTCOMES, _id(node, seq))
    return _outcome(found) if found else None


def record(workspace: Workspace, node: str, outcome: Outcome) -> None:
    before = former(workspace, node, outcome.seq)
    document = {
        "_id": _id(node, outcome.seq),
        "n": node,
        "seq": outcome.seq,
        "state": outcome.state,
        "source": outcome.source,
        "facility": outcome.facility,
        "kind": outcome.kind,
        "finished": outcome.finished,
        "attempts": outcome.attempts,
        "reason": outcome.reason,
        "note": outcome.note,
        "resources": list(outcome.resources),
        "issues": [list(map(list, issue.items())) for issue in outcome.issues],
        "ledger": list(map(list, outcome.ledger.items())),
    }
    if before is None:
        workspace.insert(OUTCOMES, document)
    else:
        workspace.put(OUTCOMES, document)
    _count(workspace, node, before, outcome)


def _count(workspace: Workspace, node: str, former: Outcome | None, outcome: Outcome) -> None:
    tallies: dict[str, Counter[str]] = {}
    codes: dict[tuple[str, str], int] = {}
    displays: dict[tuple[str, str], str] = {}
    for each, sign in ((former, -1), (outcome, 1)):
        if each is None:
            continue
        tally = tallies.setdefault(each.source, Counter())
        for name, number in asdict(SourceTally.of(each)).items():
            tally[name] += sign * number
        for code, display in each.unmapped.items():
            codes[code] = codes.get(code, 0) + sign
            displays[code] = display
    slot = str(workspace.slot)
    for source, tally in tallies.items():
        workspace.count("tally", _digest(node, source, slot), {"n": node, "source": source}, tally)
    for (system, value), records in codes.items():
        if records:
            fixed = {"n": node, "system": system, "code": value, "display": displays[system, value]}
            workspace.count("unmapped", _digest(node, system, value, slot), fixed, {"records": records})


def _digest(*name: str) -> str:
    return hashlib.sha256("\x1f".join(name).encode()).hexdigest()


def tallies(reading: Reading, node: str) -> dict[str, SourceTally]:
    found: dict[str, Counter[str]] = {}
    for row in reading.find("tally", {"n": node}):
        tally = found.setdefault(row["source"], Counter())
        for name in COUNTED:
            tally[name] += row.get(name, 0)
    return {source: SourceTally(**{name: tally[name] for name in COUNTED}) for source, tally in found.items()}


def unmapped(reading: Reading, node: str, limit: int) -> list[UnmappedCode]:
    codes: dict[tuple[str, str], UnmappedCode] = {}
    for row in reading.find("unmapped", {"n": node}):
        key = row["system"], row["code"]
        before = codes[key].records if key in codes else 0
        codes[key] = UnmappedCode(*key, row["display"], before + row["records"])
    held = [code for code in codes.values() if code.records > 0]
    return sorted(held, key=lambda code: (-code.records, code.system, code.code))[:limit]


def finished_after(reading: Reading, node: str, seq: int) -> int:
    """Numbers without a gap are as many as their range is long: look at longer and longer ranges, then halve the last one."""
    low, step = seq, FIRST_LOOK
    while _complete(reading, node, low, low + step):
        low, step = low + step, step * 2
    high = low + step  # (low, high] has a gap
    while high - low > 1:
        middle = (low + high) // 2
        if _complete(reading, node, low, middle):
            low = middle
        else:
            high = middle
    return low


def _complete(reading: Reading, node: str, after: int, last: int) -> bool:
    return reading.count("outcome", {"_id": {"$gt": _id(node, after), "$lte": _id(node, last)}}) == last - after


def _id(node: str, seq: int | None) -> str:
    """Sorts by number; None is behind all of them."""
    return f"{node}/{'~' if seq is None else f'{seq:015d}'}"


def _outcome(row: dict[str, Any]) -> Outcome:
    return Outcome(
        seq=row["seq"],
        state=row["state"],
        reason=row["reason"],
        note=row.get("note", ""),
        attempts=row["attempts"],
        resources=tuple(row["resources"]),
        issues=tuple(dict(issue) for issue in row["issues"]),
        ledger=dict(row["ledger"]),
        finished=row["finished"],
        source=row["source"],
        facility=row["facility"],
        kind=row["kind"],
    )
