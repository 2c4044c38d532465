"""Looking into a table: its codes by page, found by code, name, pinyin or initials, each beside what it is called elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hub.errors import HubError, NotFound
from hub.terminology.concepts import CodeSystem
from hub.terminology.maps import CodeMap, Target
from hub.terminology.service import Terminology
from hub.terminology.tables import Described, tables_of
from hub.terminology.texts import words_of

PAGE = 100
DEEPEST = 8  # levels that are shown; what lies deeper is shown there
FOUND_IN_A_TABLE = 10
FOUND = 100


@dataclass(frozen=True, slots=True)
class Row:
    """A code. `targets`: what maps say it is elsewhere, stated as seen from here; one that says "nothing there" has no code."""

    code: str
    display: str
    depth: int
    choosable: bool
    names: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True)
class Opened:
    """A page of a table. `elsewhere`: (system, title) of all that maps lead to or come from; `total`: codes that were asked for."""

    table: Described
    rows: tuple[Row, ...]
    total: int
    offset: int
    elsewhere: tuple[tuple[str, str], ...]
    unmapped: int = -1  # codes that no map leads to `to` from; -1 if it was not asked for

    @property
    def next(self) -> int:
        return self.offset + PAGE if self.offset + PAGE < self.total else 0

    @property
    def before(self) -> int:
        return max(0, self.offset - PAGE)


@dataclass(frozen=True, slots=True)
class Hit:
    table: Described
    rows: tuple[Row, ...]
    total: int


class _Maps:
    """What the maps at hand say of the codes of one system, whichever way they were drawn."""

    def __init__(self, terminology: Terminology, system: CodeSystem) -> None:
        self._terminology = terminology
        self._system = system
        self._forward = terminology.concept_maps(system.url)
        self._backward = terminology.concept_maps(system.url, reverse=True)

    @property
    def systems(self) -> tuple[str, ...]:
        ends = [url for made in self._forward for url in made.targets] + [url for made in self._backward for url in made.sources]
        return tuple(dict.fromkeys(url for url in ends if url))

    def of(self, code: str, to: str) -> tuple[Target, ...]:
        """Each target once; what is stated goes before what is only turned round."""
        found: dict[tuple[str, str, str], Target] = {}
        for target in self._stated(code):
            if to in ("", target.system):
                found.setdefault((target.system, target.version, target.code), target)
        return tuple(found.values())

    def reaches(self, code: str, to: str) -> bool:
        return any(target.matches and target.code for target in self._stated(code) if target.system == to)

    def _stated(self, code: str) -> Iterator[Target]:
        for made in self._forward:
            yield from made.forward(self._system.url, code, self._system.version, self._other)
        for made in self._backward:
            if self._leads_here(made):
                yield from (target for target in made.backward(self._system.url, code) if target.matches)

    def _leads_here(self, made: CodeMap) -> bool:
        """To this edition, or to whichever."""
        here = (group.target_version for group in made.groups if group.target == self._system.url)
        return any(version in ("", self._system.version) for version in here)

    def _other(self, url: str) -> CodeMap | None:
        return self._terminology.concept_map(url)


def opened(
    terminology: Terminology, url: str, version: str, *, typed: str = "", to: str = "", unmapped: bool = False, offset: int = 0
) -> Opened:
    """Raise NotFound for a table that is not here."""
    table = next((each for each in tables_of(terminology) if (each.url, each.version) == (url, version)), None)
    system = terminology.code_system(url, version)
    if table is None or system is None:
        raise NotFound("this table is not here")
    maps = _Maps(terminology, system)
    numbers = _matching(system, typed)
    missing = [number for number in numbers if not maps.reaches(system.codes[number], to)] if to else []
    chosen = missing if unmapped and to else numbers
    offset = max(0, min(offset, len(chosen) - 1)) // PAGE * PAGE
    rows = tuple(_row(system, number, maps, to) for number in chosen[offset : offset + PAGE])
    elsewhere = tuple((each, _title(terminology, each)) for each in maps.systems)
    return Opened(table, rows, len(chosen), offset, elsewhere, len(missing) if to else -1)


def found(terminology: Terminology, typed: str) -> list[Hit]:
    """In every table, the most telling first: few hits in a table before many."""
    hits = []
    for table in tables_of(terminology):
        system = terminology.code_system(table.url, table.version)
        numbers = _matching(system, typed) if system is not None else []
        if system is not None and numbers:
            rows = tuple(_row(system, number, None, "") for number in numbers[:FOUND_IN_A_TABLE])
            hits.append(Hit(table, rows, len(numbers)))
    return sorted(hits, key=lambda hit: hit.total)[:FOUND]


def _matching(system: CodeSystem, typed: str) -> list[int]:
    """In the table's order; a code that is typed whole comes first."""
    words = words_of(typed)
    if not words:
        return list(range(len(system)))
    numbers = sorted(system.texts.matching(words))
    exact = system.find(typed.strip())
    return [exact, *(number for number in numbers if number != exact)] if exact is not None else numbers


def _row(system: CodeSystem, number: int, maps: _Maps | None, to: str) -> Row:
    code = system.codes[number]
    names = tuple(str(each.get("value", "")) for each in system.designations.get(number, ()))
    depth, at = 0, number
    while depth < DEEPEST and (parents := system.parents(at)):
        depth, at = depth + 1, parents[0]
    return Row(code, system.displays[number], depth, number not in system.abstract, names, maps.of(code, to) if maps else ())


def _title(terminology: Terminology, url: str) -> str:
    try:
        system = terminology.code_system(url)
    except HubError:
        return url
    return (system.title or system.name) if system is not None else url
