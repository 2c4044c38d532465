"""What a subscription is to be sent next, and what follows from how that went: decided on the store, without any network."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from hub.errors import HubError
from hub.search.custom import registry_in
from hub.search.parameters import in_force
from hub.security.access import Access
from hub.security.audit import audit_event
from hub.security.egress import Answer
from hub.security.reads import Reads
from hub.security.trail import save_event
from hub.settings import SubscriptionSettings
from hub.store.port import Key, ResourceStore, Transaction
from hub.subscriptions.criteria import triggers_of
from hub.subscriptions.meaning import meaning_of
from hub.subscriptions.outbox import (
    Progress,
    Registration,
    Standing,
    State,
    events_in,
    meaning_in,
    number_in,
    progress_in,
    prune,
    put_meaning,
    put_progress,
    registration_in,
)
from hub.subscriptions.payload import Kind, Seen, notification, seen, translated
from hub.subscriptions.state import conclude

HOUR, DAY = 3_600_000, 86_400_000
CHECKED_EVERY = 5_000  # ms: how soon a revoked token ends a subscription that has nothing to send
GONE, SERVER_ERROR = 410, 500
JITTER = 0.25
AGENT = "YitongHub"


@dataclass(frozen=True, slots=True)
class Outcome:
    ok: bool
    gone: bool = False
    problem: str = ""
    wait: float | None = None  # seconds, as the receiver asks


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call. `nothing`: there is nothing that the owner may be told, and the events only count as done."""

    registration: Registration
    kind: Kind
    last: int  # the number of the last event in it
    events: tuple[Seen, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    nothing: bool = False

    @property
    def endpoint(self) -> str:
        return self.registration.endpoint

    @property
    def seconds(self) -> float:
        return float(self.registration.timeout)


class Planner:
    """`holder`: whose token has this id, while it is valid. `reads`: what an access may see now."""

    def __init__(
        self,
        store: ResourceStore,
        clock: Callable[[], int],
        settings: SubscriptionSettings,
        *,
        holder: Callable[[str], Access | None],
        reads: Callable[[Access], Reads],
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._holder = holder
        self._reads = reads
        self._checked: dict[str, int] = {}
        self._read: dict[str, int] = {}

    def due(self, standing: Standing) -> bool:
        """Whether `next` has something to do."""
        registration, progress = standing.registration, standing.progress
        if registration.state not in ("requested", "active") or registration.channel == "destination":
            return False
        now, id = self._clock(), registration.id
        if registration.state == "requested" and registration.channel == "websocket":
            return True
        if self._ended(registration, now) or now - self._checked.get(id, 0) >= CHECKED_EVERY:
            return True
        if registration.channel == "websocket":
            return False
        if progress.next > now:
            return False
        waiting = standing.number > progress.done
        return waiting or registration.state == "requested" or self._heartbeat_due(registration, progress, now)

    def next(self, id: str) -> Attempt | None:
        """The next call; None where none is due. What needs no call is done at once."""
        registration, now = registration_in(self._store, id), self._clock()
        if registration is None or registration.state not in ("requested", "active"):
            return None
        owner = self._holder(registration.owner.token_id)
        self._checked[id] = now
        if owner is None or (owner.role, owner.facility) != (registration.owner.role, registration.owner.facility):
            self._conclude(id, "error", "the token of its owner is no longer valid")
        elif self._ended(registration, now):
            self._conclude(id, "off")
        elif problem := self._misunderstood(registration, owner, now):
            self._conclude(id, "error", problem)
        elif registration.channel == "rest-hook":
            return self._call(registration, owner, now)
        elif registration.state == "requested":
            self._conclude(id, "active")
        return None

    def _misunderstood(self, registration: Registration, owner: Access, now: int) -> str:
        """Why its criteria say nothing any more; where they stand for something else than before, that is kept."""
        id = registration.id
        if now - self._read.get(id, 0) < CHECKED_EVERY:
            return ""
        self._read[id] = now
        try:
            with in_force(registry_in(self._store, built=False)):
                known = meaning_of(triggers_of(registration, now), self._reads(owner))
        except HubError as error:
            if error.reason.status >= SERVER_ERROR:
                raise
            return f"its criteria are not understood any more: {error.message}"
        if known != meaning_in(self._store, id):
            self._store.write(lambda transaction: put_meaning(transaction, id, known)).result()
        return ""

    def _call(self, registration: Registration, owner: Access, now: int) -> Attempt | None:
        id = registration.id
        progress = progress_in(self._store, id)
        if progress.next > now:
            return None
        if registration.state == "requested":
            if registration.topic:
                return self._bundle(registration, "handshake", [], progress)
            self._conclude(id, "active")
            registration = msgspec.structs.replace(registration, state="active")
        waiting = events_in(self._store, id, after=progress.done, limit=registration.most)
        if waiting:
            shown = seen(self._reads(owner), waiting)
            if registration.topic:
                return self._bundle(registration, "event-notification", shown, progress)
            return self._plain(registration, shown[0])
        if self._heartbeat_due(registration, progress, now):
            return self._bundle(registration, "heartbeat", [], progress)
        return None

    def settle(self, attempt: Attempt, outcome: Outcome) -> None:
        self._store.write(lambda transaction: self._settle(transaction, attempt, outcome)).result()

    def _settle(self, transaction: Transaction, attempt: Attempt, outcome: Outcome) -> None:
        id, now = attempt.registration.id, self._clock()
        if registration_in(transaction, id) is None:
            return
        former = progress_in(transaction, id)
        if not outcome.ok:
            self._settle_failure(transaction, id, former, outcome, now)
            return
        owner = attempt.registration.owner
        acknowledge(transaction, attempt.registration, owner, last=attempt.last, events=attempt.events, now=now)
        if attempt.kind == "handshake":
            conclude(transaction, id, "active", now)

    def _settle_failure(self, transaction: Transaction, id: str, former: Progress, outcome: Outcome, now: int) -> None:
        since = former.since or now
        wait = self._wait(former.failures, outcome.wait)
        progress = msgspec.structs.replace(
            former, failures=former.failures + 1, since=since, next=now + wait, problem=outcome.problem
        )
        put_progress(transaction, id, progress)
        if outcome.gone:
            conclude(transaction, id, "off", now, problem="the endpoint is gone (410)")
        elif now - since >= self._settings.give_up_hours * HOUR:
            hours = f"{self._settings.give_up_hours:g}"
            conclude(transaction, id, "error", now, problem=f"not delivered for {hours} hours: {outcome.problem}")

    def _wait(self, failures: int, asked: float | None) -> int:
        """Milliseconds: twice as long each time, up to a limit, spread a little; what the receiver asks, if that is longer."""
        longest = self._settings.longest_retry_seconds
        seconds = min(longest, self._settings.first_retry_seconds * 2.0 ** min(failures, 40))
        seconds *= 1 - JITTER + 2 * JITTER * random.random()  # noqa: S311 - spreads calls, guards nothing
        return int(1000 * max(seconds, min(asked or 0.0, DAY / 1000)))

    def _conclude(self, id: str, state: State, problem: str = "") -> None:
        now = self._clock()
        self._store.write(lambda transaction: conclude(transaction, id, state, now, problem=problem)).result()

    @staticmethod
    def _ended(registration: Registration, now: int) -> bool:
        return bool(registration.end) and registration.end <= now

    @staticmethod
    def _heartbeat_due(registration: Registration, progress: Progress, now: int) -> bool:
        return bool(registration.heartbeat) and progress.sent + registration.heartbeat * 1000 <= now

    # -- calls
    def _bundle(self, registration: Registration, kind: Kind, events: list[Seen], progress: Progress) -> Attempt:
        last = events[-1].numbered.number if events else progress.done
        total = last if events else number_in(self._store, registration.id)
        base = self._settings.base
        body = notification(registration, kind, events, total=total, now=self._clock(), base=base)
        mime = registration.mime or "application/fhir+json"
        return Attempt(registration, kind, last, tuple(events), _headers(registration, last, mime), translated(body, mime))

    def _plain(self, registration: Registration, event: Seen) -> Attempt:
        """R4's own: the resource as it was, or a call without a body; nothing of what the owner may no longer see."""
        number, version, mime = event.numbered.number, event.version, registration.mime
        headers = _headers(registration, number, mime)
        body = translated(version.body, mime) if version is not None and mime else b""
        return Attempt(registration, "event-notification", number, (event,), headers, body, nothing=version is None)


def _headers(registration: Registration, number: int, mime: str) -> dict[str, str]:
    """The subscription's own, and what tells a repeated call from a new one."""
    ours = {"user-agent": AGENT, "x-subscription": registration.id, "x-event-number": str(number)}
    if mime:
        ours["content-type"] = f"{mime};charset=UTF-8"
    return ours | {name.lower(): value for name, value in registration.headers}


def outcome_of(answer: Answer) -> Outcome:
    if 200 <= answer.status < 300:
        return Outcome(ok=True)
    return Outcome(ok=False, gone=answer.status == GONE, problem=f"HTTP {answer.status}", wait=_seconds(answer.retry_after))


def failed(problem: str) -> Outcome:
    return Outcome(ok=False, problem=problem)


def _seconds(retry_after: str) -> float | None:
    """https://www.rfc-editor.org/rfc/rfc9110#field.retry-after"""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()


def acknowledge(
    transaction: Transaction, registration: Registration, reader: Access, *, last: int, events: Sequence[Seen], now: int
) -> None:
    """Everything to `last` was delivered; what left the hub, and in whose name, is audited."""
    former = progress_in(transaction, registration.id)
    done = max(former.done, last)
    put_progress(transaction, registration.id, Progress(done=done, sent=now))
    prune(transaction, registration.id, former=former.done, done=done)
    shown = [each for each in events if each.known]
    if not shown:
        return
    keys = [Key(each.numbered.event.type, each.numbered.event.id) for each in shown]
    event = audit_event(
        reader,
        action="R",
        interaction="operation",
        keys=[Key("Subscription", registration.id), *keys],
        patients=[each.version.patient for each in shown if each.version is not None and each.version.patient],
        now=now,
    )
    save_event(transaction, event, reader.facility, now)
