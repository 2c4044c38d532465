"""One criterion of a query, as the index tables and the columns of `resource` answer it."""

# ruff: noqa: S608 - every text joined into SQL here is our own; values are bound
from __future__ import annotations

from dataclasses import dataclass

import apsw

from hub.search.folding import fold_code
from hub.search.query import Criterion, CriterionValue, DateValue, ParameterType, TokenValue
from hub.store.sqlite import values
from hub.store.sqlite.conditions import MOST_SOURCES, NOTHING, Condition, Source, either
from hub.store.sqlite.frame import Frame
from hub.store.sqlite.names import facts_of
from hub.store.sqlite.people import scope_condition

RANK: dict[ParameterType, int] = {"reference": 1, "token": 2, "uri": 2, "string": 3, "composite": 4}
REACHED_BY_RID = frozenset({"string", "date", "number", "quantity"})
SEEKS = 64  # to look for more codes of one resource than this, one by one, costs more than to read it


@dataclass(frozen=True, slots=True)
class Row:
    """A row of `resource` that conditions speak of: of which type, and under what name in SQL."""

    frame: Frame
    type: str
    number: int  # of the type; -1: nothing is of that type
    name: str

    @classmethod
    def of(cls, frame: Frame, resource_type: str) -> Row:
        frame.hops += 1
        return cls(frame, resource_type, frame.word(resource_type), f"r{frame.hops}" if frame.hops > 1 else "r")

    @property
    def body(self) -> str:
        return f"(SELECT body FROM body WHERE rid = {self.name}.rid)"

    def parameter(self, code: str) -> int | None:
        return self.frame.names.parameter(self.frame.connection, self.type, code)

    def present(self, number: int) -> str:
        return f"instr({self.name}.present, {self.frame.bind(f',{number},')}) > 0"

    def limits(self) -> list[str]:
        """What holds of every row that this reader is told of; "0" among them: there is none."""
        if self.number < 0:
            return ["0"]
        conditions = (scope_condition(self.frame.scope, self.type, row=self.name), self._hidden())
        return [text for text in conditions if text != "1"]

    def _hidden(self) -> str:
        tags = tuple(TokenValue(system, fold_code(code)) for system, code in self.frame.hidden_tags)
        if not tags or self.parameter("_tag") is None:
            return "1"
        return self.criterion(Criterion("_tag", "token", tags, modifier="not")).probe

    def criterion(self, asked: Criterion) -> Condition:
        """Raise HubError for a modifier that this store does not know."""
        if asked.missing is not None:
            return self._missing(asked)
        if asked.code == "_id":
            found = self._ids(asked)
        elif asked.code == "_lastUpdated":
            found = self._updated(asked)
        else:
            found = self._indexed(asked)
        return Condition(f"NOT ({found.probe})", code=asked.code) if asked.modifier == "not" else found

    def _missing(self, asked: Criterion) -> Condition:
        if asked.code in ("_id", "_lastUpdated"):
            return NOTHING if asked.missing else Condition("1")
        number = self.parameter(asked.code)
        is_there = "0" if number is None else self.present(number)
        return Condition(f"NOT ({is_there})" if asked.missing else is_there, code=asked.code)

    def of_type(self) -> str:
        return f"{{t}}type = {self.frame.bind(self.number)} AND {{t}}deleted = 0"

    def _ids(self, asked: Criterion) -> Condition:
        return self.by_ids([value.code or "" for value in asked.values if isinstance(value, TokenValue)])

    def by_ids(self, ids: list[str]) -> Condition:
        listed = f"id {self.frame.among(ids)}"
        source = Source("resource", f"{self.of_type()} AND {{t}}{listed}")
        return Condition(f"{self.name}.{listed}", (source,), rank=0, code="_id")

    def _updated(self, asked: Criterion) -> Condition:
        """An instant is an interval of one millisecond."""
        wheres = []
        for value in asked.values:
            if isinstance(value, DateValue):
                text = values.DATE_CONDITIONS[value.prefix]
                text = text.replace("{t}high", "({t}updated + 1)").replace("{t}low", "{t}updated")
                wheres.append(values.interval(self.frame, text, value))
        of_type = self.of_type()
        sources = tuple(Source("resource", f"{of_type} AND {where}") for where in wheres if len(wheres) <= MOST_SOURCES)
        return Condition(either([where.format(t=f"{self.name}.") for where in wheres]), sources, code="_lastUpdated")

    # -- criteria answered by an index table
    def _indexed(self, asked: Criterion) -> Condition:
        number = self.parameter(asked.code)
        if number is None:
            return NOTHING
        grouped, left = values.together(self.frame, asked)
        singles = [(values.compiled(self.frame, asked, value), self._floor(number, value)) for value in left]
        param = f"{{t}}param = {self.frame.bind(number)}"
        sources = [
            Source(table, f"{param} AND {where}", shape, floor)
            for (table, where, shape), floor in [*((each, "") for each in grouped), *singles]
        ]
        if not sources:
            return NOTHING
        leading = tuple(sources) if len(sources) <= MOST_SOURCES else ()
        rank = RANK.get(asked.type, 5)
        if asked.type == "token" and len(asked.values) > SEEKS:
            return Condition(self._has_token(asked), leading, rank=rank, code=asked.code)
        probe = either([self._probe(source) for source in sources])
        scanned = asked.type == "token" and any(source.shape == "scan" for source in sources)
        when_few = self._has_token(asked) if scanned else ""
        return Condition(probe, leading, rank=rank, code=asked.code, when_few=when_few)

    def _probe(self, source: Source) -> str:
        if source.table in REACHED_BY_RID or (source.table == "reference" and source.shape != "keyed"):
            return source.by_rid(self.name)
        if source.shape == "scan" or (source.table == "uri" and source.shape == "range"):
            return f"{self.name}.rid IN ({source.select()})"
        where = source.where.format(t="")
        return f"EXISTS (SELECT 1 FROM {source.table} WHERE {where} AND rid = {self.name}.rid)"

    def _has_token(self, asked: Criterion) -> str:
        """By the tokens of the resource itself."""
        wanted = frozenset((value.code, value.system) for value in asked.values if isinstance(value, TokenValue))
        bound = self.frame.bind(asked.code), self.frame.bind(apsw.pyobject(wanted))
        return f"has_token({self.body}, {bound[0]}, {bound[1]})"

    def _floor(self, number: int, value: CriterionValue) -> str:
        """What ends behind a point begins at most the longest interval before it."""
        if not isinstance(value, DateValue) or value.prefix not in values.ENDS_BEHIND:
            return ""
        end = value.high if value.prefix == "gt" else value.low
        return f"{{t}}low > {self.frame.bind(end - facts_of(self.frame.connection, number).widest)}"
