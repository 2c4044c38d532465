"""What a connector may be told, read from its configuration model: name, kind of value, default and the reason beside it.

The explanation is the comment that stands beside the field in the model's own source, so there is one place to keep right.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from hub.errors import Invalid

_FIELD = re.compile(r"^    (\w+)\s*:")
_COMMENT = re.compile(r"\s#\s?(.*)$")


@dataclass(frozen=True, slots=True)
class Option:
    name: str
    kind: str  # text, number, yes/no, list, table
    required: bool
    default: str  # as TOML would write it; "" for none
    says: str
    secret: bool = False


def options_of(model: type[BaseModel]) -> tuple[Option, ...]:
    """In the order in which the model states them, the required first."""
    says = _comments(model)
    found = [_option(name, field, says.get(name, "")) for name, field in model.model_fields.items()]
    return tuple(sorted(found, key=lambda option: not option.required))


def _option(name: str, field: FieldInfo, says: str) -> Option:
    from hub.cli.toml import text_of

    default = "" if field.is_required() else field.get_default(call_default_factory=True)
    try:
        text = "" if default in ("", None) else text_of(default)
    except TypeError:
        text = str(default)
    return Option(name, _kind(field.annotation), field.is_required(), text, field.description or says, _secret(field.annotation))


_KINDS = (("bool", "yes/no"), ("int", "number"), ("float", "number"), ("tuple", "list"), ("list", "list"), ("dict", "table"))


def _kind(annotation: Any) -> str:
    text = str(annotation) if getattr(annotation, "__args__", None) else getattr(annotation, "__name__", str(annotation))
    text = text.removeprefix("typing.").lower()
    found = next((kind for name, kind in _KINDS if text.startswith(name)), "")
    if found:
        return found
    inner = [each for each in getattr(annotation, "__args__", ()) if each is not type(None)] or [annotation]
    return "table" if any(isinstance(each, type) and issubclass(each, BaseModel) for each in inner) else "text"


def _secret(annotation: Any) -> bool:
    return annotation is SecretStr or SecretStr in getattr(annotation, "__args__", ())


def _comments(model: type[BaseModel]) -> dict[str, str]:
    """Field → the comment on its line or on the line before."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not issubclass(base, BaseModel) or base is BaseModel:
            continue
        before = ""
        for line in inspect.getsource(base).splitlines():
            field, comment = _FIELD.match(line), _COMMENT.search(line)
            if field and (comment or before):
                found[field[1]] = comment[1] if comment else before
            before = line.strip()[2:] if line.strip().startswith("# ") else ""
    return found


def stated(options: Iterable[str]) -> dict[str, Any]:
    """`--option key=value` → values; a dot makes a table, a value is TOML where it can be. Raise Invalid."""
    found: dict[str, Any] = {}
    for text in options:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise Invalid(f"--option {text[:60]}: write NAME=VALUE")
        _put(found, name.strip().split("."), value_of(value.strip()), name)
    return found


def value_of(text: str) -> Any:
    """As TOML reads it; what TOML cannot read is the text itself: no quotes needed for a host's name."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text


def _put(values: dict[str, Any], path: list[str], value: Any, name: str) -> None:
    for step in path[:-1]:
        inner = values.setdefault(step, {})
        if not isinstance(inner, dict):
            raise Invalid(f"--option {name}: {step} has a value of its own already")
        values = inner
    values[path[-1]] = value


def hidden(values: Mapping[str, Any], options: Iterable[Option]) -> dict[str, Any]:
    """For a screen: what is secret is not shown."""
    secrets = {option.name for option in options if option.secret}
    return {name: "••••" if name in secrets else value for name, value in values.items()}
