"""A transaction: all or nothing, and the entry that fails is named. https://hl7.org/fhir/R4/http.html#transaction

What can be refused before anything is written is refused first. Deletes are done, then everything gets its name, then creates,
updates and patches are done, those with conditional references last, all in one commit; reads see the state after it, each
answered for itself.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import msgspec

from hub.api.amendment import Patch, by_patch, patch_of
from hub.api.batch import ask
from hub.api.call import LARGE, Call
from hub.api.parameters import criteria
from hub.api.plan import ORDER, WRITES, Step, check_identities, check_write, entries_of, step_of
from hub.api.references import References, conditional_references
from hub.api.responses import entry_outcome
from hub.api.validity import Check, note
from hub.clock import instant
from hub.errors import HubError, Invalid, Kind
from hub.search.query import SearchQuery
from hub.security.precondition import ALWAYS
from hub.security.reads import Reads
from hub.security.writes import Writes, goes_alone
from hub.store.port import Key, Prepared, Resource, Saved, Version
from profiles.validation import ValidationIssue

ROUNDS = 20  # of conditional references that mean what was written for another conditional reference


@dataclass(slots=True)
class Plan:
    """The writes, with every criterion and every patch of the bundle parsed before the writer is asked."""

    steps: list[Step]
    check: Check  # of what a patch leads to
    issues: dict[int, list[ValidationIssue]]  # with which the resource of each step is let through
    patches: dict[int, Patch] = field(default_factory=dict)
    of_step: dict[int, SearchQuery] = field(default_factory=dict)
    of_reference: dict[str, SearchQuery] = field(default_factory=dict)
    references: dict[int, set[str]] = field(default_factory=dict)  # the conditional ones of each step
    base: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """The version that an entry led to; None where there was nothing to delete."""

    version: Version | None
    status: str
    issues: Sequence[ValidationIssue] = ()


async def transaction(call: Call, bundle: dict[str, Any], size: int) -> list[dict[str, Any]]:
    def prepare() -> tuple[list[Step], Plan]:
        steps = [step_of(number, entry, call.base) for number, entry in enumerate(entries_of(bundle))]
        writes = [step for step in steps if step.method in WRITES]
        for step in writes:
            check_write(step)
        check_identities(writes)
        check = Check(call, call.hub.county.validation.transaction)
        plan = _plan(call, Plan(writes, check, _by_entry(check(bundle)), base=call.base))
        _look_ahead(call.hub.door.reads(call.access), plan)
        return steps, plan

    steps, plan = await asyncio.to_thread(prepare) if _waits(bundle, size) else prepare()
    done = await call.hub.door.transaction(call.access, lambda writes: _carry_out(writes, plan))
    note(call.request, [issue for step in plan.steps for issue in done[step.number].issues])
    if any(step.type == "SearchParameter" for step in plan.steps):
        await call.learn()
    return [_answer(call, step, done[step.number]) if step.number in done else await ask(call, step) for step in steps]


def _waits(bundle: dict[str, Any], size: int) -> bool:
    """What is to be patched is read first: not on the event loop."""
    requests = (entry.get("request") for entry in entries_of(bundle))
    return size > LARGE or any(isinstance(asked, dict) and asked.get("method") == "PATCH" for asked in requests)


def _plan(call: Call, plan: Plan) -> Plan:
    for step in plan.steps:
        if (query := step.criteria) is not None:
            plan.of_step[step.number] = step.doing(lambda s=step, q=query: criteria(call, s.type, q))  # type: ignore[misc]
        content: Any = step.resource
        if step.method == "PATCH":
            content = plan.patches[step.number] = step.doing(lambda s=step: patch_of(s.resource or {}))  # type: ignore[misc]
        for reference in plan.references.setdefault(step.number, conditional_references(content)):
            kind, _, asked = reference.partition("?")
            plan.of_reference[reference] = step.doing(lambda k=kind, a=asked: criteria(call, k, a))  # type: ignore[misc]
    return plan


_OF_ENTRY = re.compile(r"Bundle\.entry\[(\d+)\](?:\.resource)?").match


def _by_entry(issues: Sequence[ValidationIssue]) -> dict[int, list[ValidationIssue]]:
    found: dict[int, list[ValidationIssue]] = {}
    for issue in issues:
        if (entry := _OF_ENTRY(issue.expression)) is not None:
            found.setdefault(int(entry[1]), []).append(issue)
    return found


def _look_ahead(reads: Reads, plan: Plan) -> None:
    """Patch what is there now, for nothing: the profiles and codes that this asks for are at hand when the writer patches.

    What stands in the way is said by the writer.
    """
    for step in plan.steps:
        if step.method == "PATCH":
            with suppress(HubError):
                query = plan.of_step.get(step.number)
                found = [reads.read(step.key)] if query is None else reads.search(query).matches[:1]
                for version in found:
                    by_patch(plan.patches[step.number], plan.check, lambda resource: resource).of(version)


# -- in the writer


def _carry_out(writes: Writes, plan: Plan) -> dict[int, Done]:
    """May be run again: everything it remembers begins here."""
    run = _Run(writes, plan)
    for step in plan.steps:
        if step.method == "DELETE":
            step.doing(lambda s=step: run.delete(s))  # type: ignore[misc]
    for step in plan.steps:
        if step.method != "DELETE":
            step.doing(lambda s=step: run.name(s))  # type: ignore[misc]
    waiting = sorted((s for s in plan.steps if s.method != "DELETE"), key=lambda s: ORDER[s.method])
    for _ in range(ROUNDS):
        ready = [step for step in waiting if not run.open_references(step)]
        for together, steps in groupby(ready, run.together):
            (run.write_all if together else run.write_each)(list(steps))
        waiting = [step for step in waiting if step.number not in run.done]
        if not waiting or not run.resolve(waiting):
            break
    for step in waiting:
        raise step.named(HubError("no resource matches a conditional reference", kind=Kind.NO_MATCH))
    for step in plan.steps:
        step.doing(lambda s=step: run.check_subjects(s))  # type: ignore[misc]
    return run.done


class _Run:
    """One try of the writes."""

    def __init__(self, writes: Writes, plan: Plan) -> None:
        self._writes = writes
        self._plan = plan
        self._targets: dict[int, tuple[Key, bool]] = {}  # the key, and whether a conditional create found it there already
        self._written: dict[Key, int] = {}
        self._references = References(plan.base)
        self.done: dict[int, Done] = {}

    def delete(self, step: Step) -> None:
        query = self._plan.of_step.get(step.number)
        key = self._writes.only(query) if query is not None else step.key
        saved: Saved | None = None
        if key is not None:
            self._claim(step, key)
            saved = self._writes.delete(key, condition=step.condition)
        self.done[step.number] = Done(saved.version if saved else None, "204 No Content")

    def name(self, step: Step) -> None:
        """Which resource the step writes, so that the others can refer to it."""
        key, exists = self._target(step)
        if not exists:
            self._claim(step, key)
        self._targets[step.number] = key, exists
        if step.method != "PATCH":
            self._references.add(step.full_url, f"{key.type}/{key.id}")

    def _target(self, step: Step) -> tuple[Key, bool]:
        query = self._plan.of_step.get(step.number)
        if query is None:
            return (step.key if step.id else self._writes.new_key(step.type)), False
        if step.method == "PUT":
            return self._writes.matched(step.resource or {}, query), False
        found = self._writes.only(query)
        if found is None and step.method == "PATCH":
            raise HubError("no resource matches the criteria", kind=Kind.NOT_FOUND)
        return (found, step.method == "POST") if found is not None else (self._writes.new_key(step.type), False)

    def _claim(self, step: Step, key: Key) -> None:
        """Criteria may lead where another entry writes already. https://hl7.org/fhir/R4/http.html#trules"""
        if key in self._written:
            raise Invalid(f"the same resource as entry {self._written[key]}", expression=(step.expression,))
        self._written[key] = step.number

    def check_subjects(self, step: Step) -> None:
        """The patient that it is about may have come later in the bundle, so this comes last."""
        if step.number in self._targets:
            self._writes.check_subjects(self._targets[step.number][0])

    def open_references(self, step: Step) -> set[str]:
        """Its conditional references that have no meaning yet."""
        return self._plan.references.get(step.number, set()) - set(self._references.conditional)

    def resolve(self, steps: list[Step]) -> bool:
        """Conditional references come last: they may mean what other entries write. https://hl7.org/fhir/R4/http.html#trules

        So whatever has none is written first; then, as long as that helps, what refers to something that is there by now. True if
        it helped.
        """
        missing: set[str] = set()
        known = len(self._references.conditional)
        for step in steps:
            for reference in sorted(self.open_references(step) - missing):
                found = step.doing(lambda r=reference: self._writes.only(self._plan.of_reference[r]))  # type: ignore[misc]
                if found is None:
                    missing.add(reference)
                else:
                    self._references.conditional[reference] = f"{found.type}/{found.id}"
        return len(self._references.conditional) > known

    def together(self, step: Step) -> bool:
        """A create or an update that only says what is to be saved: many of them are written at once."""
        plain = step.method in ("POST", "PUT") and step.condition == ALWAYS
        return plain and not self._targets[step.number][1] and not goes_alone(step.resource or {})

    def write_all(self, steps: list[Step]) -> None:
        there = self._writes.current_of([self._targets[step.number][0] for step in steps])
        ready = [step.doing(lambda s=step: self._ready(s, there)) for step in steps]  # type: ignore[misc]
        for step, saved in zip(steps, self._writes.save_ready(ready), strict=True):
            self._note(step, saved, self._plan.issues.get(step.number, []))

    def _ready(self, step: Step, there: Mapping[Key, Version]) -> tuple[Resource, Prepared]:
        key, _ = self._targets[step.number]
        resource = self._references.applied(step.resource or {}, step.full_url)
        return resource, self._writes.ready(resource, key, there.get(key), new=step.method == "POST")

    def write_each(self, steps: list[Step]) -> None:
        for step in steps:
            step.doing(lambda s=step: self._write(s))  # type: ignore[misc]

    def _write(self, step: Step) -> None:
        key, exists = self._targets[step.number]
        if exists:
            self.done[step.number] = Done(self._writes.existing(key), "200 OK")
            return
        if step.method == "PATCH":
            patch = self._references.applied(self._plan.patches[step.number], step.full_url)
            amendment = by_patch(patch, self._plan.check, self._references.applied)
            saved = self._writes.amend(key, amendment, condition=step.condition)
            issues = amendment.issues
        else:
            resource = self._references.applied(step.resource, step.full_url)
            saved = self._writes.save(resource, id=key.id, condition=step.condition, new=step.method == "POST")
            issues = self._plan.issues.get(step.number, [])
        self._note(step, saved, issues)

    def _note(self, step: Step, saved: Saved, issues: Sequence[ValidationIssue]) -> None:
        self.done[step.number] = Done(saved.version, "201 Created" if saved.created else "200 OK", issues)


# -- answers


def _answer(call: Call, step: Step, done: Done) -> dict[str, Any]:
    response: dict[str, Any] = {"status": done.status}
    entry: dict[str, Any] = {}
    version, preferred = done.version, call.prefers("return")
    if version is not None:
        address = f"{call.base}/{version.type}/{version.id}"
        response |= {"location": f"{address}/_history/{version.version}", "etag": version.etag}
        response["lastModified"] = instant(version.updated)
        if step.method != "DELETE":
            entry["fullUrl"] = address
            if preferred == "representation":
                entry["resource"] = msgspec.Raw(version.body)
    said = f"version {version.version}" if version is not None else "there was nothing to delete"
    if (outcome := entry_outcome(call, said, done.issues)) is not None:
        response["outcome"] = outcome
    entry["response"] = response
    return entry
