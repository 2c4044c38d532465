"""Walks a query over the JSON of resources: fields, filters of lists, references, lists of what refers here, and directives.

https://hl7.org/fhir/R4/graphql.html
The walk goes only where the query does. A field that cannot be answered is null, and `errors` say why; the others are answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from hub.errors import HubError, Invalid, Kind, NotFound
from hub.graphql.document import Asked, Document, Refused
from hub.graphql.filters import kept, sliced
from hub.graphql.introspection import Introspection
from hub.graphql.limits import MAX_ERRORS, Spent
from hub.graphql.resources import Found, Resource, Source
from hub.graphql.types import CONNECTION, EDGE, LIST, QUERY, kinds_of, member_of, searched, spelled
from hub.store.port import Key
from profiles.structures import Member, members
from profiles.validation import known_type

ELEMENT = Member(name="", type="Element", order=0)
TEXT = Member(name="", type="string", order=0, primitive=True)
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its type; `root` is the resource in which it stands."""

    type: str
    value: Any
    root: Resource


@dataclass(slots=True)
class Sink:
    """Where fields go, and its place in the answer. `suffix` and `repeats` come from an element that was flattened away."""

    fields: dict[str, Any]
    path: Path = ()
    suffix: str = ""
    repeats: bool = False


class Executor:
    def __init__(self, document: Document, source: Source, spent: Spent) -> None:
        self._document = document
        self._source = source
        self._spent = spent
        self.errors: list[Refused] = []

    def system(self) -> dict[str, Any]:
        """`{ Patient(id: …) {…} PatientList(…) {…} PatientConnection(…) {…} }`"""
        sink = Sink({})
        for asked in self._document.fields(self._document.selection, kinds_of(QUERY)):
            self._answer(sink, asked, partial(self._root, sink, asked))
        return sink.fields

    def instance(self, resource: Resource) -> dict[str, Any]:
        """Fields of one resource."""
        sink = Sink({})
        self._fill(sink, self._document.selection, _node(resource), 1)
        return sink.fields

    def _answer(self, sink: Sink, asked: Asked, work: Callable[[], None]) -> None:
        """Raise Refused for what costs too much: that ends the whole query. https://spec.graphql.org/October2021/#sec-Handling-Field-Errors"""
        name = asked.shown + sink.suffix
        try:
            work()
        except HubError as error:
            path = (*sink.path, name)
            refused = Refused(error.message, place=asked.place, path=path, kind=error.reason)
            if error.reason is Kind.TOO_COSTLY:
                raise refused from None
            if len(self.errors) < MAX_ERRORS:
                self.errors.append(refused)
            if not isinstance(sink.fields.get(name), list):
                sink.fields[name] = None

    def _root(self, sink: Sink, asked: Asked) -> None:
        if asked.name == "__typename":
            self._put(sink, asked, [Node("string", QUERY, {})], TEXT, 1)
        elif known_type(asked.name):
            key = Key(asked.name, str(asked.arguments["id"]))
            self._put(sink, asked, [_node(self._source.one(key))], ELEMENT, 1)
        elif not self._introspected(sink, asked, QUERY, 1):
            self._search(sink, asked, "", 1)

    def _introspected(self, sink: Sink, asked: Asked, query: str, depth: int) -> bool:
        """Whether the field is about the schema; then it is filled in."""
        if depth > 1 or asked.name not in ("__schema", "__type") or asked.below is None:
            return False
        schema = Introspection(self._document, self._spent, query, self._source.types)
        sink.fields[asked.shown] = schema.asked(asked.name, asked.arguments, asked.below)
        return True

    def _fill(self, sink: Sink, selection: Any, node: Node, depth: int) -> None:
        for asked in self._document.fields(selection, kinds_of(node.type)):
            self._spent.value(depth)
            self._answer(sink, asked, partial(self._field, sink, asked, node, depth))

    def _field(self, sink: Sink, asked: Asked, node: Node, depth: int) -> None:
        member = member_of(node.type, asked.name)
        if member is not None:
            if "fhirpath" in asked.arguments or asked.slice:
                self._spent.time()
            self._put(sink, asked, kept(_values(member, asked, node), asked.arguments, node.root), member, depth)
        elif asked.name == "__typename" or (asked.name == "resourceType" and node.value.get("resourceType")):
            self._put(sink, asked, [Node("string", spelled(node.type), node.root)], TEXT, depth)
        elif asked.name == "resource" and node.type == "Reference":
            self._put(sink, asked, list(self._target(asked, node)), ELEMENT, depth)
        elif node.value is not node.root:
            raise Invalid(f"{spelled(node.type)} has no such field")
        elif not self._introspected(sink, asked, node.type, depth):
            self._search(sink, asked, f"{node.type}/{node.value.get('id')}", depth)

    def _target(self, asked: Asked, node: Node) -> Iterator[Node]:
        """`resource(type: Patient, optional: true)`: what a reference leads to."""
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

    def _search(self, sink: Sink, asked: Asked, owner: str, depth: int) -> None:
        """A list or a connection of a resource type. `owner`: what the resources found are to refer to."""
        type, ending = searched(asked.name)
        if not type:
            raise Invalid("no such field: ask for Type(id:), TypeList or TypeConnection of a resource type of R4")
        if ending == LIST:
            found = self._source.listed(type, asked.arguments, owner)
            many = Member(name=asked.name, type=type, order=0, many=True)
            self._put(sink, asked, [_node(resource) for resource in found.resources], many, depth, empty=True)
            return
        if asked.below is None:
            raise Invalid(f"{asked.name} needs a selection of fields")
        fields = self._document.fields(asked.below, frozenset({type + CONNECTION}))
        found = self._source.listed(type, asked.arguments, owner, total=any(each.name == "count" for each in fields))
        below = Sink({}, (*sink.path, asked.shown))
        self._connection(below, fields, type, found, depth)
        sink.fields[asked.shown] = below.fields

    def _connection(self, sink: Sink, fields: tuple[Asked, ...], type: str, found: Found, depth: int) -> None:
        """One page of a search, with the cursors of the first and the next page; what is not kept of the others is null."""
        plain = {"count": found.total, "pagesize": found.count, "first": found.first, "next": found.next}
        plain |= {"offset": None, "previous": None, "last": None, "__typename": type + CONNECTION}
        for each in fields:
            if each.name in plain:
                sink.fields[each.shown] = plain[each.name]
                continue
            if each.name != "edges" or each.below is None:
                raise Invalid(f"{type}{CONNECTION} has no such field")
            edges = sink.fields[each.shown] = list[Any]()
            for number, resource in enumerate(found.resources):
                edge = Sink({}, (*sink.path, each.shown, number))
                self._edge(edge, each.below, resource, depth + 1)
                edges.append(edge.fields)

    def _edge(self, sink: Sink, selection: Any, resource: Resource, depth: int) -> None:
        plain = {"mode": "match", "score": None, "__typename": resource["resourceType"] + EDGE}
        for each in self._document.fields(selection, frozenset({resource["resourceType"] + EDGE})):
            if each.name == "resource":
                self._put(sink, each, [_node(resource)], ELEMENT, depth)
            else:
                sink.fields[each.shown] = plain[each.name]

    # -- what becomes of the values of a field

    def _put(self, sink: Sink, asked: Asked, found: list[Node], member: Member, depth: int, *, empty: bool = False) -> None:
        """https://hl7.org/fhir/R4/graphql.html#flattening  `empty`: a list that nothing is in stands there all the same."""
        _check_selection(asked, found, member)
        nodes = found[:1] if "first" in asked.flags else found
        repeats = (member.many or sink.repeats) and not asked.slice
        if empty and not asked.flags and repeats:
            sink.fields.setdefault(asked.shown + sink.suffix, [])
        for number, node in enumerate(nodes):
            self._spent.value(depth)
            suffix = sink.suffix + (f".{sliced(asked.slice, number, node)}" if asked.slice else "")
            if "flatten" in asked.flags and asked.below is not None:
                self._fill(Sink(sink.fields, sink.path, suffix, repeats), asked.below, node, depth + 1)
                continue
            name, value = asked.shown + suffix, node.value
            if asked.below is not None:
                listed = repeats and "singleton" not in asked.flags
                below = Sink({}, (*sink.path, name, len(sink.fields.get(name) or ())) if listed else (*sink.path, name))
                self._fill(below, asked.below, node, depth + 1)
                value = below.fields
            _add(sink.fields, asked, name, value, repeats=repeats)


def _values(member: Member, asked: Asked, node: Node) -> list[Node]:
    value = node.value.get(asked.name)
    if value is None and member.element == asked.name:  # value, of a choice: whichever is there
        return [
            Node(each.type, node.value[name], node.root)
            for name, each in members(node.type).items()
            if each.element == asked.name and name in node.value
        ]
    found = value if isinstance(value, list) else [value]
    return [_typed(member.type, each, node.root) for each in found if each is not None]


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
    elif name in fields and isinstance(fields[name], dict) and isinstance(value, dict) and "singleton" not in asked.flags:
        fields[name].update(value)
    elif name in fields and "singleton" in asked.flags:
        raise Invalid(f"{asked.name} is marked @singleton and has several values")
    else:
        fields[name] = value


def _typed(type: str, value: Any, root: Resource) -> Node:
    return _node(value) if isinstance(value, dict) and "resourceType" in value else Node(type, value, root)


def _node(resource: Resource) -> Node:
    return Node(resource["resourceType"], resource, resource)
