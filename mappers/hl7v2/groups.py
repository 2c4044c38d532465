"""Segments of an order or result message → groups, by intent rather than by grammar.

HL7 v2.5.1 chapters 4, 7 and 13. Results before their OBR, ORC after it, SPM before or after OBX, results without any OBR, a
route before its drug: all are grouped, and what stood elsewhere than its structure says is reported as moved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Message, Segment

# The segment that says which drug: asked for, dispensed, given, to be given
DRUGS = ("RXO", "RXE", "RXD", "RXA", "RXG")
# Segments that say what is ordered where there is no OBR
DETAILS = ("ODS", "ODT", "RQD", "RQ1", "IPC")
ORDERED = frozenset({"OBR", *DRUGS, *DETAILS})
# Messages that begin with the specimen and hang the orders below it
SPECIMEN_FIRST = {("OUL", "R22"), ("OUL", "R23"), ("OML", "O33"), ("OML", "O35")}


@dataclass(slots=True)
class Result:
    """An OBX (or the lines of one narrative) with what was said about it."""

    obx: Segment
    notes: list[Segment] = field(default_factory=list)
    more: list[Segment] = field(default_factory=list)  # further OBX that continue the text of the first
    people: list[Segment] = field(default_factory=list)


@dataclass(slots=True)
class Sample:
    """An SPM, or a SAC where there is none, with its containers."""

    segment: Segment
    containers: list[Segment] = field(default_factory=list)
    notes: list[Segment] = field(default_factory=list)
    people: list[Segment] = field(default_factory=list)


@dataclass(slots=True)
class Drug:
    """One of DRUGS with its routes, ingredients and times."""

    segment: Segment
    routes: list[Segment] = field(default_factory=list)
    components: list[Segment] = field(default_factory=list)
    timing: list[Segment] = field(default_factory=list)
    notes: list[Segment] = field(default_factory=list)
    people: list[Segment] = field(default_factory=list)


@dataclass(slots=True)
class Group:
    """One order: its ORC and OBR (or drug, diet, supply), results, specimens and notes."""

    orc: Segment | None = None
    obr: Segment | None = None
    results: list[Result] = field(default_factory=list)
    specimens: list[Sample] = field(default_factory=list)
    drugs: list[Drug] = field(default_factory=list)
    details: list[Segment] = field(default_factory=list)
    notes: list[Segment] = field(default_factory=list)
    timing: list[Segment] = field(default_factory=list)
    diagnoses: list[Segment] = field(default_factory=list)
    people: list[Segment] = field(default_factory=list)

    @property
    def where(self) -> str:
        candidates = [self.obr, self.orc, *(drug.segment for drug in self.drugs), *self.details]
        first = next(filter(None, candidates), None) or (self.results[0].obx if self.results else None)
        return first.where if first else "OBR"

    def drug(self, *names: str) -> Drug | None:
        """The group's drug segment of the first of these names that it has."""
        return next((drug for name in names for drug in self.drugs if drug.segment.name == name), None)

    def detail(self, *names: str) -> list[Segment]:
        return [segment for segment in self.details if segment.name in names]


