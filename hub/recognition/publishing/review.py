"""When evidence changes, or a row's last day is over: the open prompts that rest on it say so, and nobody has to open them.

What was reviewed last (which evidence, on which day) lies on a shelf. Publishing, and a look every few seconds, compare it with
what holds now; where marks stand otherwise, a job judges the open prompts of those laboratories and items anew. A prompt that
lapsed for its evidence, and whose result counts again, is open as before. Prompts older than `recognition.open_days` are nobody's
any more: they stay unanswered, as they were when the visit ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from hub.fhir_json import load
from hub.jobs import Run, patiently, submit
from hub.recognition.gather import gathered
from hub.recognition.held import Held
from hub.recognition.messages import DETAILS
from hub.recognition.model import Judged, Order
from hub.recognition.prompts import CODE, Prompt, Resource, counts_again, lapsed
from hub.recognition.publishing.changed import Pair, changed_pairs
from hub.recognition.rules import evaluate
from hub.recognition.service import RecognitionService
from hub.records.reader import Reader
from hub.search.folding import fold_code
from hub.search.query import Criterion, DateValue, SearchQuery, Sort, TokenValue
from hub.security.access import PIPELINE
from hub.security.writes import Writes
from hub.store.port import Key, SearchPage, Transaction, Version
from mappers.identity_keys import organization_id
from profiles.names import HUB_TAG

if TYPE_CHECKING:
    from hub.app import Hub

KIND = "recognition-review"
SHELF, KEY = "recognition-reviewed", "evidence"
LOOK_SECONDS = 2.0
PIECE = 50
EVIDENCE_RULES = frozenset({"area", "eqa"})  # steps that rest on evidence
EVIDENCE_LAPSES = frozenset(key for key in DETAILS if key.startswith(("mark-", "no-mark", "eqa-")))
Change = tuple[Version, Resource]  # a Task as it was read, and as it shall be


class State(msgspec.Struct, frozen=True):
    """What the open prompts were last held against."""

    stamp: str
    day: date


class Reviews:
    """Of one hub."""

    def __init__(self, hub: Hub, service: RecognitionService) -> None:
        self._hub, self._service = hub, service

    def serve(self) -> None:
        self._hub.jobs.serve(KIND, patiently(self._work))
        self._hub.jobs.regularly(LOOK_SECONDS, self.look)

    def look(self) -> None:
        """Whether marks stand otherwise than at the last review; if so a job begins."""
        held = self._service.facts.look()
        now = State(held.evidence_stamp, held.day)
        if _state(self._hub.store.item(SHELF, KEY)) != now:
            self._hub.store.write(lambda transaction: self._submit(transaction, held, now)).result()
            self._hub.jobs.wake()

    def _submit(self, transaction: Transaction, held: Held, now: State) -> None:
        """Unless another process was quicker."""
        before = _state(transaction.item(SHELF, KEY))
        if before == now:
            return
        transaction.put_item(SHELF, KEY, msgspec.json.encode(now))
        if before is None:
            return
        evidence = self._service.facts.evidence_of(before.stamp)
        pairs = None if evidence is None else changed_pairs(evidence, before.day, held.evidence, held.day)
        if pairs is None or pairs:
            arguments = {"pairs": None if pairs is None else sorted(pairs)}
            submit(transaction, KIND, self._hub.clock(), arguments=arguments)

    # -- the job

    def _work(self, run: Run) -> dict[str, int]:
        """Piece by piece, so that orders are answered meanwhile."""
        pairs, held = run.job.arguments["pairs"], self._service.facts.look()
        wanted = None if pairs is None else {(f"Organization/{organization_id(facility)}", item) for facility, item in pairs}
        if not run.job.position:
            run.save(position="0|", done=0, total=self._page(held.day, count=0).total or 0)
        while True:
            marked, _, after = run.job.position.partition("|")
            page = self._page(held.day, after=after or None)
            changes = [each for each in (self._change(version, wanted, held) for version in page.matches) if each is not None]
            if changes:
                asyncio.run(self._hub.door.writing(PIPELINE, partial(_save, changes), "update"))
            number = int(marked) + len(changes)
            run.save(position=f"{number}|{page.next or ''}", done=run.job.done + len(page.matches))
            if page.next is None:
                return {"reviewed": run.job.done, "changed": number}

    def _page(self, day: date, *, count: int = PIECE, after: str | None = None) -> SearchPage:
        """Open prompts, the oldest first."""
        first = datetime.combine(day - timedelta(days=self._hub.county.recognition.open_days), time.min, self._service.zone)
        since = int(first.timestamp() * 1000)
        criteria = (
            Criterion("code", "token", (TokenValue(HUB_TAG, fold_code(CODE)),)),
            Criterion("status", "token", (TokenValue(None, "requested"),)),
            Criterion("authored-on", "date", (DateValue("ge", since, since + 1),)),
        )
        query = SearchQuery("Task", criteria, (Sort("authored-on", "date"),), count=count, after=after)
        return self._hub.door.reads(PIPELINE).search(query if count else replace(query, total="accurate"))

    def _change(self, version: Version, wanted: set[Pair] | None, held: Held) -> Change | None:
        """The Task as it is from now on; None if it stays as it is."""
        task = load(version.body)
        prompt = Prompt(task)
        if wanted is not None and (prompt.source, prompt.item) not in wanted:
            return None
        judged, now = self._judged(prompt, held), self._hub.clock()
        if judged is None:
            return None
        lapse = next((step.detail for step in judged.failures if step.rule in EVIDENCE_RULES), "")
        if lapse and not prompt.lapse:
            return version, lapsed(task, lapse, now)
        if prompt.lapse in EVIDENCE_LAPSES and judged.verdict == "recognisable":
            return version, counts_again(task, now)
        return None

    def _judged(self, prompt: Prompt, held: Held) -> Judged | None:
        """The result that was offered, by today's facts; None if it, or its item, is not there any more."""
        catalogue = held.catalogue_of(prompt.orderer)
        item = catalogue.item(prompt.item)
        if item is None:
            return None
        door, moment = self._hub.door, datetime.fromtimestamp(self._hub.clock() / 1000, UTC)
        order = Order(item, prompt.context, prompt.orderer, self._hub.county, catalogue, held.evidence, moment)
        items = [(item, self._service.codes_of(item))]
        found = gathered(door.reads(PIPELINE), Reader(door, PIPELINE, prompt.patient), items, self._service.blobs)
        judged = evaluate(order, found[item.code]).candidates
        return next((each for each in judged if each.candidate.reference == prompt.result), None)


def _state(kept: bytes | None) -> State | None:
    return None if kept is None else msgspec.json.decode(kept, type=State)


def _save(changes: Sequence[Change], writes: Writes) -> None:
    """Those that nobody decided in the meantime."""
    for read, task in changes:
        current = writes.current(Key("Task", read.id))
        if current is not None and current.version == read.version:
            writes.save(task, id=read.id)
