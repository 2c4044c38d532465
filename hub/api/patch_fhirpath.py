"""FHIRPath Patch: Parameters of operations (add, insert, delete, replace, move) → the patched resource.

https://hl7.org/fhir/R4/fhirpatch.html
The resource given is changed in place: it was parsed for this patch alone, so that numbers keep their spelling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

from hub.api.patch_json import MAX_OPERATIONS, CannotPatch
from hub.api.patch_path import Path, Place, path_of, type_of
from hub.errors import HubError, Invalid, Kind
from profiles.structures import Member, members

Json = Any
Part = dict[str, Json]


class Value(NamedTuple):
    """What an operation brings: of a choice of types its type counts; a primitive may have a companion with its extensions."""

    suffix: str = ""  # Quantity, of valueQuantity; "" for an anonymous type
    content: Json = None
    companion: Json = None
    parts: tuple[Part, ...] = ()  # of an anonymous type


NOTHING = Value()


@dataclass(frozen=True, slots=True)
class Operation:
    number: int
    type: str
    path: Path
    name: str = ""
    index: int = 0
    source: int = 0
    destination: int = 0
    value: Value = NOTHING

    def failed(self, why: str) -> CannotPatch:
        return CannotPatch(f"operation {self.number} ({self.type}): {why}", expression=(f"Parameters.parameter[{self.number}]",))


# -- reading the Parameters

_NEEDS: dict[str, tuple[str, ...]] = {
    "add": ("path", "name", "value"),
    "insert": ("path", "index", "value"),
    "delete": ("path",),
    "replace": ("path", "value"),
    "move": ("path", "source", "destination"),
}


def operations_of(parameters: dict[str, Json]) -> tuple[Operation, ...]:
    """Raise Invalid for what is no FHIRPath Patch; the Parameters are well-formed as a resource."""
    listed = parameters.get("parameter", [])
    if len(listed) > MAX_OPERATIONS:
        raise HubError(f"more than {MAX_OPERATIONS} operations", kind=Kind.TOO_LONG)
    return tuple(_operation(number, parameter) for number, parameter in enumerate(listed))


def _operation(number: int, parameter: Part) -> Operation:
    where = f"Parameters.parameter[{number}]"
    if parameter.get("name") != "operation":
        raise Invalid(f"parameter {number}: every parameter of a FHIRPath Patch is an operation", expression=(f"{where}.name",))
    parts = {part["name"]: part for part in parameter.get("part", [])}
    kind = _plain(parts.get("type"))
    if kind not in _NEEDS:
        raise Invalid(f"operation {number}: type is one of {', '.join(_NEEDS)}", expression=(where,))
    missing = [name for name in _NEEDS[kind] if name not in parts]
    if missing:
        raise Invalid(f"operation {number}: {kind} needs {missing[0]}", expression=(where,))
    path = _plain(parts["path"])
    if not isinstance(path, str):
        raise Invalid(f"operation {number}: path is a string", expression=(where,))
    try:
        read = path_of(path)
    except Invalid as error:
        raise Invalid(f"operation {number}: {error.message}", expression=(where,)) from None
    numbers = {name: _number(parts[name], number, where) for name in ("index", "source", "destination") if name in _NEEDS[kind]}
    value = _value(parts["value"]) if "value" in _NEEDS[kind] else NOTHING
    return Operation(number, kind, read, str(_plain(parts.get("name")) or ""), value=value, **numbers)


def _plain(part: Part | None) -> Json:
    return next((value for name, value in (part or {}).items() if name.startswith("value")), None)


def _number(part: Part, number: int, where: str) -> int:
    value = _plain(part)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Invalid(f"operation {number}: {part['name']} is an integer that is not negative", expression=(where,))
    return value


def _value(part: Part) -> Value:
    if "part" in part:
        return Value(parts=tuple(part["part"]))
    if "resource" in part:
        return Value("Resource", part["resource"])
    suffix = next((name.lstrip("_")[5:] for name in part if name.lstrip("_").startswith("value")), "")
    return Value(suffix, part.get(f"value{suffix}"), part.get(f"_value{suffix}"))


# -- applying


def apply(resource: dict[str, Json], operations: Sequence[Operation]) -> dict[str, Json]:
    """The resource, changed; what a deletion left empty is gone, for FHIR knows nothing empty. Raise CannotPatch, BadPath."""
    for operation in operations:
        _APPLY[operation.type](resource, operation)
    _prune(resource)
    return resource


def _add(resource: dict[str, Json], operation: Operation) -> None:
    owner = _single(operation, operation.path.places(resource))
    member = _member(operation, owner, operation.name)
    if not member.many and any(_present(owner.value, found.name) for found in _choices(owner, operation.name)):
        raise operation.failed("the element is there already and does not repeat")
    _put(operation, owner.value, member, len(_list(owner.value, member.name)) if member.many else None)


def _insert(resource: dict[str, Json], operation: Operation) -> None:
    owner = _single(operation, operation.path.owners(resource))
    member = _member(operation, owner, operation.path.last)
    if not member.many:
        raise operation.failed("the element does not repeat")
    if operation.index > len(_list(owner.value, member.name)):
        raise operation.failed("the list has no such place")
    _put(operation, owner.value, member, operation.index)


def _put(operation: Operation, owner: dict[str, Json], member: Member, at: int | None) -> None:
    """A new value: alone (`at` None) or at its place in a list."""
    content, companion = _built(operation, member)
    count = len(_list(owner, member.name))
    for name, new in ((member.name, content), (f"_{member.name}", companion)):
        if at is None:
            if new is not None:
                owner[name] = new
        elif name in owner or new is not None:
            owner[name] = _aligned(owner.get(name), count)
            owner[name].insert(at, new)


def _delete(resource: dict[str, Json], operation: Operation) -> None:
    places = operation.path.places(resource)
    if not places:
        return  # nothing to delete is no error
    place = _single(operation, places)
    if place.holder is None:
        raise operation.failed("a resource is deleted by DELETE")
    for name in (place.name, f"_{place.name}"):
        if place.at is None:
            place.holder.pop(name, None)
        elif name in place.holder:
            del place.holder[name][place.at]


def _replace(resource: dict[str, Json], operation: Operation) -> None:
    place = _single(operation, operation.path.places(resource))
    holder = place.holder
    if holder is None:
        raise operation.failed("a resource is replaced by PUT")
    member = _chosen(operation, place.owner, members(place.owner)[place.name].element)
    content, companion = _built(operation, member)
    if place.at is not None:
        count = len(_list(holder, place.name))
        for name, new in ((place.name, content), (f"_{place.name}", companion)):
            if name in holder or new is not None:
                holder[name] = _aligned(holder.get(name), count)
                holder[name][place.at] = new
        return
    kept = [(name, value) for name, value in holder.items() if name != f"_{place.name}" or place.name not in holder]
    holder.clear()
    for name, value in kept:  # the new value stands where the old one stood
        if name.removeprefix("_") != place.name:
            holder[name] = value
            continue
        holder.update({n: v for n, v in ((member.name, content), (f"_{member.name}", companion)) if v is not None})


def _move(resource: dict[str, Json], operation: Operation) -> None:
    owner = _single(operation, operation.path.owners(resource))
    member = _member(operation, owner, operation.path.last)
    if not member.many:
        raise operation.failed("the element does not repeat")
    count = len(_list(owner.value, member.name))
    if operation.source >= count or operation.destination >= count:
        raise operation.failed("the list has no such place")
    for name in (member.name, f"_{member.name}"):
        if name in owner.value:
            items = owner.value[name] = _aligned(owner.value[name], count)
            items.insert(operation.destination, items.pop(operation.source))


_APPLY: dict[str, Callable[[dict[str, Json], Operation], None]] = {
    "add": _add,
    "insert": _insert,
    "delete": _delete,
    "replace": _replace,
    "move": _move,
}


# -- what the types allow


def _single(operation: Operation, places: list[Place]) -> Place:
    if len(places) != 1:
        said = "several elements" if places else "no element"
        raise operation.failed(f"the path names {said}, not one")
    return places[0]


def _choices(owner: Place, element: str) -> list[Member]:
    return [m for m in members(type_of(owner)).values() if element in (m.element, m.name)]


def _member(operation: Operation, owner: Place, element: str) -> Member:
    if not isinstance(owner.value, dict):
        raise operation.failed("a primitive has no elements")
    return _chosen(operation, type_of(owner), element)


def _chosen(operation: Operation, owner: str, element: str) -> Member:
    """The member of this name; of a choice the one of the value's type."""
    found = [m for m in members(owner).values() if element in (m.element, m.name)]
    if not found:
        raise operation.failed("the type has no such element")
    if len(found) == 1:
        return found[0]
    for member in found:
        if member.name == f"{member.element}{operation.value.suffix}":
            return member
    raise operation.failed("the element does not take a value of this type")


