"""At order time: what a doctor is about to order → answers, and a prompt for each that need not be repeated.

The same for CDS Hooks, for the plain call of an old HIS and for pages. It must never hold an order up: past the time limit, which
lies within the second that a doctor's station waits, the answer is empty and is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from hub.errors import Invalid, NotAllowed
from hub.fhir_json import load
from hub.recognition.gather import report_pages
from hub.recognition.model import Answer, Candidate, Judged
from hub.recognition.prompts import Prompt, Resource, prompt_task, prompt_uuid, task_id
from hub.recognition.service import CATALOGUE_SYSTEM, Question, RecognitionService
from hub.records.reader import Reader
from hub.security.labels import security_of
from hub.security.policy import WRITING_ROLES
from hub.security.writes import Writes
from hub.store.compartments import labels_of_compartment
from hub.store.port import Key

if TYPE_CHECKING:
    from hub.app import Hub

T = TypeVar("T")

MOST_ORDERS = 100
EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True)
class Draft:
    """An order that is not placed yet. `codes`: `[system|]code` of one and the same test, the orderer's own first."""

    id: str
    codes: tuple[str, ...]
    urgent: bool = False  # stat: nothing may stop it
    context: str = ""  # the setting that the order itself states, where it differs from the visit's
    item: str = ""  # of the catalogue: one of several that the order stands for


@dataclass(frozen=True, slots=True)
class Ordering:
    """A doctor at an orderer's facility, about to order for the person of `reader`."""

    reader: Reader
    drafts: tuple[Draft, ...]
    context: str
    orderer: str
    visit: str  # names the visit; "" for today
    doctor: str = ""  # as the orderer's system names them

    def context_of(self, draft: Draft) -> str:
        """What is an emergency stays one, whatever else an order says."""
        return EMERGENCY if draft.urgent or self.context == EMERGENCY else draft.context or self.context


@dataclass(frozen=True, slots=True)
class Answered:
    """`uuid` names the prompt; "" where nobody is asked to decide. `decided`: recognised | refused, within this visit already."""

    draft: Draft
    answer: Answer
    uuid: str = ""
    decided: str = ""


