"""Arguments that choose from a list within a resource: `name(use: "official")`, `telecom(fhirpath: "…")`, `line(_count: 2)`.

https://hl7.org/fhir/R4/graphql.html#list
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from hub.errors import Invalid
from profiles.fhirpath import CannotCompile, CannotEvaluate, Env
from profiles.fhirpath.outside import compile_outside

MAX_PATH = 500


class Typed(Protocol):
    @property
    def type(self) -> str: ...

    @property
    def value(self) -> Any: ...

    @property
    def root(self) -> dict[str, Any]: ...


N = TypeVar("N", bound=Typed)


def kept(nodes: list[N], arguments: Mapping[str, Any], root: dict[str, Any]) -> list[N]:
    for name, wished in arguments.items():
        if name == "fhirpath":
            nodes = [node for node in nodes if _holds(str(wished), node, root)]
        elif not name.startswith("_"):
            nodes = [node for node in nodes if isinstance(node.value, dict) and _equal(node.value.get(name), wished)]
        elif name not in ("_count", "_offset"):
            raise Invalid("a list takes _count, _offset, fhirpath, or a field and its value")
    offset, count = (_number(arguments.get(name)) for name in ("_offset", "_count"))
    return nodes[offset or 0 :][:count]


def sliced(path: str, number: int, node: Typed) -> str:
    """@slice(path): what tells this value from the others; `$index` its place."""
    if path == "$index":
        return str(number)
    values = _evaluated(path, node, node.root, lambda found, env: found.values(node.value, env))
    return str(values[0]) if values and not isinstance(values[0], (dict, list)) else ""


def _holds(path: str, node: Typed, root: dict[str, Any]) -> bool:
    return _evaluated(path, node, root, lambda found, env: found.truth(node.value, env)) is True


def _evaluated(path: str, node: Typed, root: dict[str, Any], run: Any) -> Any:
    if len(path) > MAX_PATH:
        raise Invalid(f"a FHIRPath has at most {MAX_PATH} characters here")
    try:
        return run(compile_outside(path, node.type), Env(root, root))
    except (CannotCompile, CannotEvaluate, RecursionError):
        raise Invalid("this FHIRPath cannot be followed here") from None


def _equal(stated: Any, wished: Any) -> bool:
    values = stated if isinstance(stated, list) else [stated]
    if isinstance(wished, bool):
        return wished in [value for value in values if isinstance(value, bool)]
    return str(wished) in [str(value) for value in values if value is not None and not isinstance(value, bool)]


def _number(stated: Any) -> int | None:
    if stated is not None and (isinstance(stated, bool) or not isinstance(stated, int) or stated < 0):
        raise Invalid("_count and _offset are numbers that are not negative")
    return stated
