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
`[[example]]` blocks beside the tables are their tests: `examples.run_table_tests`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from mappers.datatypes import zone_of
from mappers.rows.convert import CONVERSIONS
from mappers.rows.each import each_one
from mappers.rows.places import line_of

DEEPEST = 5  # tables that take after one another
BESIDE = ("map", "example")  # what stands in a file beside its tables
PATH = re.compile(r"[a-z][A-Za-z]*(\[(\d{1,2}|\+)\])?(\.[a-z][A-Za-z]*(\[(\d{1,2}|\+)\])?)*")


class BadTable(Exception):
    """A declared table that cannot be used; the text names file, table and key, and the line where that is known."""

    def __init__(self, text: str, table: str = "", place: Sequence[int | str] = ()) -> None:
        super().__init__(text)
        self.table = table
        self.place = tuple(place)  # as pydantic tells it: make, 0, elements, 3, column


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


def _zone(text: str) -> str:
    if text:
        zone_of(text)
    return text


class When(Declared):
    """A condition on one column; all that is stated must hold."""

    column: Columns = Field(min_length=1)
    in_: tuple[str, ...] | None = Field(default=None, alias="in")
    not_in: tuple[str, ...] | None = None
    filled: bool | None = None


def _conditions(value: Any) -> Any:
    return (value,) if isinstance(value, (Mapping, When)) else value


Conditions = Annotated[tuple[When, ...], BeforeValidator(_conditions)]  # one, or a list of which all must hold


class Element(Declared):
    to: Annotated[str, AfterValidator(_path)]
    column: Columns = ()  # several: the first that holds something; "a+b": both together
    columns: Columns = ()  # all of them in order, joined with `separator`: a day and a time of day make one `datetime`
    as_: str = Field(default="text", alias="as")
    fixed: Any = None
    map: str = ""
    default: str = ""  # for `code` and `coding`: what an empty column means; never what an unknown code means
    when: Conditions = ()
    split: str = ""  # characters that part several values in one cell: "," for 1,3,7; `to` then ends in [+]
    zone: Annotated[str, AfterValidator(_zone)] = ""  # of a time that states none, where it is not the channel's
    label: str = ""  # for `answer`: the question as the form prints it
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
        return (*self.column, *self.columns, *self.text, *self.unit, *(name for when in self.when for name in when.column))


class Make(Declared):
    resource: str = Field(pattern=r"^[A-Z][A-Za-z]+$")
    mode: Literal["replace", "patch", "fill", "union"] = "replace"
    key: tuple[Columns, ...] = Field(min_length=1)  # each may name alternatives: [["item_no", "seq"]]
    suffix: str = ""  # a word that ends the key: two resources of one type may come from one row
    when: Conditions = ()
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
            names |= {name for when in make.when for name in when.column}
        return frozenset(part for name in names | set(self.facility) for part in name.split("+"))


class Tables(Declared):
    """Everything that is declared: tables by name, and the code maps they share."""

    tables: Mapping[str, RowTable]
    maps: Mapping[str, Mapping[str, str]]


def read_tables(values: Mapping[str, Any], *, over: Mapping[str, Any] | None = None, name: str = "tables") -> Tables:
    """Check declarations; `values` go over those of `over`: tables by name, maps code by code. Raise BadTable."""
    base = {key: value for key, value in (over or {}).items() if key != "example"}
    maps = {key: dict(codes) for key, codes in base.pop("map", {}).items()}
    for key, codes in dict(values.get("map", {})).items():
        if not isinstance(codes, Mapping) or not all(isinstance(v, str) for v in codes.values()):
            raise BadTable(f"{name}: map.{key}: a code map holds code = code lines")
        maps[key] = {**maps.get(key, {}), **codes}
    base.update({key: value for key, value in values.items() if key not in BESIDE})
    tables = {key.lower(): _table(name, key, base) for key in base}
    for key, table in tables.items():
        for make in table.make:
            for number, element in enumerate(make.elements):
                for wanted in (element.map, element.names):
                    if wanted and wanted not in maps:
                        raise BadTable(
                            f"{name}: {key}.make {make.resource}, elements[{number}] ({element.to}): no map.{wanted};"
                            f" write [map.{wanted}] with its code = code lines"
                        )
    return Tables(tables=tables, maps=maps)


