"""The text of a query → what is asked, within limits. https://spec.graphql.org/October2021/ and https://hl7.org/fhir/R4/graphql.html"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from graphql.error import GraphQLError, GraphQLSyntaxError
from graphql.language import (
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    ListTypeNode,
    NamedTypeNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    TypeNode,
    parse,
)
from graphql.utilities import value_from_ast_untyped

from hub.errors import HubError, Kind

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
    """`place`: line and column in the query; `path`: of what is missing in the answer, none where nothing is answered."""

    kind = Kind.INVALID

    def __init__(
        self, message: str, *, place: tuple[int, int] | None = None, path: tuple[str | int, ...] = (), kind: Kind | None = None
    ) -> None:
        super().__init__(message, kind=kind)
        self.place = place
        self.path = path


@dataclass(frozen=True, slots=True)
class Asked:
    """One field: under which name it goes out, with which arguments, and what is asked of it."""

    name: str
    shown: str
    arguments: Mapping[str, Any]  # those that have a value
    below: SelectionSetNode | None
    place: tuple[int, int]
    flags: frozenset[str]  # flatten, first, singleton
    slice: str = ""

    def like(self, other: Asked) -> bool:
        """The same field in the same way: what is asked of it is asked together."""
        return (self.name, self.arguments, self.flags, self.slice) == (other.name, other.arguments, other.flags, other.slice)


@dataclass(slots=True)
class Document:
    selection: SelectionSetNode
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: dict[str, Any] = field(default_factory=dict)
    _collected: dict[tuple[int, frozenset[str]], tuple[Asked, ...]] = field(default_factory=dict)

    def fields(self, selection: SelectionSetNode, kinds: frozenset[str]) -> tuple[Asked, ...]:
        """The fields asked of something that is of `kinds`, fragments followed; what is asked twice is asked once.

        Raise Refused for a directive nobody knows, and for two fields under one name.
        """
        key = (id(selection), kinds)
        if key not in self._collected:
            self._collected[key] = tuple(_together(self._asked(selection, kinds, set())))
        return self._collected[key]

    def conditions(self, selection: SelectionSetNode) -> Iterator[tuple[str, SelectionSetNode, tuple[int, int]]]:
        """(type, selection, place) of the fragments that are on a type, however often they are spread."""
        open_, seen = [selection], set[str]()
        while open_:
            for node in open_.pop().selections:
                if isinstance(node, FieldNode):
                    continue
                if isinstance(node, FragmentSpreadNode):
                    if node.name.value in seen:
                        continue
                    seen.add(node.name.value)
                fragment = self._fragment(node)
                open_.append(fragment.selection_set)
                if fragment.type_condition is not None:
                    yield fragment.type_condition.name.value, fragment.selection_set, _place(node)

    def check_fragments(self) -> None:
        """Raise Refused for fragments that lead back to themselves. https://spec.graphql.org/October2021/#sec-Fragment-spreads-must-not-form-cycles"""
        over: set[str] = set()
        for name in self.fragments:
            self._lead_on(name, (), over)

    def _lead_on(self, name: str, way: tuple[str, ...], over: set[str]) -> None:
        if name in way:
            raise Refused("a fragment leads back to itself", place=_place(self.fragments[name]))
        if name in over or name not in self.fragments:
            return
        if len(way) > MAX_DEPTH:
            raise Refused(f"fragments lie deeper than {MAX_DEPTH} in one another", kind=Kind.TOO_COSTLY)
        for following in _spread_in(self.fragments[name].selection_set):
            self._lead_on(following, (*way, name), over)
        over.add(name)

    def _asked(self, selection: SelectionSetNode, kinds: frozenset[str], spread: set[str]) -> Iterator[Asked]:
        for node in selection.selections:
            directives = self._directives(node.directives)
            if directives.get("skip", {}).get("if") is True or directives.get("include", {}).get("if") is False:
                continue
            if isinstance(node, FieldNode):
                yield self._field(node, directives)
                continue
            fragment = self._fragment(node)
            condition = fragment.type_condition
            if condition is not None and condition.name.value not in kinds:
                continue
            if isinstance(node, FragmentSpreadNode):
                if node.name.value in spread:
                    continue
                spread.add(node.name.value)
            yield from self._asked(fragment.selection_set, kinds, spread)

    def _field(self, node: FieldNode, directives: Mapping[str, Mapping[str, Any]]) -> Asked:
        name = node.name.value
        return Asked(
            name=name,
            shown=node.alias.value if node.alias is not None else name,
            arguments={name: value for name, value in self._arguments(node).items() if value is not None},
            below=node.selection_set,
            place=_place(node),
            flags=frozenset(directives),
            slice=str(directives.get("slice", {}).get("path", "")),
        )

    def _arguments(self, node: FieldNode | DirectiveNode) -> dict[str, Any]:
        stated = node.arguments or ()
        found = {argument.name.value: self._value(argument.value) for argument in stated}
        if len(found) < len(stated):
            raise Refused("an argument is stated twice", place=_place(node))
        return found

    def _directives(self, nodes: tuple[DirectiveNode, ...] | None) -> dict[str, dict[str, Any]]:
        found = {}
        for node in nodes or ():
            name, arguments = node.name.value, self._arguments(node)
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
                raise Refused("the query uses a variable that it does not define", place=_place(node))
        return value_from_ast_untyped(node, self.variables)


