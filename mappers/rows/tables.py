"""Declared tables: which column of a view becomes which FHIR element, as a hospital's engineer writes it in TOML.

    [v_patient]                                   # a view; its rows come as kind "row/v_patient"
    ignore = ["changed_at"]                       # columns that are known and mean nothing to FHIR

    [[v_patient.make]]                            # one block for each resource a row becomes
    resource = "Patient"
    mode = "patch"
    key = ["patient_id"]                          # the columns that name it
    elements = [
      { to = "name[0].text", column = "name" },
      { to = "birthDate", column = ["birth", "birthday"], as = "date" },
      { to = "gender", column = "sex", as = "code", map = "gender" },
    ]

    [map.gender]                                  # a named code map
    "1" = "male"

    [ms_brda]                                     # a view of another product: the same table, other column names
    like = "v_patient"
    rename = { brid = "patient_id", brxm = "name" }

The first rule that gives a value sets an element; `[+]` adds to a list. What each `as` does stands in `convert.CONVERSIONS`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from mappers.rows.convert import CONVERSIONS

PATH = re.compile(r"[a-z][A-Za-z]*(\[(\d{1,2}|\+)\])?(\.[a-z][A-Za-z]*(\[(\d{1,2}|\+)\])?)*")


class BadTable(Exception):
    """A declared table that cannot be used; the text names file, table and key."""


def _path(text: str) -> str:
    if not PATH.fullmatch(text):
        raise ValueError("not an element path: write name[0].text or identifier[+]")
    return text


def _lower(value: Any) -> Any:
    names = [value] if isinstance(value, str) else value
    return tuple(n.lower() for n in names) if isinstance(names, (list, tuple)) and all(isinstance(n, str) for n in names) else value


Columns = Annotated[tuple[str, ...], BeforeValidator(_lower)]


class Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class When(Declared):
    """A condition on one column; all that is stated must hold."""

    column: Columns = Field(min_length=1)
    in_: tuple[str, ...] | None = Field(default=None, alias="in")
    not_in: tuple[str, ...] | None = None
    filled: bool | None = None


class Element(Declared):
    to: Annotated[str, AfterValidator(_path)]
    column: Columns = ()  # several: the first that holds something
    columns: Columns = ()  # for `join`: all of them in order
    as_: str = Field(default="text", alias="as")
    fixed: Any = None
    map: str = ""
    default: str = ""  # for `code` and `coding`: what an empty column means; never what an unknown code means
    when: When | None = None
    system: str = ""  # a URI, or a name of ours: local:item
    text: Columns = ()  # for `concept`: the column with the source's own words
    names: str = ""  # for `coded`: a map from code to words
    unit: Columns = ()  # for `quantity`
    unit_text: str = ""  # a unit that the view does not state
    type: str = ""  # for `reference`: the resource type; for `identifier`: a code of table v2-0203
    suffix: str = ""  # for `reference`: the word that ends the other's key
    use: str = ""
    url: str = ""  # for `extension`
    separator: str = " "

    @model_validator(mode="after")
    def whole(self) -> Element:
        conversion = CONVERSIONS.get(self.as_)
        if conversion is None:
            raise ValueError(f"as = {self.as_!r} is none of {', '.join(sorted(CONVERSIONS))}")
        if self.fixed is None and not (self.column or self.columns or self.text or self.default or self.as_ == "facility"):
            raise ValueError("state a column or a fixed value")
        missing = [name for name in conversion.needs if not getattr(self, name)]
        if missing and self.fixed is None:
            raise ValueError(f"as = {self.as_!r} needs {' and '.join(missing)}")
        return self

    @property
    def reads(self) -> tuple[str, ...]:
        condition = self.when.column if self.when else ()
        return (*self.column, *self.columns, *self.text, *self.unit, *condition)


class Make(Declared):
    resource: str = Field(pattern=r"^[A-Z][A-Za-z]+$")
    mode: Literal["replace", "patch", "fill", "union"] = "replace"
    key: tuple[Columns, ...] = Field(min_length=1)  # each may name alternatives: [["item_no", "seq"]]
    suffix: str = ""  # a word that ends the key: two resources of one type may come from one row
    when: When | None = None
    optional: bool = False  # a row without its key is nothing to mention
    needs: tuple[str, ...] = ()  # elements without which nothing is made of the row
    elements: tuple[Element, ...] = Field(min_length=1)
    deleted: Mapping[str, Any] = Field(default_factory=dict)  # elements that a row flagged as deleted states; "" takes one away


class RowTable(Declared):
    make: tuple[Make, ...] = Field(min_length=1)
    ignore: Columns = ()
    facility: Columns = ()  # the column that names the facility where the channel speaks for many
    rename: Mapping[str, str] = Field(default_factory=dict)

    @cached_property
    def reads(self) -> frozenset[str]:
        names = {name for make in self.make for key in make.key for name in key}
        for make in self.make:
            names |= {name for element in make.elements for name in element.reads}
            names |= set(make.when.column) if make.when else set()
        return frozenset(names | set(self.facility))


class Tables(Declared):
    """Everything that is declared: tables by name, and the code maps they share."""

    tables: Mapping[str, RowTable]
    maps: Mapping[str, Mapping[str, str]]


def read_tables(values: Mapping[str, Any], *, over: Mapping[str, Any] | None = None, name: str = "tables") -> Tables:
    """Check declarations; `values` go over those of `over`: tables by name, maps code by code. Raise BadTable."""
    base = dict(over or {})
    maps = {key: dict(codes) for key, codes in base.pop("map", {}).items()}
    for key, codes in dict(values.get("map", {})).items():
        if not isinstance(codes, Mapping) or not all(isinstance(v, str) for v in codes.values()):
            raise BadTable(f"{name}: map.{key}: a code map holds code = code lines")
        maps[key] = {**maps.get(key, {}), **codes}
    base.update({key: value for key, value in values.items() if key != "map"})
    tables = {key.lower(): _table(name, key, base) for key in base}
    for key, table in tables.items():
        for make in table.make:
            for number, element in enumerate(make.elements):
                if element.map and element.map not in maps:
                    raise BadTable(f"{name}: {key}.make {make.resource}, elements[{number}] ({element.to}): no map.{element.map}")
    return Tables(tables=tables, maps=maps)


def _table(name: str, key: str, declared: Mapping[str, Any]) -> RowTable:
    value = declared[key]
    if not isinstance(value, Mapping):
        raise BadTable(f"{name}: {key}: not a table")
    value = dict(value)
    if like := value.pop("like", ""):
        model = declared.get(like)
        if not isinstance(model, Mapping) or "like" in model:
            raise BadTable(f"{name}: {key}.like: no table {like} to take after")
        rename = {own.lower(): ours.lower() for own, ours in dict(value.get("rename", {})).items()}
        extra = value.pop("elements", [])
        make = [dict(block) for block in model.get("make", [])]
        if make and extra:  # its own elements come first, so that they win
            make[0]["elements"] = [*extra, *make[0]["elements"]]
        value = {**model, **{"make": make}, **value, "rename": rename}
    try:
        return RowTable.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        raise BadTable(f"{name}: {key}{where}: {first['msg']}") from None


def load_tables(path: Path) -> dict[str, Any]:
    """A TOML file of declared tables, checked, as plain values for `MappingContext.tables`. Raise BadTable."""
    try:
        values = tomllib.loads(path.read_text("utf-8"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:  # the decoder's text names line and column
        raise BadTable(f"{path}: {error}") from None
    read_tables(values, over=standard_tables(), name=str(path))
    return values


@lru_cache(maxsize=1)
def standard_tables() -> Mapping[str, Any]:
    """The views we ask every HIS for."""
    text = files("mappers.rows").joinpath("tables", "his_standard.toml").read_text("utf-8")
    return tomllib.loads(text, parse_float=Decimal)


@lru_cache(maxsize=1)
def _standard() -> Tables:
    return read_tables({}, over=standard_tables())


_read: dict[int, tuple[Mapping[str, Any], Tables]] = {}  # a channel's context lives as long as its process


def tables_of(declared: Mapping[str, Any]) -> Tables:
    """The standard tables with a context's own over them, read once for each context."""
    if not declared:
        return _standard()
    kept = _read.get(id(declared))
    if kept is None or kept[0] is not declared:
        if len(_read) > 256:
            _read.clear()
        kept = (declared, read_tables(declared, over=standard_tables()))
        _read[id(declared)] = kept
    return kept[1]
