"""One criterion of a query → where its resources are found, and how one resource is tested.

Meanings are those of hub.search.match; here they are SQL. `probe` speaks of the resource `r`; a `Source` is a range of one
index table. Conditions name columns as `{t}low`, so that the same text serves a table alone and a join.
"""

# ruff: noqa: S608 - every text joined into SQL here is our own; values are bound
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import apsw

from hub.errors import HubError, Kind
from hub.search.parameters import SearchParameter
from hub.search.query import (
    CompositeValue,
    Criterion,
    CriterionValue,
    DateValue,
    NumberValue,
    ParameterType,
    Prefix,
    QuantityValue,
    ReferenceValue,
    StringValue,
    TokenValue,
    UriValue,
)
from hub.store.sqlite.indexer import Indexer
from hub.store.sqlite.names import Names, facts_of

LAST = "\U0010ffff"  # sorts behind every text that continues a prefix


# One equality: rids come ascending; one range; or every entry of the parameter is looked at.
Shape = Literal["keyed", "range", "scan"]
Compiled = tuple[str, str, Shape]  # table, condition, shape


@dataclass(frozen=True, slots=True)
class Source:
    """Rows of an index table whose rid is a candidate."""

    table: str
    where: str
    shape: Shape = "range"
    floor: str = ""  # on a walk along `low` this holds too, and says where to start

    def select(self) -> str:
        return f"SELECT rid FROM {self.table} WHERE {self.where.format(t='')}"


@dataclass(frozen=True, slots=True)
class Condition:
    """`sources` together hold every match (and perhaps more, where `probe` must still be asked); none: it cannot lead."""

    probe: str
    sources: tuple[Source, ...] = ()
    exact: bool = True  # what the sources hold needs no probe
    rank: int = 5  # which conditions are likely to be selective, to count those first
    code: str = ""

    @property
    def nothing(self) -> bool:
        return self.probe == "0"

    @property
    def keyed(self) -> bool:
        return len(self.sources) == 1 and self.sources[0].shape == "keyed"


NOTHING = Condition("0", (Source("resource", "0"),), rank=0)

# -- intervals: column names are low and high, bounds are bound as :…
# A `+` keeps SQLite from choosing the index of that column when the other one bounds better.
DATE_CONDITIONS: dict[str, str] = {
    "eq": "{t}low >= {low} AND {t}low < {high} AND +{t}high <= {high}",
    "ne": "NOT (+{t}low >= {low} AND +{t}high <= {high})",
    "gt": "{t}high > {high}",
    "lt": "{t}low < {low}",
    "ge": "{t}high > {low} AND (+{t}high > {high} OR +{t}low >= {low})",
    "le": "{t}low < {high} AND (+{t}low < {low} OR +{t}high <= {high})",
    "sa": "{t}low >= {high}",
    "eb": "{t}high <= {low}",
    "ap": "{t}low < {high} AND +{t}high > {low}",
}
ENDS_BEHIND = frozenset({"gt", "ge", "ap"})
NUMBER_CONDITIONS: dict[str, str] = {
    "eq": "{t}value >= {low} AND {t}value < {high}",
    "ne": "NOT ({t}value >= {low} AND {t}value < {high})",
    "gt": "{t}value > {number}",
    "sa": "{t}value > {number}",
    "lt": "{t}value < {number}",
    "eb": "{t}value < {number}",
    "ge": "{t}value >= {number}",
    "le": "{t}value <= {number}",
    "ap": "{t}low < {high} AND {t}high > {low}",
}
RANK: dict[ParameterType, int] = {"reference": 1, "token": 2, "uri": 2, "string": 3, "composite": 4}
REACHED_BY_RID = frozenset({"string", "date", "number", "quantity"})


