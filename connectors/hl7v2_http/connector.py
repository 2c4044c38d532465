"""HL7 v2 over HTTP: the messages of one POST → records → Intake → their acknowledgements, one after the other.

https://hapifhir.github.io/hapi-hl7v2/hapi-hl7overhttp/specification.html. No port of its own: the hub's web server hands over the
body, once it knows who sent it. What is kept and what is answered is as over MLLP.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import chain, count
from typing import NamedTuple

from connectors.base import Intake, JournalUnavailable, SourceRecord
from connectors.hl7v2_http.config import HttpConfig
from connectors.hl7v2_mllp.acknowledgement import Answer, Outcome, acknowledge
from connectors.hl7v2_mllp.handover import NOT_KEPT, UNWRITTEN
from connectors.hl7v2_mllp.header import read_header, split_messages
from connectors.hl7v2_mllp.receiving import Desk, Received

log = logging.getLogger(__name__)

STATUS = {Outcome.ACCEPTED: 200, Outcome.REJECTED: 400, Outcome.ERROR: 500}
TOO_LARGE = 413


class Answered(NamedTuple):
    """An HTTP status, and the acknowledgements; empty where the sender asked for none."""

    status: int
    body: bytes


class HttpReceiver:
    """Implements connectors.base.Listening; `answer` may be called from any thread while it is started."""

    def __init__(
        self,
        config: HttpConfig,
        intake: Intake,
        *,
        source: str,
        facility: str,
        hints: Mapping[str, str],
        clock: Callable[[], datetime],
    ) -> None:
        self.source = source
        self.facility = facility
        self.max_body_bytes = config.max_body_bytes
        self.counters: Counter[str] = Counter()
        self.open = False
        self._most = config.max_messages
        self._intake = intake
        self._desk = Desk(source, facility, config.senders(), dict(hints), clock, config.control_id_days)
        self._numbers = count(1)

    def check(self) -> None:
        """Nothing to bind: the web server's port is open, or nobody could ask."""

    def start(self) -> None:
        self.open = True

    def stop(self) -> None:
        self.open = False

    def answer(self, body: bytes, *, peer: str, bound: str = "", charset: str = "") -> Answered:
        """`bound`: the facility of the caller's token, "" if it has none; `charset`: of the Content-Type, if it states one."""
        desk = replace(self._desk, hints={**self._desk.hints, "charset": charset}) if charset else self._desk
        contents = split_messages(body)
        if len(contents) > self._most:
            text = f"more than {self._most} messages in one body"
            return self._answered([desk.too_large(body[:8192], text, peer, bound)], TOO_LARGE)
        return self._answered([desk.receive(content, peer, bound) for content in contents])

    def too_large(self, head: bytes, *, peer: str, bound: str = "") -> Answered:
        """A body over the limit, of which only the beginning was read."""
        text = f"a body of more than {self.max_body_bytes} bytes"
        return self._answered([self._desk.too_large(head, text, peer, bound)], TOO_LARGE)

    def closed(self, body: bytes) -> Answered:
        """The channel does not run here."""
        refused = Received(read_header(body), None, Answer(Outcome.ERROR, "the channel is closed: send it again later"))
        return Answered(503, self._acknowledged([refused]))

    def _answered(self, received: list[Received], status: int = 0) -> Answered:
        records = [one.record for one in received if one.record is not None]
        if problem := self._problem(records) if records else "":
            received = [one.unkept(problem) for one in received]
        worst = max(STATUS[one.answer.outcome] for one in received)
        self.counters.update(one.answer.outcome.value[0] for one in received)
        return Answered(status if status and worst < STATUS[Outcome.ERROR] else worst, self._acknowledged(received))

    def _problem(self, records: list[SourceRecord]) -> str:
        try:
            self._intake(*records)
        except JournalUnavailable:
            return UNWRITTEN
        except Exception as error:  # an answer is owed whatever happens; never a positive one
            log.error("%s: intake failed: %s", self.source, type(error).__name__)  # noqa: TRY400 - a traceback may hold content
            return NOT_KEPT
        return ""

    def _acknowledged(self, received: list[Received]) -> bytes:
        now = self._desk.clock()
        answers = (acknowledge(one.header, one.answer, now=now, numbers=self._numbers) for one in received)
        return b"".join(chain.from_iterable(answers))