def _built(operation: Operation, member: Member) -> tuple[Json, Json]:
    value = operation.value
    if not value.parts:
        return deepcopy(value.content), deepcopy(value.companion)
    return _assembled(operation, member.type, value.parts), None


def _assembled(operation: Operation, kind: str, parts: Sequence[Part]) -> dict[str, Json]:
    """An anonymous type from its parts; a name that returns is a list."""
    made: dict[str, Json] = {}
    for part in parts:
        inner = Operation(operation.number, operation.type, operation.path, value=_value(part))
        member = _chosen(inner, kind, part["name"])
        _put(inner, made, member, len(_list(made, member.name)) if member.many else None)
    return made


# -- plain JSON


def _present(owner: dict[str, Json], name: str) -> bool:
    return name in owner or f"_{name}" in owner


def _list(owner: dict[str, Json], name: str) -> list[Json]:
    return owner.get(name) or owner.get(f"_{name}") or []


def _aligned(items: list[Json] | None, count: int) -> list[Json]:
    """The values of a list, or their companions: as many as there are places. https://hl7.org/fhir/R4/json.html#primitive"""
    return [*(items or ()), *[None] * (count - len(items or ()))]


def _prune(value: Json) -> None:
    """Remove what is empty, from the inside out."""
    for key, inside in reversed(list(value.items() if isinstance(value, dict) else enumerate(value))):
        if isinstance(inside, dict | list):
            _prune(inside)
            if not inside or (isinstance(inside, list) and all(item is None for item in inside)):
                del value[key]