def _table(name: str, key: str, declared: Mapping[str, Any]) -> RowTable:
    value = _borrowed(name, key, declared)
    try:
        if isinstance(value.get("make"), (list, tuple)):
            value["make"] = [one for block in value["make"] for one in each_one(block)]
        return RowTable.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        raise BadTable(f"{name}: {key}{where}: {_mend(first)}", key, first["loc"]) from None
    except ValueError as error:
        raise BadTable(f"{name}: {key}.make: {error}", key) from None


def _borrowed(name: str, key: str, declared: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """A table as declared; one that says `like` takes everything from the other that it does not say itself."""
    value = declared[key]
    if not isinstance(value, Mapping):
        raise BadTable(f"{name}: {key}: not a table", key)
    value = dict(value)
    like = value.pop("like", "")
    if not like:
        return value
    if like not in declared or depth > DEEPEST:
        raise BadTable(f"{name}: {key}.like: no table {like} to take after; there are {', '.join(sorted(declared))}", key)
    model = _borrowed(name, like, declared, depth + 1)
    rename = {own.lower(): ours.lower() for own, ours in dict(value.get("rename", {})).items()}
    extra = value.pop("elements", [])
    make = [dict(block) for block in model.get("make", [])]
    if make and extra:  # its own elements come first, so that they win
        make[0]["elements"] = [*extra, *make[0]["elements"]]
    return {**model, "make": make, **value, "rename": {**model.get("rename", {}), **rename}}


def _mend(error: ErrorDetails) -> str:
    """What is wrong, and the names there are where one is not known."""
    if error["type"] != "extra_forbidden":
        return error["msg"].removeprefix("Value error, ")
    declared: dict[str, type[Declared]] = {"elements": Element, "when": When, "make": Make}
    owner = next((declared[part] for part in reversed(error["loc"][:-1]) if isinstance(part, str) and part in declared), RowTable)
    names = (field.alias or name for name, field in owner.model_fields.items())
    return f"no such key; there are {', '.join(names)}"


def load_tables(path: Path) -> dict[str, Any]:
    """A TOML file of declared tables, checked, as plain values for `MappingContext.tables`. Raise BadTable."""
    try:
        text = path.read_text("utf-8-sig")  # Notepad begins a UTF-8 file with a mark of its own
        values = tomllib.loads(text, parse_float=Decimal)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:  # the decoder's text names line and column
        hint = '; a name with other letters than A-Z stands in quotes: "姓名" = …' if "key part" in str(error) else ""
        raise BadTable(f"{path}: {error}{hint}") from None
    try:
        read_tables(values, over=standard_tables(), name=str(path))
    except BadTable as error:
        line = line_of(text, error.table, error.place)
        raise BadTable(f"{path}, line {line}: {str(error).removeprefix(f'{path}: ')}" if line else str(error)) from None
    return values


def merged_tables(files: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several files of one channel as one: tables by name, code maps code by code, the later file over the earlier."""
    merged: dict[str, Any] = {}
    for values in files:
        maps = {name: {**merged.get("map", {}).get(name, {}), **codes} for name, codes in values.get("map", {}).items()}
        own = {name: value for name, value in values.items() if name not in BESIDE}
        merged = {**merged, **own, "map": {**merged.get("map", {}), **maps}}
    return merged


@lru_cache(maxsize=1)
def standard_tables() -> Mapping[str, Any]:
    """The views we ask every HIS for: all files of the folder `tables`."""
    folder = files("mappers.rows").joinpath("tables")
    found = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)
    return merged_tables([tomllib.loads(file.read_text("utf-8"), parse_float=Decimal) for file in found])


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
