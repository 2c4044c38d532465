"""Which tables are known by their columns: profiles/cn/table_kinds.toml, and the county's own beside county.toml."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from hub.errors import Invalid
from profiles.catalogue import SHIPPED

FILE = "table_kinds.toml"
LEVELS = ("level1", "level2", "level3", "level4")
NAMES = ("en", "synonym")
_EDITION = re.compile(r"v?\d\.\d{1,2}版?")
_ASIDE = re.compile(r"\(.*?\)|\[.*?\]|[\s*_:/.\-]")


class Kind(BaseModel):
    """A table's columns by their spellings; see the head of table_kinds.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    title: str
    title_en: str
    system: str
    edition: str = ""
    publisher: str = ""
    hints: tuple[str, ...] = ()
    code: str
    fold: Literal["", "upper", "upper-x"] = ""
    parents: Literal["", "prefix"] = ""
    to: str = ""  # of a map
    to_edition: str = ""
    columns: Mapping[str, tuple[str, ...]] = Field(min_length=2)

    @field_validator("code")
    @classmethod
    def _compiles(cls, code: str) -> str:
        re.compile(code)
        return code

    @property
    def maps(self) -> bool:
        return bool(self.to)

    @property
    def needed(self) -> tuple[str, ...]:
        return ("source", "target") if self.maps else ("code", "display")

    @cached_property
    def spellings(self) -> Mapping[str, tuple[str, ...]]:
        return {role: tuple(map(bare, spelled)) for role, spelled in self.columns.items()}

    @cached_property
    def properties(self) -> tuple[str, ...]:
        names = {*LEVELS, *(f"{level}-name" for level in LEVELS), *NAMES, *self.needed, "source-name", "target-name"}
        return tuple(role for role in self.columns if role not in names)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self.code, re.ASCII)

    def mended(self, code: str) -> str:
        """As the table spells it: ｉ１０．Ｘ００ → I10.x00. An X in front is a chapter of ICD-10, any other one is filler."""
        code = unicodedata.normalize("NFKC", code).replace(" ", "").strip("'")
        if self.fold:
            code = code.upper()
        return code[:1] + code[1:].replace("X", "x") if self.fold == "upper-x" else code

    def fits(self, code: str) -> bool:
        return len(code) <= 100 and self._pattern.fullmatch(code) is not None


def bare(name: str) -> str:
    """A column's name without what writers do differently: 'ICD-10 编码(必填)' → icd10编码, '医保2.0版编码' → 医保编码."""
    return _ASIDE.sub("", _EDITION.sub("", unicodedata.normalize("NFKC", name).lower()))


def table_kinds(beside: Path | None = None) -> dict[str, Kind]:
    """By name, in the order in which they are tried. Raise Invalid naming the file and the place."""
    found: dict[str, Kind] = {}
    for path in (SHIPPED / FILE, *((beside / FILE,) if beside is not None else ())):
        if path.is_file():
            found |= _read(path)
    return found


def _read(path: Path) -> dict[str, Kind]:
    try:
        stated = tomllib.loads(path.read_text("utf-8"))
        return {name: Kind(name=name, **values) for name, values in stated.items()}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError, re.error) as error:
        raise Invalid(f"{path}: {error}") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise Invalid(f"{path}: {'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}") from None
