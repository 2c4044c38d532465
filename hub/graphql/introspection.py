"""What a tool asks of the schema: `__schema` and `__type`. https://spec.graphql.org/October2021/#sec-Introspection

It is made from the tables by which queries are answered, with the types that the caller may read and no others. Lists of what
refers to a resource stand where a search parameter says that it may; elsewhere they are answered without being described.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from graphql.language import SelectionSetNode

from hub.graphql.document import DIRECTIVES, Asked, Document
from hub.graphql.limits import Spent
from hub.graphql.types import (
    ANY,
    CONNECTION,
    EDGE,
    LIST,
    OF_CONNECTIONS,
    OF_EDGES,
    QUERY,
    SCALARS,
    Field,
    fields_of,
    kinds_of,
    spelled,
)
from hub.search.parameters import Registry, registry
from profiles.structures import members
from profiles.validation import known_type, resource_types

Described = dict[str, Any]
ABSTRACT = (ANY, "DomainResource")
OF_A_SEARCH = {"_count": "integer", "_cursor": "string"} | dict.fromkeys(
    ("_sort", "_filter", "_text", "_content", "_list"), "string"
)
TO_HERE = {"_reference": "string!"}
BUILT_IN = ("String", "Boolean", "Int", "Float", "ID")
DIRECTIVE_ARGUMENTS = {"if": "boolean!", "path": "string!"}


class Introspection:
    """Of one query. A part that stands in many places is walked once for each selection."""

    def __init__(self, document: Document, spent: Spent, query: str, readable: frozenset[str] | None) -> None:
        types = frozenset(resource_types()) if readable is None else readable.intersection(resource_types())
        self._document = document
        self._spent = spent
        self._schema = _schema(query, types, registry())
        self._made: dict[tuple[int, int], Described] = {}

    def asked(self, name: str, arguments: Mapping[str, Any], below: SelectionSetNode) -> Described | None:
        if name == "__schema":
            return self._walked(self._schema, below)
        type = next((each for each in self._schema["types"] if each["name"] == arguments.get("name")), None)
        return self._walked(type, below) if type is not None else None

    def _walked(self, thing: Described, selection: SelectionSetNode, depth: int = 1) -> Described:
        key = (id(thing), id(selection))
        if key not in self._made:
            self._spent.value(depth)
            fields = self._document.fields(selection, frozenset({thing["__typename"]}))
            self._made[key] = {asked.shown: self._value(asked, thing.get(asked.name), depth) for asked in fields}
        return self._made[key]

    def _value(self, asked: Asked, value: Any, depth: int) -> Any:
        if asked.below is None or value is None:
            return value
        if isinstance(value, list):
            return [self._walked(each, asked.below, depth + 1) for each in value]
        return self._walked(value, asked.below, depth + 1)


@lru_cache(maxsize=4)
def _schema(query: str, types: frozenset[str], known: Registry) -> Described:
    made = _Types(types, known)
    root = made.named(query)
    for type in (*ABSTRACT, *sorted(types), *BUILT_IN):
        made.named(type)
    made.finish()
    return {
        "__typename": "__Schema",
        "description": "FHIR R4: https://hl7.org/fhir/R4/graphql.html",
        "queryType": root,
        "types": list(made.types.values()),
        "directives": [made.directive(name, arguments) for name, arguments in DIRECTIVES.items()],
    }


class _Types:
    """Each type once, described when the first field leads to it; its fields are filled in at the end."""

    def __init__(self, readable: frozenset[str], known: Registry) -> None:
        self.types: dict[str, Described] = {}
        self._readable = readable
        self._known = known
        self._open: list[str] = []
        self._lists: dict[Any, Described] = {}
        self._inputs: dict[tuple[str, str], Described] = {}
        self._fields: dict[tuple[str, str, bool], Described] = {}

    def named(self, type: str) -> Described:
        name = SCALARS.get(type, spelled(type))
        if name not in self.types:
            scalar = name in BUILT_IN or type[:1].islower()
            kind = "SCALAR" if scalar else "INTERFACE" if type in ABSTRACT else "OBJECT"
            self.types[name] = {"__typename": "__Type", "kind": kind, "name": name}
            if not scalar:
                self._open.append(type)
        return self.types[name]

    def finish(self) -> None:
        while self._open:
            type = self._open.pop()
            described = self.types[spelled(type)]
            described["fields"] = [self._field(name, field) for name, field in self._of(type)]
            described["interfaces"] = [self.named(kind) for kind in ABSTRACT if kind in kinds_of(type) and kind != type]
            if type in ABSTRACT:
                described["interfaces"] = []
                described["possibleTypes"] = [self.named(each) for each in sorted(self._readable) if type in kinds_of(each)]

    def directive(self, name: str, arguments: Iterable[str]) -> Described:
        places = ["FIELD", "FRAGMENT_SPREAD", "INLINE_FRAGMENT"] if name in ("include", "skip") else ["FIELD"]
        taken = [self._input(each, DIRECTIVE_ARGUMENTS[each]) for each in arguments]
        return {"__typename": "__Directive", "name": name, "isRepeatable": False, "locations": places, "args": taken}

    def _of(self, type: str) -> Iterator[tuple[str, Field]]:
        if type == QUERY:
            for each in sorted(self._readable):
                yield each, Field(each, arguments={"id": "id!"})
                yield from self._searches(each)
        elif type.endswith(CONNECTION) and known_type(searched := type.removesuffix(CONNECTION)):
            yield from OF_CONNECTIONS.items()
            yield "edges", Field(searched + EDGE, many=True)
        elif type.endswith(EDGE) and known_type(searched := type.removesuffix(EDGE)):
            yield from OF_EDGES.items()
            yield "resource", Field(searched)
        else:
            yield from fields_of(type)
            for each in self._referring(type) if known_type(type) else ():
                yield from self._searches(each, TO_HERE)

    def _searches(self, type: str, more: Mapping[str, str] | None = None) -> Iterator[tuple[str, Field]]:
        taken = {code.replace("-", "_"): "string" for code in self._known.of(type)} | OF_A_SEARCH | dict(more or {})
        yield type + LIST, Field(type, many=True, arguments=taken)
        yield type + CONNECTION, Field(type + CONNECTION, arguments=taken)

    def _referring(self, type: str) -> list[str]:
        return [each for each in sorted(self._readable) if any(type in found.target for found in self._known.of(each).values())]

    def _field(self, name: str, field: Field) -> Described:
        taken = field.arguments or {}
        key = (name, field.type, "_reference" in taken)
        if key not in self._fields or not (LIST in name or CONNECTION in name):
            found = self._many(field.type) if field.many else self.named(field.type)
            args = [self._input(name, type) for name, type in _described(field)]
            self._fields[key] = {"__typename": "__Field", "name": name, "type": found, "args": args, "isDeprecated": False}
        return self._fields[key]

    def _input(self, name: str, type: str) -> Described:
        key = (name, type)
        if key not in self._inputs:
            plain = self.named(type.removesuffix("!"))
            needed = {"__typename": "__Type", "kind": "NON_NULL", "ofType": plain} if type.endswith("!") else plain
            self._inputs[key] = {"__typename": "__InputValue", "name": name, "type": needed, "isDeprecated": False}
        return self._inputs[key]

    def _many(self, type: str) -> Described:
        if type not in self._lists:
            self._lists[type] = {"__typename": "__Type", "kind": "LIST", "ofType": self.named(type)}
        return self._lists[type]


def _described(field: Field) -> Iterator[tuple[str, str]]:
    """The arguments worth showing: none where there is no list to choose from, and no types of a choice: Extension has fifty."""
    taken = field.arguments or {}
    if "fhirpath" in taken and not field.many:
        return
    known = members(field.type)
    yield from ((name, type) for name, type in taken.items() if name not in known or known[name].element == name)
