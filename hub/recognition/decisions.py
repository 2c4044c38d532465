"""The doctor's word on a prompt: recognise the result, or repeat the test for one of R01–R12.

Recognised: the orderer saves the price of its own item, in fen, and the record gets a citation. Whether the result still counts is
looked at again at this moment: of one that does not any more nothing is saved.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hub.errors import NotFound
from hub.fhir_json import load
from hub.recognition import messages
from hub.recognition.model import Answer, Judged
from hub.recognition.prompts import CODE, UUID_SYSTEM, Decision, Prompt, Resource, decided, lapsed
from hub.recognition.reasons import checked
from hub.recognition.service import Question, RecognitionService
from hub.records.reader import Reader
from hub.search.query import Criterion, SearchQuery, TokenValue
from hub.security.access import Access
from hub.security.writes import Writes
from hub.store.port import Key
from profiles.names import HUB_TAG

if TYPE_CHECKING:
    from hub.app import Hub


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A prompt and how its result stands now; `judged` is None if the result is gone."""

    prompt: Prompt
    answer: Answer
    judged: Judged | None

    @property
    def counts(self) -> bool:
        return self.judged is not None and self.judged.verdict == "recognisable"

    @property
    def lapse(self) -> str:
        """Why it does not count any more: a key of messages.DETAILS; "" while it does."""
        if self.counts:
            return ""
        failures = self.judged.failures if self.judged else ()
        return failures[0].detail if failures else "gone"

    @property
    def withdrawn(self) -> str:
        """The same, but for time: a window that closes once the visit is over ends no prompt, which stays unanswered."""
        if self.judged is None:
            return self.lapse
        return next((step.detail for step in self.judged.failures if step.rule != "window"), "")


class Decisions:
    def __init__(self, hub: Hub, service: RecognitionService) -> None:
        self._hub = hub
        self._service = service

    async def prompt(self, access: Access, uuid: str) -> Prompt:
        """Raise NotFound for one unknown and for another facility's alike."""
        named = Criterion("identifier", "token", (TokenValue(UUID_SYSTEM, f"urn:uuid:{uuid.lower()}"),))
        ours = Criterion("code", "token", (TokenValue(HUB_TAG, CODE),))
        page = await self._hub.door.search(access, SearchQuery("Task", (named, ours), count=1))
        found = next((Prompt(load(version.body)) for version in page.matches), None)
        if found is None or (access.facility and found.orderer != access.facility):
            raise NotFound("no prompt with this uuid")
        return found

    async def review(self, access: Access, uuid: str) -> Reviewed:
        """The prompt, judged anew. If its result does not count any more, an open prompt says so from now on."""
        prompt = await self.prompt(access, uuid)
        reviewed = await self._judged(access, prompt)
        if reviewed.withdrawn and not prompt.decision and not prompt.lapse:
            await self._save(access, lapsed(dict(prompt.task), reviewed.withdrawn, self._hub.clock()))
        return reviewed

    async def recognise(self, access: Access, uuid: str, doctor: str = "") -> tuple[Reviewed, int]:
        """What was recognised, and what it saves in fen."""
        prompt = await self.prompt(access, uuid)
        reviewed = await self._judged(access, prompt)
        saved = prompt.price if reviewed.counts else 0
        await self._decide(access, prompt, "recognised", saved=saved, doctor=doctor)
        return reviewed, saved

    async def refuse(self, access: Access, uuid: str, reason: str, text: str = "", doctor: str = "") -> Prompt:
        """Raise WrongReason unless it is one of R01–R12."""
        reason, text = checked(reason, text)
        prompt = await self.prompt(access, uuid)
        await self._decide(access, prompt, "refused", reason=reason, text=text, doctor=doctor)
        return prompt

    async def _judged(self, access: Access, prompt: Prompt) -> Reviewed:
        reader = Reader(self._hub.door, access, prompt.patient)
        question = Question((f"urn:hub:catalogue:item|{prompt.item}",), prompt.context, prompt.orderer)
        now = datetime.fromtimestamp(self._hub.clock() / 1000, UTC)
        (answer,) = await self._service.answers(reader, question, now)
        judged = next((each for each in answer.candidates if each.candidate.reference == prompt.result), None)
        return Reviewed(prompt, answer, judged)

    async def _decide(
        self, access: Access, prompt: Prompt, decision: Decision, *, reason: str = "", text: str = "", saved: int = 0, doctor: str
    ) -> None:
        task = decided(dict(prompt.task), decision, reason=reason, text=text, saved=saved, doctor=doctor, now=self._hub.clock())
        await self._save(access, task)

    async def _save(self, access: Access, task: Resource) -> None:
        key = Key("Task", str(task["id"]))

        def work(writes: Writes) -> None:
            writes.save(task, id=key.id)

        await self._hub.door.writing(access, work, "update", key)


def citation(reviewed: Reviewed, facility: str, day: str, language: str) -> str:
    """What the doctor's record says of a recognised result. `facility` and `day` as people read them."""
    item, judged = reviewed.answer.item, reviewed.judged
    name = item.name(language) if item else reviewed.prompt.item
    value = judged.candidate.display if judged else ""
    return messages.card("citation", language, item=name, value=value or "—", facility=facility, day=day)
