"""Walks a query over the JSON of resources: fields, filters of lists, references, lists of what refers here, and directives.

https://hl7.org/fhir/R4/graphql.html
No schema is built: the table of R4's types says which fields there are, and the walk goes only where the query does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hub.errors import HubError, Invalid, NotFound
from hub.graphql.document import Asked, Document, Refused, only
from hub.graphql.filters import kept, sliced
from hub.graphql.limits import Spent
from hub.graphql.resources import Found, Resource, Source
from hub.store.port import Key
from profiles.structures import Member, base_of, members
from profiles.validation import known_type

ELEMENT = Member(name="", type="Element", order=0)
TEXT = Member(name="", type="string", order=0, primitive=True)
LIST, CONNECTION = "List", "Connection"


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its type; `root` is the resource in which it stands."""

    type: str
    value: Any
    root: Resource

    @property
    def kinds(self) -> frozenset[str]:
        """Its type and those that it extends: what a fragment may be on."""
        found, at = [self.type], self.type
        while at := base_of(at):
            found.append(at)
        return frozenset(found)


@dataclass(slots=True)
class Sink:
    """Where fields go. `suffix` and `repeats` come from an element that was flattened away."""

    fields: dict[str, Any]
    suffix: str = ""
    repeats: bool = False


class Executor:
    def __init__(self, document: Document, source: Source, spent: Spent) -> None:
        self._document = document
        self._source = source
        self._spent = spent

    def system(self) -> dict[str, Any]:
        """`{ Patient(id: …) {…} PatientList(…) {…} PatientConnection(…) {…} }`"""
        sink = Sink({})
        for asked in self._document.fields(self._document.selection, frozenset({"Query"})):
            with_place(asked, lambda asked=asked: self._root(sink, asked))
        return sink.fields

    def instance(self, resource: Resource) -> dict[str, Any]:
        """Fields of one resource."""
        sink = Sink({})
        self._fill(sink, self._document.selection, Node(resource["resourceType"], resource, resource), 1)
        return sink.fields

    def _root(self, sink: Sink, asked: Asked) -> None:
        if asked.name == "__typename":
            self._put(sink, asked, [Node("string", "Query", {})], TEXT, 1)
        elif known_type(asked.name):
            only(asked, "id")
            id = asked.arguments.get("id")
            if not isinstance(id, str) or not id:
                raise Invalid(f"{asked.name} is asked for by id; {asked.name}List searches")
            self._put(sink, asked, [_node(self._source.one(Key(asked.name, id)))], ELEMENT, 1)
        elif not self._searched(sink, asked, "", 1):
            raise Invalid("no such field: ask for Type(id:), TypeList or TypeConnection of a resource type of R4")

    def _fill(self, sink: Sink, selection: Any, node: Node, depth: int) -> None:
        for asked in self._document.fields(selection, node.kinds):
            self._spent.value(depth)
            with_place(asked, lambda asked=asked: self._field(sink, asked, node, depth))

    def _field(self, sink: Sink, asked: Asked, node: Node, depth: int) -> None:
        if asked.name == "__typename":
            self._put(sink, asked, [Node("string", node.type, node.root)], TEXT, depth)
            return
        if asked.name == "resourceType" and node.value.get("resourceType"):
            self._put(sink, asked, [Node("string", node.type, node.root)], TEXT, depth)
            return
        if asked.name == "resource" and node.type == "Reference":
            self._put(sink, asked, list(self._target(asked, node)), ELEMENT, depth)
            return
        member = _member(node.type, asked.name)
        if member is not None:
            if "fhirpath" in asked.arguments or asked.slice:
                self._spent.time()
            self._put(sink, asked, kept(self._values(member, asked, node), asked.arguments, node.root), member, depth)
            return
        owner = f"{node.type}/{node.value.get('id')}" if node.value is node.root else ""
        if not owner or not self._searched(sink, asked, owner, depth):
            raise Invalid(f"{node.type} has no such field")

    def _values(self, member: Member, asked: Asked, node: Node) -> list[Node]:
        value = node.value.get(asked.name)
        if value is None and member.element == asked.name:  # value, of a choice: whichever is there
            return [
                Node(each.type, node.value[name], node.root)
                for name, each in members(node.type).items()
                if each.element == asked.name and name in node.value
            ]
        found = value if isinstance(value, list) else [value]
        return [_typed(member.type, each, node.root) for each in found if each is not None]

    def _target(self, asked: Asked, node: Node) -> Iterator[Node]:
        """`resource(type: Patient, optional: true)`: what a reference leads to."""
        only(asked, "type", "optional")
        reference = node.value.get("reference")
        found: Resource | None = None
        if isinstance(reference, str) and reference.startswith("#"):
            contained = node.root.get("contained") or ()
            found = next((each for each in contained if each.get("id") == reference[1:]), None)
        elif isinstance(reference, str):
            found = self._source.referenced(reference)
        if found is None:
            if asked.arguments.get("optional") is True:
                return
            raise NotFound("a reference leads to nothing here: say resource(optional: true) to pass it over")
        wished = asked.arguments.get("type")
        if wished is None or found["resourceType"] == wished:
            yield _node(found)

    def _searched(self, sink: Sink, asked: Asked, owner: str, depth: int) -> bool:
        """Whether the field is a list or a connection of a resource type; then it is filled in."""
        for ending in (LIST, CONNECTION):
            type = asked.name.removesuffix(ending)
            if type == asked.name or not known_type(type):
                continue
            if ending == LIST:
                found = self._source.listed(type, asked.arguments, owner)
                many = Member(name=asked.name, type=type, order=0, many=True)
                self._put(sink, asked, [_node(resource) for resource in found.resources], many, depth)
            else:
                counted = asked.below is not None and any(
                    each.name == "count" for each in self._document.fields(asked.below, frozenset({asked.name}))
                )
                sink.fields[asked.shown] = self._connection(
                    asked, self._source.listed(type, asked.arguments, owner, total=counted), depth
                )
            return True
        return False

    def _connection(self, asked: Asked, found: Found, depth: int) -> dict[str, Any]:
        """One page of a search, with the cursors of the first and the next page."""
        if asked.below is None:
            raise Invalid(f"{asked.name} needs a selection of fields")
        plain = {"count": found.total, "pagesize": found.count, "first": found.first, "next": found.next}
        made: dict[str, Any] = {}
        for each in self._document.fields(asked.below, frozenset({asked.name})):
            if each.name in plain:
                made[each.shown] = plain[each.name]
            elif each.name == "__typename":
                made[each.shown] = asked.name
            elif each.name == "edges" and each.below is not None:
                made[each.shown] = [self._edge(each.below, resource, depth + 1) for resource in found.resources]
            else:
                raise Invalid("a connection has count, pagesize, first, next, and edges with mode and resource")
        return made

    def _edge(self, selection: Any, resource: Resource, depth: int) -> dict[str, Any]:
        sink = Sink({})
        for each in self._document.fields(selection, frozenset({"Edge"})):
            if each.name == "mode":
                sink.fields[each.shown] = "match"
            elif each.name == "resource":
                self._put(sink, each, [_node(resource)], ELEMENT, depth)
            else:
                raise Invalid("an edge has mode and resource")
        return sink.fields

    # -- what becomes of the values of a field

    def _put(self, sink: Sink, asked: Asked, found: list[Node], member: Member, depth: int) -> None:
        """https://hl7.org/fhir/R4/graphql.html#flattening"""
        _check_selection(asked, found, member)
        nodes = found[:1] if "first" in asked.flags else found
        repeats = member.many or sink.repeats
        for number, node in enumerate(nodes):
            self._spent.value(depth)
            suffix = sink.suffix + (f".{sliced(asked.slice, number, node)}" if asked.slice else "")
            if "flatten" in asked.flags and asked.below is not None:
                inner = Sink(sink.fields, suffix, repeats and not asked.slice)
                self._fill(inner, asked.below, node, depth + 1)
                continue
            value = node.value
            if asked.below is not None:
                below = Sink({})
                self._fill(below, asked.below, node, depth + 1)
                value = below.fields
            _add(sink.fields, asked, asked.shown + suffix, value, repeats=repeats and not asked.slice)


