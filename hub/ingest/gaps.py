"""Codes that nothing maps: listed with how many records hold them, proposed, confirmed by a person, and taken up by what is stored.

A gap holds nothing back: the record is stored with its own code. Confirming writes a ConceptMap through the door, the channels'
contexts take it up without a restart, and a job maps the records again that hold the code: ids come from the records' own keys, so
each becomes a new version of the same resource. https://hl7.org/fhir/R4/conceptmap.html
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from hub.errors import Gone, Invalid, NotFound, VersionConflict
from hub.fhir_json import load
from hub.ingest.code_suggestions import Suggestion, Suggestions
from hub.ingest.journal import Journal
from hub.ingest.live_contexts import SHELF, LiveContexts, confirmed_maps
from hub.ingest.replay import Filter, ask
from hub.jobs import Jobs, Run, submit
from hub.security.access import Access
from hub.security.door import Door
from hub.security.policy import check_configure
from hub.security.precondition import ANY, Precondition
from hub.store.port import Key, Outcome, Resource, ResourceStore, Transaction, UnmappedCode

MOST_LISTED = 500
EQUIVALENCES = ("equivalent", "equal", "wider", "narrower", "inexact", "relatedto", "unmatched")
"""Of R4's ConceptMapEquivalence those that a person confirms; `unmatched`: it stays a local code, and is no longer proposed."""

TRIES = 5  # when somebody else writes the same map at the same moment
REMAP = "remap-codes"  # kind of job
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Gap:
    code: UnmappedCode
    suggestions: tuple[Suggestion, ...] = ()
    decided: str = ""  # a target, or "unmatched", that was confirmed and whose records are not all mapped again yet
    mendable: bool = True  # False: a table of the standard or of units, that a ConceptMap does not replace


class Confirmation(NamedTuple):
    """A person's decision about one code."""

    system: str
    code: str
    target_system: str = ""  # both empty: it stays local
    target_code: str = ""
    target_display: str = ""
    equivalence: str = "equivalent"
    display: str = ""  # the source's own name for it


@dataclass(frozen=True, slots=True)
class Confirmed:
    maps: tuple[str, ...]  # ConceptMap/id
    codes: int
    job: str  # its id: the records that hold the codes are mapped again


def gaps(store: ResourceStore, *, beside: Path | None = None, limit: int = 50, source_system: str = "") -> list[Gap]:
    """The codes that most records hold first, each with what it may mean; `source_system` narrows."""
    maps = confirmed_maps(store)
    suggestions = Suggestions(beside, maps)
    decided = _decided(maps)
    codes = [code for code in store.unmapped(MOST_LISTED) if source_system in ("", code.system)][:limit]
    return [_gap(code, suggestions, decided) for code in codes]


def _gap(code: UnmappedCode, suggestions: Suggestions, decided: Mapping[tuple[str, str], str]) -> Gap:
    mendable = ":" in code.system
    found = suggestions.of(code) if mendable else ()
    return Gap(code, found, decided.get((code.system, code.code), ""), mendable)


def _decided(maps: Iterable[Resource]) -> dict[tuple[str, str], str]:
    found = {}
    for resource in maps:
        for group in resource.get("group") or ():
            for element in group.get("element") or ():
                for target in element.get("target") or ():
                    found[str(group.get("source")), str(element.get("code"))] = str(target.get("code") or target["equivalence"])
    return found


async def confirm(
    door: Door, store: ResourceStore, access: Access, confirmations: Sequence[Confirmation], clock: Callable[[], int]
) -> Confirmed:
    """Write the decisions, one ConceptMap a source system, and submit the job that maps the records again.

    For admin and it without a facility: what a code means is configuration. Raise NotAllowed, Invalid naming what is wrong.
    """
    check_configure(access)
    by_system: dict[str, list[Confirmation]] = {}
    for each in confirmations:
        by_system.setdefault(checked(each).system, []).append(each)
    if not by_system:
        raise Invalid("nothing to confirm")
    writer = replace(access, role="system")  # ConceptMaps are clinical writers' too; the audit keeps the name
    maps = [await _write(door, store, writer, system, decisions) for system, decisions in by_system.items()]
    codes = [[each.system, each.code] for decisions in by_system.values() for each in decisions]

    def follow(transaction: Transaction) -> str:
        for id in maps:
            transaction.put_item(SHELF, id, b"")
        return submit(transaction, REMAP, clock(), arguments={"codes": codes}).id

    job = await asyncio.wrap_future(store.write(follow))
    return Confirmed(tuple(f"ConceptMap/{id}" for id in maps), len(codes), job)