@dataclass(slots=True)
class Compiler:
    """Conditions of one query of one resource type; `bindings` grows with each."""

    connection: apsw.Connection
    names: Names
    indexer: Indexer
    resource_type: str
    type_number: int
    bindings: dict[str, Any] = field(default_factory=dict)

    def bind(self, value: Any) -> str:
        name = f"v{len(self.bindings)}"
        self.bindings[name] = value
        return f":{name}"

    def condition(self, criterion: Criterion) -> Condition:
        """Raise HubError for a modifier that this store does not know."""
        if criterion.missing is not None:
            return self._missing(criterion)
        if criterion.code == "_id":
            found = self._ids(criterion)
        elif criterion.code == "_lastUpdated":
            found = self._updated(criterion)
        elif criterion.type == "composite":
            found = self._composite(criterion)
        else:
            found = self._indexed(criterion)
        if criterion.modifier == "not":
            return Condition(f"NOT ({found.probe})", code=criterion.code)
        return found

    def parameter(self, code: str) -> int | None:
        return self.names.parameter(self.connection, self.resource_type, code)

    def present(self, number: int) -> str:
        return f"instr(r.present, {self.bind(f',{number},')}) > 0"

    def _missing(self, criterion: Criterion) -> Condition:
        if criterion.code in ("_id", "_lastUpdated"):
            return NOTHING if criterion.missing else Condition("1")
        if criterion.type == "composite":
            is_there = self._components_present(criterion)
        else:
            number = self.parameter(criterion.code)
            is_there = "0" if number is None else self.present(number)
        return Condition(f"NOT ({is_there})" if criterion.missing else is_there, code=criterion.code)

    def _components_present(self, criterion: Criterion) -> str:
        """A composite is there when each of its parts is."""
        parameter = self._search_parameter(criterion)
        numbers = [self.parameter(component.code) for component in parameter.components]
        return " AND ".join(self.present(number) for number in numbers if number is not None) if all(numbers) else "0"

    def _ids(self, criterion: Criterion) -> Condition:
        ids = [self.bind(value.code or "") for value in criterion.values if isinstance(value, TokenValue)]
        listed = f"id IN ({', '.join(ids)})"
        where = f"{{t}}type = {self.bind(self.type_number)} AND {{t}}deleted = 0 AND {{t}}{listed}"
        return Condition(f"r.{listed}", (Source("resource", where),), rank=0, code="_id")

    def _updated(self, criterion: Criterion) -> Condition:
        """An instant is an interval of one millisecond."""
        wheres = []
        for value in criterion.values:
            if isinstance(value, DateValue):
                text = DATE_CONDITIONS[value.prefix].replace("{t}high", "({t}updated + 1)").replace("{t}low", "{t}updated")
                wheres.append(self._interval(text, value))
        of_type = f"{{t}}type = {self.bind(self.type_number)} AND {{t}}deleted = 0"
        sources = tuple(Source("resource", f"{of_type} AND {where}") for where in wheres)
        return Condition(_any([where.format(t="r.") for where in wheres]), sources, code="_lastUpdated")

    def _interval(self, text: str, value: DateValue) -> str:
        return text.format(t="{t}", low=self.bind(value.low), high=self.bind(value.high))

    # -- criteria answered by an index table
    def _indexed(self, criterion: Criterion) -> Condition:
        number = self.parameter(criterion.code)
        if number is None:
            return Condition("0", NOTHING.sources, rank=0, code=criterion.code)
        param = f"{{t}}param = {self.bind(number)}"
        found = [self._value(criterion, param, value) for value in criterion.values]
        sources = tuple(source for _, source in found)
        rank = RANK.get(criterion.type, 5)
        return Condition(_any([probe for probe, _ in found]), sources, rank=rank, code=criterion.code)

    def _value(self, criterion: Criterion, param: str, value: CriterionValue) -> tuple[str, Source]:
        """Probe and source of one alternative."""
        compile_value = _BY_VALUE[type(value)]
        table, where, shape = compile_value(self, criterion, value)
        source = Source(table, f"{param} AND {where}", shape, self._floor(criterion, value))
        if table in REACHED_BY_RID:
            by_rid = f"{table} INDEXED BY {table}_of"
        elif shape == "keyed":
            by_rid = table
        else:
            return f"r.rid IN ({source.select()})", source
        return f"EXISTS (SELECT 1 FROM {by_rid} WHERE {source.where.format(t='')} AND rid = r.rid)", source

    def _floor(self, criterion: Criterion, value: CriterionValue) -> str:
        """What ends behind a point begins at most the longest interval before it."""
        number = self.parameter(criterion.code)
        if number is None or not isinstance(value, DateValue) or value.prefix not in ENDS_BEHIND:
            return ""
        end = value.high if value.prefix == "gt" else value.low
        return f"{{t}}low > {self.bind(end - facts_of(self.connection, number).widest)}"

    def word(self, text: str) -> str:
        """A text that occurs nowhere is number -1, which occurs nowhere either."""
        known = self.names.word(self.connection, text)
        return self.bind(-1 if known is None else known)

    def token(self, criterion: Criterion, value: TokenValue) -> Compiled:
        _refuse_unless(criterion, "", "not")
        parts = [] if value.code is None else [f"{{t}}code = {self.bind(value.code)}"]
        parts += [] if value.system is None else [f"{{t}}system = {self.word(value.system)}"]
        return "token", " AND ".join(parts) or "1", "scan" if value.code is None else "keyed"

    def reference(self, criterion: Criterion, value: ReferenceValue) -> Compiled:
        kind = value.type or (criterion.modifier if criterion.modifier[:1].isupper() else "")
        if not kind:
            _refuse_unless(criterion, "")
        parts = [f"{{t}}id = {self.bind(value.id)}"]
        parts += [f"{{t}}type = {self.word(kind)}"] if kind else []
        return "reference", " AND ".join(parts), "keyed"

    def string(self, criterion: Criterion, value: StringValue) -> Compiled:
        _refuse_unless(criterion, "", "exact", "contains")
        folded = self.indexer.fold(value.text)
        if criterion.modifier == "exact":
            return "string", f"{{t}}folded = {self.bind(folded)} AND {{t}}exact = {self.bind(value.text)}", "range"
        if criterion.modifier == "contains":
            return "string", f"instr({{t}}folded, {self.bind(folded)}) > 0", "scan"
        return "string", f"{{t}}folded >= {self.bind(folded)} AND {{t}}folded < {self.bind(folded + LAST)}", "range"

    def uri(self, criterion: Criterion, value: UriValue) -> Compiled:
        _refuse_unless(criterion, "", "below", "above")
        text = self.bind(value.value)
        if criterion.modifier == "below":
            under = self.bind(value.value.rstrip("/") + "/"), self.bind(value.value.rstrip("/") + "/" + LAST)
            return "uri", f"({{t}}value = {text} OR ({{t}}value >= {under[0]} AND {{t}}value < {under[1]}))", "range"
        if criterion.modifier == "above":
            is_parent = f"substr({text}, 1, length({{t}}value) + 1) = rtrim({{t}}value, '/') || '/'"
            return "uri", f"({{t}}value = {text} OR {is_parent})", "scan"
        return "uri", f"{{t}}value = {text}", "keyed"

    def date(self, criterion: Criterion, value: DateValue) -> Compiled:
        _refuse_unless(criterion, "")
        return "date", self._interval(DATE_CONDITIONS[value.prefix], value), _shape(value.prefix)

    def number(self, criterion: Criterion, value: NumberValue) -> Compiled:
        _refuse_unless(criterion, "")
        return "number", self._number(value), _shape(value.prefix)

    def _number(self, value: NumberValue) -> str:
        text = NUMBER_CONDITIONS[value.prefix]
        bounds = {name: self.bind(getattr(value, name)) for name in ("low", "high", "number") if f"{{{name}}}" in text}
        return text.format(t="{t}", **bounds)

    def quantity(self, criterion: Criterion, value: QuantityValue) -> Compiled:
        _refuse_unless(criterion, "")
        parts = [self._number(value.number)]
        parts += [] if value.system is None else [f"{{t}}system = {self.word(value.system)}"]
        parts += [] if value.code is None else [f"{{t}}code = {self.word(value.code)}"]
        return "quantity", " AND ".join(parts), _shape(value.number.prefix)

    # -- composite: its parts find candidates, the resource itself tells whether they stand together
    def _composite(self, criterion: Criterion) -> Condition:
        _refuse_unless(criterion, "")
        parameter = self._search_parameter(criterion)
        asked = self.bind(apsw.pyobject(parameter))
        probes: list[str] = []
        sources: list[Source] = []
        for value in criterion.values:
            if not isinstance(value, CompositeValue):
                raise HubError(f"{criterion.code} needs its parts joined by $", kind=Kind.INVALID)
            parts = self._parts(parameter, value)
            if any(part.nothing for part in parts):
                continue
            together = f"composite_matches((SELECT body FROM body WHERE rid = r.rid), {asked}, {self.bind(apsw.pyobject(value))})"
            # CASE keeps the order: SQLite would read the body of every candidate before it asks the indexes.
            first = " AND ".join(part.probe for part in parts) or "1"
            probes.append(f"CASE WHEN {first} THEN {together} ELSE 0 END")
            sources += min(parts, key=lambda part: part.rank).sources if parts else ()
        complete = len(sources) >= len(probes)
        return Condition(_any(probes), tuple(sources) if complete else (), exact=False, rank=RANK["composite"])

    def _parts(self, parameter: SearchParameter, value: CompositeValue) -> list[Condition]:
        """Conditions that every match fulfils: each component is like a parameter of the same type."""
        found = []
        for component, part in zip(parameter.components, value.parts, strict=True):
            like = self.indexer.parameter(self.resource_type, component.code)
            if like is not None and like.type == component.type != "composite":
                found.append(self.condition(Criterion(component.code, component.type, (part,))))
        return found

    def _search_parameter(self, criterion: Criterion) -> SearchParameter:
        parameter = self.indexer.parameter(self.resource_type, criterion.code)
        if parameter is None:
            raise HubError(f"{self.resource_type} has no search parameter {criterion.code}", kind=Kind.INVALID)
        return parameter


_BY_VALUE: dict[type, Callable[[Compiler, Criterion, Any], Compiled]] = {
    TokenValue: Compiler.token,
    ReferenceValue: Compiler.reference,
    StringValue: Compiler.string,
    UriValue: Compiler.uri,
    DateValue: Compiler.date,
    NumberValue: Compiler.number,
    QuantityValue: Compiler.quantity,
}


def _shape(prefix: Prefix) -> Shape:
    return "scan" if prefix == "ne" else "range"


def _any(probes: list[str]) -> str:
    return f"({' OR '.join(f'({probe})' for probe in probes)})" if probes else "0"


def _refuse_unless(criterion: Criterion, *known: str) -> None:
    if criterion.modifier not in known:
        raise HubError(f"{criterion.code}:{criterion.modifier} is not supported", kind=Kind.NOT_SUPPORTED)