class OrderTime:
    """Answers, and the time limit within which they are of use."""

    def __init__(self, hub: Hub, service: RecognitionService) -> None:
        self._hub = hub
        self._service = service
        self.seconds = hub.county.recognition.answer_seconds
        self.late = 0  # answers that came too late, since the start

    @property
    def now(self) -> int:
        return self._hub.clock()

    async def in_time(self, work: Awaitable[T]) -> T | None:
        """All that an order waits for, from who calls to the last card; None past the time limit.

        What waited for the writer then is taken back from it: a prompt that nobody was shown is not counted as unanswered.
        """
        try:
            async with asyncio.timeout(self.seconds):
                return await work
        except TimeoutError:
            self.late += 1
            return None

    async def answers(self, ordering: Ordering) -> tuple[Answered, ...]:
        """In the order of the drafts. Raise Invalid for a question that makes no sense."""
        if ordering.reader.access.role not in WRITING_ROLES:
            raise NotAllowed(f"the role {ordering.reader.access.role} orders nothing")
        if len(ordering.drafts) > MOST_ORDERS:
            raise Invalid(f"at most {MOST_ORDERS} orders at once")
        await self._service.look()
        now = datetime.fromtimestamp(self.now / 1000, UTC)
        found: list[Answered] = []
        parts = [part for draft in ordering.drafts for part in self._parts(draft, ordering.orderer)]
        for context in dict.fromkeys(ordering.context_of(part) for part in parts):
            drafts = [part for part in parts if ordering.context_of(part) == context]
            codes = tuple(self._code_of(draft, ordering.orderer) for draft in drafts)
            question = Question(tuple(dict.fromkeys(codes)), context, ordering.orderer)
            answers = dict(zip(question.codes, await self._service.answers(ordering.reader, question, now), strict=True))
            found += [Answered(draft, answers[code]) for draft, code in zip(drafts, codes, strict=True)]
        found.sort(key=lambda each: parts.index(each.draft))
        return await self._prompted(ordering, await self._with_reports(ordering.reader, found))

    def _parts(self, draft: Draft, orderer: str) -> Iterable[Draft]:
        """An order of a profile is asked item by item: no single one of them takes the whole order back."""
        items = self._service.items_of(self._code_of(draft, orderer), orderer)
        return [replace(draft, item=item.code) for item in items] if len(items) > 1 else (draft,)

    def _code_of(self, draft: Draft, orderer: str) -> str:
        """The first of a draft's codes that means an item; else the first, which is then counted as unmapped."""
        if draft.item:
            return f"{CATALOGUE_SYSTEM}|{draft.item}"
        return next((code for code in draft.codes if self._service.item_of(code, orderer)[1]), draft.codes[0])

    async def _with_reports(self, reader: Reader, found: list[Answered]) -> list[Answered]:
        """The laboratory reports of the results that will be shown, where they were not among the newest: one search."""
        shown = [each.answer.best for each in found]
        wanted = sorted({one.candidate.reference for one in shown if one is not None and not one.candidate.report_sought})
        if not any(reference.startswith("Observation/") for reference in wanted):
            return found
        pages = await reader.reading(lambda reads: report_pages(reads, reader, wanted), "DiagnosticReport")
        return [_replaced(each, pages) for each in found]

    async def _prompted(self, ordering: Ordering, found: list[Answered]) -> tuple[Answered, ...]:
        """Those that the doctor decides on get their Task; one that is there already is not written again."""
        named = [self._named(ordering, each) for each in found]
        keys = {each.uuid: Key("Task", task_id(ordering.orderer, each.uuid)) for each in named if each.uuid}
        kept = await self._tasks(ordering, keys.values()) if keys else {}
        fresh = [each for each in named if each.uuid and keys[each.uuid].id not in kept]
        if fresh:
            await self._keep(ordering, fresh)
        return tuple(_known(each, kept.get(keys[each.uuid].id)) if each.uuid else each for each in named)

    def _named(self, ordering: Ordering, each: Answered) -> Answered:
        if each.answer.prompt != "full" or each.answer.item is None:
            return each
        visit = ordering.visit or self._today()
        return Answered(
            each.draft, each.answer, prompt_uuid(ordering.orderer, ordering.reader.person, visit, each.answer.item.code)
        )

    def _today(self) -> str:
        return datetime.fromtimestamp(self.now / 1000, self._service.zone).date().isoformat()

    async def _tasks(self, ordering: Ordering, keys: Iterable[Key]) -> dict[str, Resource]:
        versions = await asyncio.to_thread(self._hub.door.reads(ordering.reader.access).read_many, list(keys))
        return {version.id: load(version.body) for version in versions}

    async def _keep(self, ordering: Ordering, fresh: Sequence[Answered]) -> None:
        visit, patient, now = ordering.visit or self._today(), ordering.reader.patient, self.now
        tasks = {
            each.uuid: prompt_task(
                each.answer, uuid=each.uuid, patient=patient, visit=visit, order=each.draft.id, doctor=ordering.doctor, now=now
            )
            for each in fresh
        }

        def work(writes: Writes) -> None:
            for task in tasks.values():
                if writes.current(Key("Task", task["id"])) is None:
                    writes.save(_closed_as_its_result(task, writes), id=task["id"])

        await self._hub.door.writing(ordering.reader.access, work, "create")


def _closed_as_its_result(task: Resource, writes: Writes) -> Resource:
    """A prompt names the item of its result: where a label closes the one, the same closes the other."""
    kind, _, id = Prompt(task).result.partition("/")
    result = writes.current(Key(kind, id))
    labels = labels_of_compartment(result.patient) if result is not None else ""
    if not labels:
        return task
    return {**task, "meta": {**task["meta"], "security": [security_of(label) for label in labels.split("+")]}}


def _known(each: Answered, task: Resource | None) -> Answered:
    return each if task is None else Answered(each.draft, each.answer, each.uuid, Prompt(task).decision)


def _replaced(each: Answered, reports: dict[str, str]) -> Answered:
    """The same answer, each result with its report."""

    def with_report(candidate: Candidate) -> Candidate:
        return replace(candidate, report=candidate.report or reports.get(candidate.reference, ""))

    judged: tuple[Judged, ...] = tuple(replace(j, candidate=with_report(j.candidate)) for j in each.answer.candidates)
    return Answered(each.draft, replace(each.answer, candidates=judged))
