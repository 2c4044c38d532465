"""Answers → the cards that a doctor's station shows. https://cds-hooks.hl7.org/2.0/#card-attributes

A result that counts is a card with a suggestion and the reasons to refuse it; one for reference says why it does not count; an
emergency gets one line, whatever there is, and nothing to decide.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hub.recognition import messages, reasons
from hub.recognition.model import Judged
from hub.recognition.ordering import Answered
from hub.recognition.prompts import NAMESPACE
from hub.recognition.times import moment_of, zone_of
from hub.settings import County

Card = dict[str, Any]

LONGEST_SUMMARY = 139  # "<140-character"
TOPIC_SYSTEM = "urn:hub:cds-topic"
MOST_WHY_NOT = 5  # results for reference whose failures a card tells
_MARKDOWN = re.compile(r"([\\`*_{}\[\]#|~])")


@dataclass(frozen=True, slots=True)
class Cards:
    """`address`: of the hub, as a doctor's station knows it; `prompt_page`: of the page on which a prompt is answered."""

    county: County
    language: str
    address: str
    patient: str
    instance: str  # of the hook
    prompt_page: Callable[[str], str]

    def of(self, found: Sequence[Answered]) -> list[Card]:
        """In the order of the drafts; what an emergency has stands together in one line at the end."""
        loud = [each for each in found if each.answer.best is not None and each.answer.prompt != "none"]
        urgent = [each for each in loud if each.answer.context == "emergency"]
        calm = [each for each in loud if each.answer.context != "emergency" and each.decided != "refused"]
        return [self._card(each) for each in calm] + ([self._line(urgent)] if urgent else [])

    def _card(self, each: Answered) -> Card:
        judged = each.answer.best
        assert judged is not None  # noqa: S101  the caller looked
        card: Card = {
            "uuid": each.uuid or self._uuid(each.draft.id, each.answer.asked_code),
            "summary": self._summary(each, judged),
            "indicator": "warning" if each.uuid else "info",
            "detail": "\n".join(self._detail(each, judged)),
            "source": self._source(),
            "links": self._links(each, judged),
        }
        if each.uuid and not each.decided:
            card |= {
                "suggestions": [self._suggestion(each)],
                "selectionBehavior": "at-most-one",
                "overrideReasons": self._reasons(),
            }
        return {key: value for key, value in card.items() if value}

    def _line(self, urgent: Sequence[Answered]) -> Card:
        lines = "；".join(self._short("line", each) for each in urgent)
        names = "|".join(each.answer.asked_code for each in urgent)
        summary = messages.card("emergency", self.language, lines=lines)
        return {"uuid": self._uuid("emergency", names), "summary": _cut(summary), "indicator": "info", "source": self._source()}

    def _uuid(self, *names: str) -> str:
        """Of a card that asks for no decision: the same within one hook."""
        return str(uuid.uuid5(NAMESPACE, "\x1f".join((self.instance, *names))))

    def _summary(self, each: Answered, judged: Judged) -> str:
        key = "recognisable" if judged.verdict == "recognisable" else "reference"
        done = f" · {messages.card('decided.recognised', self.language)}" if each.decided else ""
        return _cut(self._short(key, each) + done)

    def _short(self, key: str, each: Answered) -> str:
        judged, item = each.answer.best, each.answer.item
        assert judged is not None  # noqa: S101  the caller looked
        return messages.card(
            key,
            self.language,
            item=item.name(self.language) if item else each.answer.asked_code,
            value=judged.candidate.display or "—",
            facility=self.facility(judged.candidate.facility),
            age=self._age(judged),
        )

    def _age(self, judged: Judged) -> str:
        if judged.age_days is None:
            return messages.card("no-age", self.language)
        if judged.age_days <= 0:
            return messages.card("today", self.language)
        return messages.card("age", self.language, days=str(judged.age_days))

    def facility(self, code: str) -> str:
        found = self.county.facility(code)
        if found is None:
            return code
        return found.name_en if self.language.startswith("en") and found.name_en else found.name

    def day(self, judged: Judged) -> str:
        """In the county's zone, no more precise than stated."""
        zone = zone_of(self.county.zone)
        moment = moment_of(judged.performed, zone) if judged.performed else None
        if moment is None or moment.at is None:
            return judged.performed[:10] or "—"
        return moment.at.astimezone(zone).strftime("%Y-%m-%d %H:%M")

    def _detail(self, each: Answered, judged: Judged) -> Iterator[str]:
        """A Markdown list: result, when and how long ago, institution, mark, EQA, conclusion, and why others do not count."""
        rows = [
            ("value", judged.candidate.display or "—"),
            ("conclusion", judged.candidate.conclusion),
            ("date", f"{self.day(judged)}（{self._age(judged)}）"),
            ("facility", self.facility(judged.candidate.facility)),
            ("mark", self.mark(judged)),
            ("eqa", self.eqa(judged)),
            ("duty", messages.card(f"duty.{judged.duty}", self.language) if judged.duty else ""),
        ]
        for name, value in rows:
            if value:
                yield f"- **{messages.card(f'row.{name}', self.language)}**: {_plain(value)}"
        yield from self._why_not(each)

    def _why_not(self, each: Answered) -> Iterator[str]:
        failed = [judged for judged in each.answer.candidates if judged.failures][:MOST_WHY_NOT]
        if failed:
            yield f"- **{messages.card('row.why', self.language)}**"
        for judged in failed:
            why = "；".join(messages.detail(step, self.language) for step in judged.failures)
            result = f"{self.facility(judged.candidate.facility)} {self.day(judged)} {judged.candidate.display}"
            yield f"  - {_plain(f'{result}: {why}')}"

    def mark(self, judged: Judged) -> str:
        if judged.mark_verified:
            return messages.card("mark.verified", self.language, scopes=", ".join(judged.mark_verified))
        if judged.mark_claimed:
            return messages.card("mark.claimed", self.language, mark=judged.mark_claimed)
        return messages.card("mark.none", self.language)

    def eqa(self, judged: Judged) -> str:
        stands = messages.card(f"eqa.{judged.eqa_now}", self.language)
        return f"{judged.eqa} · {stands}" if judged.eqa else stands

    def _source(self) -> Card:
        county = self.county.name_en if self.language.startswith("en") else self.county.name
        topic = {"system": TOPIC_SYSTEM, "code": "mutual-recognition", "display": messages.card("topic", self.language)}
        return {"label": messages.card("source", self.language, county=county), "url": self.address, "topic": topic}

    def _links(self, each: Answered, judged: Judged) -> list[Card]:
        links = []
        page = judged.candidate.report or judged.candidate.reference
        if not page.startswith("Observation/"):
            url = f"{self.address}/p/{self.patient}/doc/{page}"
            links.append({"label": messages.card("link.report", self.language), "url": url, "type": "absolute"})
        if each.uuid:
            label = messages.card("link.prompt", self.language)
            links.append({"label": label, "url": self.prompt_page(each.uuid), "type": "absolute"})
        return links

    def _suggestion(self, each: Answered) -> Card:
        """Taking it takes the order back. Where the draft has no id, or is for more than this item, that is left to the doctor."""
        duty = each.answer.best.duty if each.answer.best else ""
        suggestion: Card = {
            "label": messages.card("suggestion", self.language),
            "uuid": self._uuid("suggestion", each.uuid),
            "isRecommended": duty == "must",
        }
        if each.draft.id and not each.draft.item:
            action = {"type": "delete", "description": messages.card("delete", self.language)}
            suggestion["actions"] = [{**action, "resourceId": f"ServiceRequest/{each.draft.id}"}]
        return suggestion

    def _reasons(self) -> list[Card]:
        return [{"code": c, "system": reasons.SYSTEM, "display": d} for c, d in reasons.reasons(self.language).items()]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_SUMMARY else f"{text[: LONGEST_SUMMARY - 1]}…"


def _plain(text: str) -> str:
    """As Markdown that means itself: a result may read `<0.61` or `1+*`, and a station may let HTML through."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", " ".join(escaped.split()))