def _together(asked: Iterable[Asked]) -> list[Asked]:
    """`{ name { use } name { text } }` asks once for both. https://spec.graphql.org/October2021/#sec-Field-Selection-Merging

    The same field with other arguments stays by itself: `resource(type: Patient) {…} resource(type: Group) {…}` is FHIR's own way.
    """
    found: list[Asked] = []
    places: dict[str, list[int]] = {}
    for each in asked:
        same = places.setdefault(each.shown, [])
        if same and found[same[0]].name != each.name:
            raise Refused("two different fields go out under one name", place=each.place)
        at = next((number for number in same if found[number].like(each)), None)
        if at is None:
            same.append(len(found))
            found.append(each)
        elif each.below is not None and (before := found[at].below) is not None:
            found[at] = replace(found[at], below=SelectionSetNode(selections=(*before.selections, *each.below.selections)))
    return found


def _spread_in(selection: SelectionSetNode) -> Iterator[str]:
    """Names of the fragments spread in it, at any depth."""
    open_ = [selection]
    while open_:
        for node in open_.pop().selections:
            if isinstance(node, FragmentSpreadNode):
                yield node.name.value
            elif (below := getattr(node, "selection_set", None)) is not None:
                open_.append(below)


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
    """https://spec.graphql.org/October2021/#sec-Coercing-Variable-Values"""
    values: dict[str, Any] = {}
    for definition in chosen.variable_definitions or ():
        name = definition.variable.name.value
        value = stated.get(name)
        if name not in stated and definition.default_value is not None:
            value = value_from_ast_untyped(definition.default_value)
        if not _fits(value, definition.type):
            raise Refused("a variable has no value, or one of another type than it is declared with", place=_place(definition))
        values[name] = value
    return values


FITTING: dict[str, tuple[type, ...]] = {
    "Int": (int,),
    "Float": (int, float),
    "String": (str,),
    "ID": (str, int),
    "Boolean": (bool,),
}
"""What JSON has for GraphQL's own types; those of FHIR take whatever comes."""


def _fits(value: Any, type: TypeNode) -> bool:
    if isinstance(type, NonNullTypeNode):
        return value is not None and _fits(value, type.type)
    if value is None:
        return True
    if isinstance(type, ListTypeNode):
        return all(_fits(each, type.type) for each in value) if isinstance(value, list) else _fits(value, type.type)
    fitting = FITTING.get(type.name.value) if isinstance(type, NamedTypeNode) else None
    return fitting is None or (isinstance(value, fitting) and isinstance(value, bool) == (fitting == (bool,)))


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
