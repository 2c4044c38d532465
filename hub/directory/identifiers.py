"""Which numbers the directory knows, as data: identifiers.toml, or a county's own file of the same shape."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from hub.directory.numbers import CHECKS, folded
from hub.errors import Invalid


class Problem(NamedTuple):
    error: bool  # False: it is kept, but somebody should look
    said: str


class Number(BaseModel):
    """One kind of number."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    of: Literal["Organization", "Practitioner"]
    title: str
    title_en: str
    system: str
    pattern: str = ""
    check: Literal["", "uscc", "organization-code", "ws218"] = ""
    likely: bool = False  # no published standard vouches for the pattern

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        re.compile(pattern)
        return pattern

    @cached_property
    def _shape(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    def problem(self, stated: str) -> Problem | None:
        """`stated` as `folded` leaves it."""
        if self.pattern and self._shape.fullmatch(stated) is None:
            return Problem(not self.likely, f"{self.title_en} {self.title}: it has not the shape {self.pattern}")
        said = CHECKS[self.check](stated)
        return Problem(True, f"{self.title_en} {self.title}: {said}") if said else None


@lru_cache(maxsize=8)
def known_numbers(path: str = "") -> Mapping[str, Number]:
    """By name. Raise Invalid for a county's file that is none."""
    text = (files("hub.directory") / "identifiers.toml").read_text("utf-8")
    try:
        if path:
            text = Path(path).read_text("utf-8")
        numbers = [Number.model_validate(each) for each in tomllib.loads(text)["identifier"]]
    except OSError as error:
        raise Invalid(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    except (KeyError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path}: no [[identifier]] can be read ({type(error).__name__})") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise Invalid(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return {number.name: number for number in numbers}


def wrong_numbers(resource: Mapping[str, Any], numbers: Mapping[str, Number]) -> list[tuple[int, Problem]]:
    """Which of its identifiers, by place, are not what they say."""
    by_system = {number.system: number for number in numbers.values() if number.of == resource.get("resourceType")}
    found = []
    for place, identifier in enumerate(resource.get("identifier") or ()):
        number = by_system.get(str(identifier.get("system")))
        if number is not None and (problem := number.problem(folded(str(identifier.get("value", ""))))) is not None:
            found.append((place, problem))
    return found
