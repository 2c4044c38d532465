"""Segments of an order or result message → groups, by intent rather than by grammar.

HL7 v2.5.1 chapters 4 and 7. Results before their OBR, ORC after it, SPM before or after OBX, results without any OBR: all are
grouped, and what stood elsewhere than its structure says is reported as moved.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Message, Segment


@dataclass(slots=True)
class Result:
    """An OBX (or the lines of one narrative) with what was said about it."""

    obx: Segment
    notes: list[Segment] = field(default_factory=list)
    more: list[Segment] = field(default_factory=list)  # further OBX that continue the text of the first


@dataclass(slots=True)
class Group:
    """One order: its ORC and OBR, results, specimens and notes."""

    orc: Segment | None = None
    obr: Segment | None = None
    results: list[Result] = field(default_factory=list)
    specimens: list[Segment] = field(default_factory=list)
    notes: list[Segment] = field(default_factory=list)
    timing: list[Segment] = field(default_factory=list)
    diagnoses: list[Segment] = field(default_factory=list)

    @property
    def where(self) -> str:
        first = self.obr or self.orc or (self.results[0].obx if self.results else None)
        return first.where if first else "OBR"


class _Grouping:
    """A walk over the segments; `current` is the group that OBX, NTE, SPM join."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.groups: list[Group] = []
        self.current: Group | None = None
        self.specimens: list[Segment] = []  # met before the OBR they belong to
        self.last: Group | Result | None = None  # what an NTE speaks of
        self.specimen_first = draft.message.code == "OUL"

    def open(self, group: Group) -> Group:
        self.groups.append(group)
        self.current = self.last = group
        return group

    def walk(self, message: Message) -> list[Group]:
        steps = {
            "OBR": self.report,
            "OBX": self.result,
            "NTE": self.note,
            "SPM": self.specimen,
            "TQ1": self.timing,
            "DG1": self.diagnosis,
        }
        for place, segment in enumerate(message.all):
            if segment.name == "ORC":
                self.order(segment, _next_of(message, place))
            elif (step := steps.get(segment.name)) is not None:
                step(segment)
        if self.specimens and self.groups:
            self.groups[0].specimens += self.specimens
        return self.groups

    def order(self, orc: Segment, ahead: str) -> None:
        """An ORC opens a group, unless its OBR came first and the next thing is that OBR's result."""
        current = self.current
        if current is not None and current.obr is not None and current.orc is None and ahead != "OBR":
            current.orc = orc
            if not self.specimen_first:
                self.draft.note("moved", orc.where, "ORC after its OBR", "information")
            return
        self.open(Group(orc=orc, specimens=self._waiting()))

    def report(self, obr: Segment) -> None:
        current = self.current
        if current is None or current.obr is not None:
            self.open(Group(obr=obr, specimens=self._waiting()))
            return
        current.obr = obr
        self.last = current
        if current.results:
            self.draft.note("moved", current.results[0].obx.where, "results before their OBR")

    def _waiting(self) -> list[Segment]:
        waiting = list(self.specimens)
        if not self.specimen_first:
            self.specimens = []
        return waiting

    def result(self, obx: Segment) -> None:
        group = self.current or self.open(Group())
        previous = self.last if isinstance(self.last, Result) else None
        if previous is not None and _continues(previous, obx):
            previous.more.append(obx)
            return
        self.last = Result(obx)
        group.results.append(self.last)

    def note(self, nte: Segment) -> None:
        if self.last is not None:
            self.last.notes.append(nte)

    def specimen(self, spm: Segment) -> None:
        if self.specimen_first:
            previous = self.current
            self.specimens = [spm] if previous is None or previous.obr is not None else [*self.specimens, spm]
            self.current = self.last = None
        elif self.current is None:
            self.specimens.append(spm)
            self.draft.note("moved", spm.where, "specimen before its OBR", "information")
        else:
            self.current.specimens.append(spm)
            self.last = self.current

    def timing(self, tq1: Segment) -> None:
        if self.current is not None:
            self.current.timing.append(tq1)

    def diagnosis(self, dg1: Segment) -> None:
        if self.current is not None:
            self.current.diagnoses.append(dg1)


def _next_of(message: Message, place: int) -> str:
    """Which of ORC, OBR, OBX comes next."""
    segments = message.all
    following = (segments[n].name for n in range(place + 1, len(segments)))
    return next((name for name in following if name in {"ORC", "OBR", "OBX"}), "")


def _continues(previous: Result, obx: Segment) -> bool:
    """Whether an OBX is one more line of the text before it: same code, text, and nothing that a result has."""
    first = previous.obx
    kind = obx.value(2)
    if kind not in {"TX", "FT", "ST"} or first.value(2).upper() != kind or obx.value(3) != first.value(3):
        return False
    if any(segment.has(number) for segment in (first, obx) for number in (6, 7, 8)):
        return False
    return kind != "ST" or not (first.has(4) or obx.has(4))


def group_orders(draft: Draft) -> list[Group]:
    return _Grouping(draft).walk(draft.message)