class _Grouping:
    """A walk over the segments; `current` is the group that the next segment joins, `last` what an NTE or PRT speaks of."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.groups: list[Group] = []
        self.current: Group | None = None
        self.last: Group | Result | Sample | Drug | None = None
        self.samples: list[Sample] = []  # met before the OBR they belong to
        self.taken = False  # whether a group has taken the samples: the next SPM begins anew
        self.early: list[Result] = []  # results on a specimen, before the OBR they belong to
        self.routes: list[Segment] = []  # met before the drug they belong to
        self.by_specimen = self.specimen_first = (draft.message.code.upper(), draft.trigger) in SPECIMEN_FIRST

    def open(self, group: Group) -> Group:
        self.groups.append(group)
        self.current = self.last = group
        self.specimen_first = self.specimen_first and bool(self.samples)  # an order before any specimen: it is the other way
        group.specimens += self.samples
        self.taken = True
        self.samples = self.samples if self.specimen_first else []
        group.results += self.early
        self.early = []
        return group

    def walk(self, message: Message) -> list[Group]:
        for place, segment in enumerate(message.all):
            if segment.name == "ORC":
                self.order(segment, _next_of(message, place))
            elif (step := _STEPS.get(segment.name)) is not None:
                step(self, segment)
        if self.early:
            self.open(Group())
        return self.groups

    def order(self, orc: Segment, ahead: str) -> None:
        """An ORC opens a group, unless what it orders came first and what comes next is not another order."""
        current = self.current
        if current is not None and current.orc is None and ahead not in ORDERED and (current.obr or current.drugs):
            current.orc = orc
            if self.draft.message.code != "OUL":
                self.draft.note("moved", orc.where, f"ORC after its {'OBR' if current.obr else 'drug'}", "information")
            return
        self.open(Group(orc=orc))

    def report(self, obr: Segment) -> None:
        current = self.current
        if current is None or current.obr is not None or current.drugs:
            self.open(Group(obr=obr))
            return
        current.obr = obr
        self.last = current
        if current.results:
            self.draft.note("moved", current.results[0].obx.where, "results before their OBR")

    def drug(self, segment: Segment) -> None:
        """An RXE joins the RXO of its ORC, an RXD both; a second one of a name is an order of its own, or one more dose."""
        drug = Drug(segment, routes=self.routes)
        self.routes = []
        current = self.current
        repeated = current is not None and current.drug(segment.name) is not None
        if current is None or current.obr is not None or (repeated and segment.name in {"RXO", "RXE"}):
            current = self.open(Group())
        current.drugs.append(drug)
        self.last = drug

    def detail(self, segment: Segment) -> None:
        group = self.current or self.open(Group())
        group.details.append(segment)
        self.last = group

    def route(self, rxr: Segment) -> None:
        if isinstance(self.last, Drug):
            self.last.routes.append(rxr)
        elif self.current is not None and self.current.drugs:
            self.current.drugs[-1].routes.append(rxr)
        else:
            self.routes.append(rxr)
            self.draft.note("moved", rxr.where, "route before its drug", "information")

    def component(self, rxc: Segment) -> None:
        if self.current is not None and self.current.drugs:
            self.current.drugs[-1].components.append(rxc)

    def result(self, obx: Segment) -> None:
        previous = self.last if isinstance(self.last, Result) else None
        if previous is not None and _continues(previous, obx):
            previous.more.append(obx)
            return
        result = self.last = Result(obx)
        if self.current is None and self.specimen_first:
            self.early.append(result)
            return
        (self.current or self.open(Group())).results.append(result)
        self.last = result

    def note(self, nte: Segment) -> None:
        if self.last is not None:
            self.last.notes.append(nte)

    def person(self, prt: Segment) -> None:
        if self.last is not None:
            self.last.people.append(prt)

    def specimen(self, spm: Segment) -> None:
        sample = Sample(spm)
        if self.specimen_first:
            self.samples = [sample] if self.taken else [*self.samples, sample]
            self.taken = False
            self.current = None
        elif self.current is None:
            self.samples.append(sample)
            self.draft.note("moved", spm.where, "specimen before its OBR", "information")
        else:
            self.current.specimens.append(sample)
            if self.by_specimen:
                self.draft.note("moved", spm.where, "specimen after its order", "information")
        self.last = sample

    def container(self, sac: Segment) -> None:
        samples = self.current.specimens if self.current is not None else self.samples
        if samples and samples[-1].segment.name == "SPM":
            samples[-1].containers.append(sac)
        elif self.current is not None:
            self.current.specimens.append(Sample(sac))
        else:
            self.samples.append(Sample(sac))

    def timing(self, tq1: Segment) -> None:
        if self.current is None:
            return
        holder = self.current.drugs[-1] if self.current.drugs else self.current
        holder.timing.append(tq1)

    def diagnosis(self, dg1: Segment) -> None:
        if self.current is not None:
            self.current.diagnoses.append(dg1)


_STEPS: dict[str, Callable[[_Grouping, Segment], None]] = {
    **{"OBR": _Grouping.report, "OBX": _Grouping.result, "NTE": _Grouping.note, "PRT": _Grouping.person, "ROL": _Grouping.person},
    **{"SPM": _Grouping.specimen, "SAC": _Grouping.container, "TQ1": _Grouping.timing, "DG1": _Grouping.diagnosis},
    **{"RXR": _Grouping.route, "RXC": _Grouping.component},
    **dict.fromkeys(DRUGS, _Grouping.drug),
    **dict.fromkeys(DETAILS, _Grouping.detail),
}


def _next_of(message: Message, place: int) -> str:
    """Which of ORC, OBX or what is ordered comes next."""
    segments = message.all
    following = (segments[n].name for n in range(place + 1, len(segments)))
    return next((name for name in following if name in ORDERED or name in {"ORC", "OBX"}), "")


def _continues(previous: Result, obx: Segment) -> bool:
    """Whether an OBX is one more line of the text before it: same code, text, and nothing that a result has."""
    first = previous.obx
    kind = obx.value(2)
    if kind not in {"TX", "FT", "ST"} or first.value(2).upper() != kind or obx.components(3) != first.components(3):
        return False
    if any(obx.has(number) and obx.components(number) != first.components(number) for number in (11, 14, 16)):
        return False
    if any(segment.has(number) for segment in (first, obx) for number in (6, 7, 8)):
        return False
    return kind != "ST" or not (first.has(4) or obx.has(4))


def group_orders(draft: Draft) -> list[Group]:
    return _Grouping(draft).walk(draft.message)