def _check_selection(asked: Asked, found: list[Node], member: Member) -> None:
    """An element needs a selection of its fields, a primitive value has none; of a choice what does not fit is passed over."""
    if asked.below is None and any(isinstance(node.value, dict) for node in found):
        raise Invalid(f"{asked.name} needs a selection of fields")
    if asked.below is not None and member.primitive:
        raise Invalid(f"{asked.name} is a value without fields")
    if asked.below is not None:
        found[:] = [node for node in found if isinstance(node.value, dict)]


def _add(fields: dict[str, Any], asked: Asked, name: str, value: Any, *, repeats: bool) -> None:
    """@singleton: one value although several would be possible; more than one is an error."""
    if repeats and "singleton" not in asked.flags:
        fields.setdefault(name, []).append(value)
    elif name in fields and isinstance(fields[name], dict) and isinstance(value, dict):
        fields[name].update(value)
    elif name in fields and "singleton" in asked.flags:
        raise Invalid(f"{asked.name} is marked @singleton and has several values")
    else:
        fields[name] = value


def _member(type: str, name: str) -> Member | None:
    known = members(type)
    if name in known:
        return known[name]
    if name.startswith("_") and name[1:] in known and known[name[1:]].primitive:
        return Member(name=name, type="Element", order=0, many=known[name[1:]].many)
    choice = [member for member in known.values() if member.element == name]
    return Member(name=name, type="Element", order=0, element=name) if choice else None


def _typed(type: str, value: Any, root: Resource) -> Node:
    if isinstance(value, dict) and "resourceType" in value:
        return Node(value["resourceType"], value, value)
    return Node(type, value, root)


def _node(resource: Resource) -> Node:
    return Node(resource["resourceType"], resource, resource)


def with_place(asked: Asked, work: Any) -> None:
    """An error says at which place of the query it arose, and along which fields."""
    try:
        work()
    except Refused as error:
        error.path.insert(0, asked.shown)
        raise
    except HubError as error:
        refused = Refused(error.message, place=asked.place, kind=error.reason)
        refused.path.insert(0, asked.shown)
        raise refused from None
