"""Tasks and orders of a period → counts, by facility, item and month.

The hub itself reads, for only sums leave here; whose sums somebody may see, `facility_seen` says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING, Literal

from hub.errors import NotAllowed
from hub.recognition.prompts import CODE, Prompt
from hub.recognition.service import RecognitionService
from hub.recognition.times import moment_of
from hub.records.reader import Found, every, reference_id
from hub.search.folding import fold_code
from hub.search.query import Criterion, DateValue, SearchQuery, Sort, TokenValue
from hub.security.access import PIPELINE, Access
from profiles.catalogue import Item
from profiles.names import HUB_TAG

if TYPE_CHECKING:
    from hub.app import Hub

MOST = 500_000  # Tasks, and orders, of one period
PAGE = 500
COUNTY_ROLES = frozenset({"admin", "it", "bureau"})  # without a facility: hospital IT, and the county's bureau
LEAST = 10  # of what a bureau is told: smaller sums may point at somebody
REST = "*"
"""The row of those that are too small to stand by themselves."""
WITHDRAWN = "revoked"
UNPLACED = frozenset({"entered-in-error", "draft", "unknown"})
Ordered = Literal["placed", "repeated", "withdrawn"]


@dataclass(slots=True)
class Counts:
    """Prompts are recognised, refused or unanswered; `lapsed` ones are none of them. Orders are placed or withdrawn. In fen."""

    recognised: int = 0
    unanswered: int = 0
    lapsed: int = 0
    saved: int = 0
    placed: int = 0
    repeated: int = 0
    withdrawn: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def refused(self) -> int:
        return self.reasons.total()

    @property
    def prompts(self) -> int:
        return self.recognised + self.refused + self.unanswered

    @property
    def concerned(self) -> int:
        """How many events these numbers are about."""
        return self.prompts + self.lapsed + self.placed + self.withdrawn

    def add_prompt(self, prompt: Prompt, zone: tzinfo) -> None:
        if prompt.decision == "recognised":
            self.recognised += 1
            self.saved += prompt.saved
        elif prompt.decision == "refused":
            self.reasons[prompt.reason] += 1
        elif _lapsed_that_day(prompt, zone):
            self.lapsed += 1
        else:
            self.unanswered += 1

    def __iadd__(self, other: Counts) -> Counts:
        for name in ("recognised", "unanswered", "lapsed", "saved", "placed", "repeated", "withdrawn"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.reasons.update(other.reasons)
        return self


def _lapsed_that_day(prompt: Prompt, zone: tzinfo) -> bool:
    """Before the doctor could answer. What lapses later was unanswered when the visit ended, and no count of a month changes."""
    days = {_day(str(prompt.task.get(name, "")), zone) for name in ("authoredOn", "lastModified")}
    return bool(prompt.lapse) and len(days) == 1


def _day(stated: str, zone: tzinfo) -> date | None:
    moment = moment_of(stated, zone)
    return moment.day if moment else None


Cell = tuple[str, str, str]  # facility code, item code, month (2026-03)


@dataclass(frozen=True, slots=True)
class Counted:
    """`first` to `last` in the county's zone, both included. `cut`: there is more than was counted.

    `least`: the smallest sum that is told; smaller ones stand together, or not at all.
    """

    first: date
    last: date
    cells: dict[Cell, Counts]
    cut: bool = False
    least: int = 0

    def total(self) -> Counts:
        total = _sum(self.cells.values())
        return total if total.concerned >= self.least else Counts()

    def by(self, part: int) -> dict[str, Counts]:
        """0: by facility, 1: by item, 2: by month; in order of the name."""
        if not self.total().concerned:
            return {}
        names = sorted({cell[part] for cell in self.cells})
        rows = {name: _sum(counts for cell, counts in self.cells.items() if cell[part] == name) for name in names}
        return _together(rows, self.least)

    def reasons(self) -> dict[str, int]:
        """Refusals by their reason's code; those told too seldom are left out."""
        return {code: count for code, count in sorted(self.total().reasons.items()) if count >= max(1, self.least)}

    def only(self, facility: str = "", item: str = "") -> Counted:
        """Of one facility or item alone; "" for all."""
        wanted = {c: n for c, n in self.cells.items() if facility in ("", c[0]) and item in ("", c[1])}
        return replace(self, cells=wanted)


def _together(rows: dict[str, Counts], least: int) -> dict[str, Counts]:
    """Rows that are too small as one, with the next larger if need be: none of them follows from the total."""
    by_size = sorted(rows, key=lambda name: rows[name].concerned)
    kept, sums = dict(rows), 0
    rest: list[str] = []
    for name in by_size:
        if rows[name].concerned >= least and (not rest or sums >= least):
            break
        rest.append(name)
        sums += kept.pop(name).concerned
    return {**kept, REST: _sum(rows[name] for name in rest)} if rest else rows


