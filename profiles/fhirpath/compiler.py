"""A tree → closures. What the definitions say of types is used while compiling: `value` of an Observation is valueQuantity,
valueString …, so that `value is Quantity` asks for a member's name and no type has to be carried along with the values.

A compiled node is a row of branches, one a type; `truth` is the way of everything that ends in a Boolean, and most invariants never
build a list.
"""

# ruff: noqa: ARG005  (every closure and every function has one signature)

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from profiles.fhirpath import functions, logic
from profiles.fhirpath.steps import Branch, Run, Truth, dynamic, merged, this, through
from profiles.fhirpath.syntax import Binary, Call, CannotCompile, Index, Literal, Member, Negative, Node, Typed, Variable, parse
from profiles.fhirpath.types import ANY, by_element, is_a, seems, type_name
from profiles.fhirpath.values import Env, Json, Values, truth_of

UCUM = "http://unitsofmeasure.org"
CONSTANTS = {"%ucum": UCUM, "%sct": "http://snomed.info/sct", "%loinc": "http://loinc.org"}
BOOLEAN = frozenset({"and", "or", "xor", "implies", "=", "!=", "~", "!~", "<", "<=", ">", ">=", "in", "contains"})


class Compiled(NamedTuple):
    values: Run
    truth: Truth


@cache
def compiled(expression: str, focus: str = ANY) -> Compiled:
    """The expression for a focus of this type (resource, data type or backbone element). Raise CannotCompile."""
    return compile_afresh(expression, focus)


def compile_afresh(expression: str, focus: str = ANY) -> Compiled:
    """As `compiled`, and nothing is kept: for expressions that come from outside."""
    compiler = Compiler()
    node = parse(expression)
    return Compiled(compiler.values(node, focus), compiler.truth(node, focus))


class Compiler:
    # -- as a collection

    def values(self, node: Node, focus: str) -> Run:
        return merged(self.branches(node, focus))

    def branches(self, node: Node, focus: str) -> tuple[Branch, ...]:
        match node:
            case Literal(values):
                found = list(values)
                return (Branch("boolean" if values and isinstance(values[0], bool) else ANY, lambda value, env: found),)
            case Variable(name):
                return (self._variable(name, focus),)
            case Member(None, name) if is_a(focus, name) and name not in by_element(focus):
                return (Branch(focus, this),)
            case Member(None, name):
                return self._members((Branch(focus, this),), name)
            case Member(of, name) if of is not None:
                return self._members(self.branches(of, focus), name)
            case Typed("as", of, name):
                return self._cast(of, name, focus)
            case Index(of, position):
                return functions.indexed(self, of, position, focus)
            case Negative(of):
                return (Branch(ANY, functions.negative(self.values(of, focus))),)
            case Binary(operator, left, right) if operator not in BOOLEAN:
                return functions.operated(self, operator, left, right, focus)
            case Call(of, name, arguments) if name not in logic.CALLS:
                return functions.called(self, of, name, arguments, focus)
        truth = self.truth(node, focus)

        def boolean(value: Json, env: Env) -> Values:
            found = truth(value, env)
            return [] if found is None else [found]

        return (Branch("boolean", boolean),)

    def of(self, node: Node | None, focus: str) -> tuple[Branch, ...]:
        """What a function is called on: the focus itself where nothing is named."""
        return (Branch(focus, this),) if node is None else self.branches(node, focus)

    def _variable(self, name: str, focus: str) -> Branch:
        if name == "$this":
            return Branch(focus, this)
        if name in CONSTANTS:
            constant = [CONSTANTS[name]]
            return Branch("uri", lambda value, env: constant)
        if name == "%resource":
            return Branch(ANY, lambda value, env: [env.resource])
        if name == "%rootResource":
            return Branch(ANY, lambda value, env: [env.root])
        if name == "%context":
            return Branch(ANY, lambda value, env: [env.context])
        raise CannotCompile(f"{name} is not known here")

    def _members(self, of: tuple[Branch, ...], name: str) -> tuple[Branch, ...]:
        found: list[Branch] = []
        for branch in of:
            if branch.beside is not None:  # id and extensions of a primitive
                if name in ("id", "extension"):
                    found += (through(branch.beside, member) for member in by_element("Element")[name])
            elif branch.type in (ANY, "Resource", "DomainResource"):
                found.append(Branch(ANY, dynamic(branch.run, name)))
            else:
                found += (through(branch.run, member) for member in by_element(branch.type).get(name, ()))
        return tuple(found)

    def _cast(self, of: Node | None, name: str, focus: str) -> tuple[Branch, ...]:
        asked = type_name(name)
        found = []
        for branch in self.of(of, focus):
            if branch.type in (ANY, "Resource", "DomainResource"):
                found.append(Branch(asked, _seeming(branch.run, asked)))
            elif is_a(branch.type, asked):
                found.append(branch)
        return tuple(found)

    # -- as a Boolean

    def truth(self, node: Node, focus: str) -> Truth:
        found = logic.truth(self, node, focus)
        if found is not None:
            return found
        run = self.values(node, focus)
        return lambda value, env: truth_of(run(value, env))

    def typed(self, of: Node | None, name: str, focus: str) -> Truth:
        """`is`: told by the member's name where the type is known, else by the value."""
        asked = type_name(name)
        branches = self.of(of, focus)
        everything = merged(branches)
        yes = merged(tuple(branch for branch in branches if branch.type and is_a(branch.type, asked)))
        open_ = merged(tuple(b for b in branches if b.type in (ANY, "Resource", "DomainResource") and b.type != asked))

        def told(value: Json, env: Env) -> bool | None:
            if not everything(value, env):
                return None
            return bool(yes(value, env)) or any(seems(each, asked) for each in open_(value, env))

        return told


def _seeming(run: Run, asked: str) -> Run:
    return lambda value, env: [each for each in run(value, env) if seems(each, asked)]


Compile = Callable[[Node, str], Run]