def checked(each: Confirmation) -> Confirmation:
    """Raise Invalid saying which code and what is wrong with its decision."""
    name = f"{each.system}|{each.code}"
    if not each.system or not each.code:
        raise Invalid("a decision names the source's system and code")
    if ":" not in each.system:
        raise Invalid(f"{name}: {each.system} is a table of the mapper, not a code system that a ConceptMap can map")
    if each.equivalence not in EQUIVALENCES:
        raise Invalid(f"{name}: equivalence {each.equivalence[:30]}: one of {', '.join(EQUIVALENCES)}")
    local = each.equivalence == "unmatched"
    if local and each.target_code:
        raise Invalid(f"{name}: unmatched means that there is no target")
    if not local and not (each.target_system and each.target_code):
        raise Invalid(f"{name}: a target needs its system and its code; --local keeps the code as it is")
    if not local and ":" not in each.target_system:
        raise Invalid(f"{name}: the target's system is a URI such as http://loinc.org")
    return each


def map_id(system: str) -> str:
    return f"codes-{hashlib.sha256(system.encode()).hexdigest()[:24]}"


async def _write(door: Door, store: ResourceStore, access: Access, system: str, decisions: Sequence[Confirmation]) -> str:
    id = map_id(system)
    for left in range(TRIES - 1, -1, -1):
        try:
            version = await asyncio.to_thread(store.read, Key("ConceptMap", id))
            resource, condition = load(version.body), Precondition(match=frozenset({version.version}))
        except NotFound:
            resource, condition = _new_map(system), Precondition(none_match=frozenset({ANY}))
        except Gone:
            resource, condition = _new_map(system), Precondition()
        for each in decisions:
            _decide(resource, each)
        try:
            await door.save(access, resource, id=id, condition=condition)
        except VersionConflict:
            if not left:
                raise
            continue
        return id
    raise AssertionError


def _new_map(system: str) -> Resource:
    return {
        "resourceType": "ConceptMap",
        "url": f"urn:hub:codes:{map_id(system)}",
        "name": "ConfirmedCodes",
        "title": f"Confirmed on the workbench: {system}",
        "status": "active",
        "experimental": False,
        "sourceUri": system,
        "group": [],
    }


def _decide(resource: Resource, decision: Confirmation) -> None:
    """The code's former decision goes, the new one stands in the group of its target system."""
    for group in resource.get("group") or []:
        group["element"] = [element for element in group["element"] if element["code"] != decision.code]
    resource["group"] = [group for group in resource.get("group") or [] if group["element"]]
    target: dict[str, Any] = {"equivalence": decision.equivalence}
    if decision.target_code:
        target = {"code": decision.target_code, "display": decision.target_display, **target}
    element = _stated({"code": decision.code, "display": decision.display, "target": [_stated(target)]})
    wanted = decision.target_system or None
    group = next((each for each in resource["group"] if each.get("target") == wanted), None)
    if group is None:
        group = {"source": decision.system, **({"target": wanted} if wanted else {}), "element": []}
        resource["group"].append(group)
    group["element"].append(element)


def _stated(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


# ---------------------------------------------------------------- what is stored takes it up


def serve_remapping(jobs: Jobs, journal: Journal, contexts: LiveContexts) -> None:
    """Before `jobs.start`, or after: the job finds the records that hold the codes and asks for their replay."""
    jobs.serve(REMAP, lambda run: _remap(run, journal, contexts))


def _remap(run: Run, journal: Journal, contexts: LiveContexts) -> dict[str, Any]:
    """Goes through the outcomes in pages; a kill repeats a page, which makes no new version."""
    contexts.refresh()  # the replay is mapped by what was confirmed
    codes = {(system, code) for system, code in run.job.arguments["codes"]}
    position, found = _position(run.job.position), run.job.done
    while outcomes := run.store.outcomes(state="done", after=position, limit=PAGE):
        position = outcomes[-1].seq
        numbers = [outcome.seq for outcome in outcomes if holds(outcome, codes)]
        if numbers:
            ask(journal, Filter(seqs=tuple(numbers)))
            journal.wake()
            found += len(numbers)
        run.save(position=str(position), done=found)
    return {"records": found}


def _position(text: str) -> int:
    return int(text or 0)


def holds(outcome: Outcome, codes: set[tuple[str, str]]) -> bool:
    """Whether the record holds one of the codes, unmapped."""
    unmapped = (issue for issue in outcome.issues if issue["code"] == "unmapped-code")
    return any((issue.get("system", ""), issue.get("value", "")) in codes for issue in unmapped)