def _sum(every: Iterable[Counts]) -> Counts:
    total = Counts()
    for each in every:
        total += each
    return total


def facility_seen(access: Access) -> str:
    """The facility whose sums `access` may see; "" for all. Raise NotAllowed."""
    if access.facility and access.role in ("admin", "clinician", "it"):
        return access.facility
    if not access.facility and access.role in COUNTY_ROLES:
        return ""
    raise NotAllowed("the measures are for a facility's own staff, and for the county's")


def told_to(access: Access, first: date, last: date) -> tuple[date, date, int]:
    """The span and the smallest sum: a bureau is told of whole months, so that two spans do not differ by a day's few."""
    if access.role != "bureau":
        return first, last, 0
    following = last.replace(day=28) + timedelta(days=4)
    return first.replace(day=1), following - timedelta(days=following.day), LEAST


def counted(hub: Hub, service: RecognitionService, access: Access, first: date, last: date) -> Counted:
    """Everything between two days, by facility, item and month, as `access` may be told of it."""
    first, last, least = told_to(access, first, last)
    zone, cells = service.zone, dict[Cell, Counts]()
    tasks = _of_period(hub, "Task", "authored-on", first, last, zone, [Criterion("code", "token", (_code(),))])
    for each in tasks:
        prompt = Prompt(each.resource)
        month = _month(str(each.resource.get("authoredOn", "")), zone)
        cells.setdefault((prompt.orderer, prompt.item, month), Counts()).add_prompt(prompt, zone)
    for cell, what in _orders(hub, service, first, last):
        counts = cells.setdefault(cell, Counts())
        counts.withdrawn += what == "withdrawn"
        counts.placed += what != "withdrawn"
        counts.repeated += what == "repeated"
    return Counted(first, last, cells, cut=len(tasks) >= MOST, least=least)


def _code() -> TokenValue:
    return TokenValue(HUB_TAG, fold_code(CODE))


def _of_period(
    hub: Hub, type: str, parameter: str, first: date, last: date, zone: tzinfo, criteria: Iterable[Criterion] = ()
) -> tuple[Found, ...]:
    """In order of time."""
    begin, end = (_ms(datetime.combine(day, time.min, zone)) for day in (first, last + timedelta(days=1)))
    limits = (DateValue("ge", begin, begin + 1), DateValue("lt", end, end + 1))
    bounds = [Criterion(parameter, "date", (limit,)) for limit in limits]
    query = SearchQuery(type, (*criteria, *bounds), (Sort(parameter, "date"),), count=PAGE)
    return every(hub.door.reads(PIPELINE), query, MOST)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _month(stated: str, zone: tzinfo) -> str:
    day = _day(stated, zone)
    return day.isoformat()[:7] if day else ""


def _orders(hub: Hub, service: RecognitionService, first: date, last: date) -> Iterator[tuple[Cell, Ordered]]:
    """Every order of a catalogue item in the period; repeated: the same was placed for the person within its window before."""
    catalogues = service.facts.look().catalogues
    longest = max((item.validity_days.get("outpatient", 0) for each in catalogues for item in each.items), default=0)
    before: dict[tuple[str, str], date] = {}
    person = _people(hub)
    for order in _of_period(hub, "ServiceRequest", "authored", first - timedelta(days=longest), last, service.zone):
        day = _day(str(order.resource.get("authoredOn", "")), service.zone)
        if day is None or day > last or order.resource.get("status") in UNPLACED:
            continue
        who = person(reference_id(order.resource.get("subject"), "Patient"))
        for item in _items(service, order):
            cell = (order.facility, item.code, day.isoformat()[:7])
            if order.resource.get("status") == WITHDRAWN:
                if day >= first:
                    yield cell, "withdrawn"
                continue
            former, before[who, item.code] = before.get((who, item.code)), day
            if day >= first:
                again = former is not None and (day - former).days <= item.validity_days.get("outpatient", 0)
                yield cell, "repeated" if again else "placed"


def _people(hub: Hub) -> Callable[[str], str]:
    known: dict[str, str] = {}

    def person(patient: str) -> str:
        if patient not in known:
            known[patient] = hub.store.person_of(patient) if patient else ""
        return known[patient]

    return person


def _items(service: RecognitionService, order: Found) -> tuple[Item, ...]:
    for coding in (order.resource.get("code") or {}).get("coding") or ():
        items = service.items_of(f"{coding.get('system', '')}|{coding.get('code', '')}", order.facility)
        if items:
            return items
    return ()
