"""Bytes of one message → the record to keep and the answer that is due once it is kept. Shared by MLLP and HTTP.

What no mapper will be able to use, and what was refused but must not be lost, is kept all the same: `hints["held"]` says why, and
it waits among the dead letters for a person.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from connectors.base import SourceRecord
from connectors.hl7v2_mllp.acknowledgement import Answer, Outcome
from connectors.hl7v2_mllp.binding import Senders, sender_of
from connectors.hl7v2_mllp.charset import Undecodable, decode
from connectors.hl7v2_mllp.header import Header, declared_charset, read_header

HELD = "held"  # a hint: why nothing becomes of the record until a person has looked
UNIQUE_DAYS = "control_id_days"  # a hint: for so long the record's key names one message …
UNIQUE_FOR = "control_id_of"  # … of this sender

NO_MSH = "no MSH segment: kept for inspection"
UNDECODABLE = "not decodable by MSH-18, UTF-8 or GB18030: kept for inspection"
NO_CONTROL_ID = "MSH-10 is empty: kept for inspection"
INTERRUPTED = "the block was interrupted: send it again"


@dataclass(frozen=True, slots=True)
class Received:
    """One message: the record to keep, if any, and what to answer once it is kept."""

    header: Header | None
    record: SourceRecord | None
    answer: Answer

    def unkept(self, text: str) -> Received:
        """What is answered when the record could not be kept: never anything positive."""
        return replace(self, record=None, answer=Answer(Outcome.ERROR, text)) if self.record else self


@dataclass(frozen=True, slots=True)
class Desk:
    """Of one channel: what comes in, and who may send it."""

    source: str
    facility: str  # the channel's own; empty: by MSH-4
    senders: Senders
    hints: Mapping[str, str]
    clock: Callable[[], datetime]
    unique_days: float = 0

    def receive(self, content: bytes, peer: str, bound: str = "") -> Received:
        """`bound`: the facility that the sender has proved to be; "" where nothing binds it."""
        header, text = read_header(content), self._text(content)
        refusal = self.senders.refusal(text, bound) if text is not None else ""
        if refusal:
            return Received(header, None, Answer(Outcome.REJECTED, refusal))
        answer = _judge(header, text)
        held = "" if answer.outcome is Outcome.ACCEPTED else answer.text.removesuffix(": kept for inspection")
        return Received(header, self._record(content, header, text or "", peer, bound, held), answer)

    def broken(self, block: bytes, peer: str, bound: str = "") -> Received:
        """A block that began and was never ended: what came of it is kept for a person, the sender is asked for it again."""
        header = read_header(block)
        record = self._record(block, header, self._text(block) or "", peer, bound, "the block was interrupted")
        return Received(header, record, Answer(Outcome.ERROR, INTERRUPTED))

    def too_large(self, head: bytes, text: str, peer: str, bound: str = "") -> Received:
        """Refused without its content: that it came, how large and from where is what is kept."""
        header = read_header(head)
        record = self._record(b"", header, self._text(head) or "", peer, bound, text)
        return Received(header, record, Answer(Outcome.REJECTED, text))

    def _text(self, content: bytes) -> str | None:
        try:
            return decode(content, declared_charset(content), self.hints.get("charset", "")).text
        except Undecodable:
            return None

    def _record(self, content: bytes, header: Header | None, text: str, peer: str, bound: str, held: str) -> SourceRecord:
        control_id = header[10].decode("utf-8", "backslashreplace") if header else ""
        hints = {**self.hints, "peer": peer}
        if held:
            hints[HELD] = held
        elif control_id and self.unique_days:
            hints[UNIQUE_DAYS] = f"{self.unique_days:g}"
            hints[UNIQUE_FOR] = _numbering(header)
        return SourceRecord(
            source=self.source,
            facility=bound or self.facility or self.senders.facility_of(sender_of(text)) or "unknown",
            kind="hl7v2",
            key=control_id or hashlib.sha256(content).hexdigest()[:32],
            content=content,
            received_at=self.clock(),
            hints=hints,
        )


def _numbering(header: Header | None) -> str:
    """Who numbers: each application of a facility, and many number each type of message by itself. MSH-3, MSH-4, MSH-9."""
    return b"|".join(header[number] for number in (3, 4, 9)).decode("utf-8", "backslashreplace")[:200] if header else ""


def _judge(header: Header | None, text: str | None) -> Answer:
    """What to answer if the record is kept."""
    if header is None:
        return Answer(Outcome.REJECTED, NO_MSH)
    if text is None:
        return Answer(Outcome.REJECTED, UNDECODABLE, ("102", "Data type error"))
    if not header[10]:
        return Answer(Outcome.REJECTED, NO_CONTROL_ID, ("101", "Required field missing"))
    return Answer(Outcome.ACCEPTED)
