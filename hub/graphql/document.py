"""The text of a query → what is asked, within limits. https://spec.graphql.org/October2021/ and https://hl7.org/fhir/R4/graphql.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql.error import GraphQLError, GraphQLSyntaxError
from graphql.language import (
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    parse,
)
from graphql.utilities import value_from_ast_untyped

from hub.errors import HubError, Invalid, Kind

MAX_TOKENS = 5_000
MAX_DEPTH = 20
DIRECTIVES: dict[str, frozenset[str]] = {
    "include": frozenset({"if"}),
    "skip": frozenset({"if"}),
    "flatten": frozenset(),
    "first": frozenset(),
    "singleton": frozenset(),
    "slice": frozenset({"path"}),
}


class Refused(HubError):
    """`place`: line and column in the query; `path`: names of the fields that lead there."""

    kind = Kind.INVALID

    def __init__(self, message: str, *, place: tuple[int, int] | None = None, kind: Kind | None = None) -> None:
        super().__init__(message, kind=kind)
        self.place = place
        self.path: list[str] = []


@dataclass(frozen=True, slots=True)
class Asked:
    """One field: under which name it goes out, with which arguments, and what is asked of it."""

    name: str
    shown: str
    arguments: Mapping[str, Any]
    below: SelectionSetNode | None
    place: tuple[int, int]
    flags: frozenset[str]  # flatten, first, singleton
    slice: str = ""


@dataclass(slots=True)
class Document:
    selection: SelectionSetNode
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: dict[str, Any] = field(default_factory=dict)

    def fields(self, selection: SelectionSetNode, kinds: frozenset[str], depth: int = 0) -> Iterator[Asked]:
        """The fields asked of something that is of `kinds`, fragments followed. Raise Refused for a directive nobody knows."""
        if depth > MAX_DEPTH:
            raise Refused(f"fragments lie deeper than {MAX_DEPTH} in one another", kind=Kind.TOO_COSTLY)
        for node in selection.selections:
            directives = self._directives(node.directives)
            if directives.get("skip", {}).get("if") is True or directives.get("include", {}).get("if") is False:
                continue
            if isinstance(node, FieldNode):
                yield self._asked(node, directives)
                continue
            fragment = self._fragment(node)
            condition = fragment.type_condition
            if condition is None or condition.name.value in kinds:
                yield from self.fields(fragment.selection_set, kinds, depth + 1)

    def _asked(self, node: FieldNode, directives: Mapping[str, Mapping[str, Any]]) -> Asked:
        name = node.name.value
        return Asked(
            name=name,
            shown=node.alias.value if node.alias is not None else name,
            arguments={argument.name.value: self._value(argument.value) for argument in node.arguments or ()},
            below=node.selection_set,
            place=_place(node),
            flags=frozenset(directives),
            slice=str(directives.get("slice", {}).get("path", "")),
        )

    def _directives(self, nodes: tuple[DirectiveNode, ...] | None) -> dict[str, dict[str, Any]]:
        found = {}
        for node in nodes or ():
            name = node.name.value
            arguments = {argument.name.value: self._value(argument.value) for argument in node.arguments or ()}
            if name not in DIRECTIVES or arguments.keys() != DIRECTIVES[name]:
                known = ", ".join(f"@{name}" for name in DIRECTIVES)
                raise Refused(f"no such directive, or not with these arguments; there are {known}", place=_place(node))
            if "if" in arguments and not isinstance(arguments["if"], bool):
                raise Refused("@include and @skip take a boolean", place=_place(node))
            found[name] = arguments
        return found

    def _fragment(self, node: Any) -> FragmentDefinitionNode | InlineFragmentNode:
        if isinstance(node, InlineFragmentNode):
            return node
        assert isinstance(node, FragmentSpreadNode)  # noqa: S101  the grammar has no fourth
        found = self.fragments.get(node.name.value)
        if found is None:
            raise Refused("the query spreads a fragment that it does not define", place=_place(node))
        return found

    def _value(self, node: Any) -> Any:
        for name in _variables_in(node):
            if name not in self.variables:
                raise Refused("the query uses a variable that it does not define or that has no value", place=_place(node))
        return value_from_ast_untyped(node, self.variables)


def read(text: str, variables: Mapping[str, Any], operation: str = "") -> Document:
    """Raise Refused for what is no query: where, never what."""
    try:
        parsed = parse(text, max_tokens=MAX_TOKENS)
    except GraphQLSyntaxError as error:
        place = (error.locations[0].line, error.locations[0].column) if error.locations else None
        too_long = "more than" in error.message and "tokens" in error.message
        said = f"the query has more than {MAX_TOKENS} words and signs" if too_long else "the query is not GraphQL"
        raise Refused(said, place=place, kind=Kind.TOO_COSTLY if too_long else None) from None
    except (GraphQLError, RecursionError):
        raise Refused("the query is not GraphQL, or nested too deep") from None
    operations = [node for node in parsed.definitions if isinstance(node, OperationDefinitionNode)]
    fragments = {node.name.value: node for node in parsed.definitions if isinstance(node, FragmentDefinitionNode)}
    if operation:
        operations = [node for node in operations if node.name is not None and node.name.value == operation]
    if len(operations) != 1:
        raise Refused("send one query, or name one of several in operationName")
    chosen = operations[0]
    if chosen.operation is not OperationType.QUERY:
        raise Refused("only queries are answered here: write through the RESTful interface", kind=Kind.NOT_SUPPORTED)
    return Document(chosen.selection_set, fragments, _variables(chosen, variables))


def _variables(chosen: OperationDefinitionNode, stated: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for definition in chosen.variable_definitions or ():
        name = definition.variable.name.value
        if stated.get(name) is not None:
            values[name] = stated[name]
        elif definition.default_value is not None:
            values[name] = value_from_ast_untyped(definition.default_value)
        elif isinstance(definition.type, NonNullTypeNode):
            raise Refused("a variable that is needed has no value", place=_place(definition))
        else:
            values[name] = None
    return values


def _variables_in(node: Any) -> Iterator[str]:
    if node.kind == "variable":
        yield node.name.value
    for below in getattr(node, "values", None) or ():
        yield from _variables_in(below)
    for below in getattr(node, "fields", None) or ():
        yield from _variables_in(below.value)


def _place(node: Any) -> tuple[int, int]:
    token = node.loc.start_token
    return token.line, token.column


def only(asked: Asked, *names: str) -> None:
    """Raise Invalid for an argument that the field does not have."""
    if set(asked.arguments) - set(names):
        raise Invalid(f"{asked.name[:64]} takes {', '.join(names) or 'no arguments'}")
