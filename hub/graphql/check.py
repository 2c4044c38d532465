"""What can be told to be wrong of a query before anything is read: then nothing of it is answered.

https://spec.graphql.org/October2021/#sec-Validation
Where any type of resource may stand, what a fragment says of it is checked; the rest shows when it is read.
"""

from __future__ import annotations

from graphql.language import SelectionSetNode

from hub.errors import Kind
from hub.graphql.document import MAX_DEPTH, Asked, Document, Refused
from hub.graphql.resources import REFERENCE
from hub.graphql.types import ANY, OF_ONE, OF_ROOT, QUERY, Field, field_of, kinds_of, spelled, type_named


def check(document: Document, root: str = QUERY) -> None:
    """Raise Refused. `root`: the type of the resource that is asked, or Query."""
    try:
        document.check_fragments()
        _Check(document, root).selection(document.selection, root, 1)
    except RecursionError:
        raise Refused("the query is nested too deep", kind=Kind.TOO_COSTLY) from None


class _Check:
    def __init__(self, document: Document, root: str) -> None:
        self._document = document
        self._root = root
        self._done: set[tuple[int, str]] = set()

    def selection(self, selection: SelectionSetNode, type: str, depth: int) -> None:
        """Each selection once for each type: a fragment may be spread often."""
        if (id(selection), type) in self._done:
            return
        self._done.add((id(selection), type))
        if depth > MAX_DEPTH:
            raise Refused(f"fields lie deeper than {MAX_DEPTH} in one another", kind=Kind.TOO_COSTLY)
        for asked in self._document.fields(selection, kinds_of(type)):
            self._field(asked, type, depth)
        for condition, below, place in self._document.conditions(selection):
            on = type_named(condition)
            if on is None:
                raise Refused("a fragment is on a type that there is not", place=place)
            if on != type:
                self.selection(below, on, depth)

    def _field(self, asked: Asked, type: str, depth: int) -> None:
        at_root = depth == 1 and type == self._root
        field = (OF_ROOT.get(asked.name) if at_root else None) or field_of(type, asked.name)
        if field is None and type == ANY:
            return
        if field is None:
            raise Refused(f"{spelled(type)} has no such field", place=asked.place)
        _check_arguments(asked, field)
        if field.arguments is None and (type == QUERY) == ("_reference" in asked.arguments):
            raise Refused(REFERENCE, place=asked.place)
        if not field.type:
            return
        if asked.below is None and not field.plain:
            raise Refused(f"{asked.name} needs a selection of fields", place=asked.place)
        if asked.below is not None and field.plain:
            raise Refused(f"{asked.name} is a value without fields", place=asked.place)
        if asked.below is not None:
            self.selection(asked.below, _target(asked) if field.type == ANY else field.type, depth + 1)


def _check_arguments(asked: Asked, field: Field) -> None:
    if field.arguments is None or not field.type:
        return
    if asked.name == field.type and field.arguments == OF_ONE and not asked.arguments.get("id"):
        raise Refused(f"{asked.name} is asked for by id; {asked.name}List searches", place=asked.place)
    if asked.arguments.keys() - field.arguments.keys():
        known = ", ".join(field.arguments) or "no arguments"
        raise Refused(f"{asked.name} takes {known}", place=asked.place)


def _target(asked: Asked) -> str:
    """`resource(type: Patient)` narrows what may stand there."""
    stated = asked.arguments.get("type")
    return stated if isinstance(stated, str) and type_named(stated) == stated else ANY
