"""Everything that ends in a Boolean: three-valued logic, existence, comparison. https://hl7.org/fhirpath/N1/#boolean-logic"""

# ruff: noqa: ARG001, ARG005  (every closure and every function has one signature)

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from profiles.fhirpath.steps import Branch, Run, Truth, merged, nothing
from profiles.fhirpath.syntax import Binary, Call, CannotCompile, Literal, Node, Typed
from profiles.fhirpath.values import Bare, CannotEvaluate, Env, Json, Values, common, compared, distinct, equal, has, same

if TYPE_CHECKING:
    from profiles.fhirpath.compiler import Compiler


def truth(compiler: Compiler, node: Node, focus: str) -> Truth | None:
    """None for what is no Boolean by its form."""
    match node:
        case Binary("and" | "or" | "xor" | "implies" as operator, left, right):
            return LOGIC[operator](compiler.truth(left, focus), compiler.truth(right, focus))
        case Binary("=" | "!=" | "~" | "!~" as operator, left, right):
            return _equality(compiler, operator, left, right, focus)
        case Binary("<" | "<=" | ">" | ">=" as operator, left, right):
            return _order(ORDER[operator], compiler.values(left, focus), compiler.values(right, focus))
        case Binary("in", left, right):
            return _inside(compiler.values(left, focus), compiler.values(right, focus))
        case Binary("contains", left, right):
            return _inside(compiler.values(right, focus), compiler.values(left, focus))
        case Typed("is", of, name):
            return compiler.typed(of, name, focus)
        case Call(of, name, arguments) if name in CALLS:
            return CALLS[name](compiler, of, arguments, focus)
    return None


# -- operators


def _and(left: Truth, right: Truth) -> Truth:
    def both(value: Json, env: Env) -> bool | None:
        first = left(value, env)
        if first is False:
            return False
        second = right(value, env)
        return False if second is False else None if first is None or second is None else True

    return both


def _or(left: Truth, right: Truth) -> Truth:
    def either(value: Json, env: Env) -> bool | None:
        first = left(value, env)
        if first:
            return True
        second = right(value, env)
        return True if second else None if first is None or second is None else False

    return either


def _xor(left: Truth, right: Truth) -> Truth:
    def one(value: Json, env: Env) -> bool | None:
        first, second = left(value, env), right(value, env)
        return None if first is None or second is None else first is not second

    return one


def _implies(left: Truth, right: Truth) -> Truth:
    def follows(value: Json, env: Env) -> bool | None:
        first = left(value, env)
        if first is False:
            return True
        second = right(value, env)
        return True if second else None if first is None or second is None else False

    return follows


LOGIC: dict[str, Callable[[Truth, Truth], Truth]] = {"and": _and, "or": _or, "xor": _xor, "implies": _implies}
ORDER: dict[str, frozenset[int]] = {
    "<": frozenset({-1}),
    "<=": frozenset({-1, 0}),
    ">": frozenset({1}),
    ">=": frozenset({0, 1}),
}


def _equality(compiler: Compiler, operator: str, left: Node, right: Node, focus: str) -> Truth:
    equals = _equals(compiler, left, right, focus)
    if operator in ("=", "~"):
        return equals

    def differs(value: Json, env: Env) -> bool | None:
        found = equals(value, env)
        return None if found is None else not found

    return differs


def _equals(compiler: Compiler, left: Node, right: Node, focus: str) -> Truth:
    branches = compiler.branches(left, focus)
    if isinstance(right, Literal) and len(branches) == 1 and (member := branches[0].member) and not member.many and right.values:
        return _member_equals(member.name, right.values[0])
    one, other = truth(compiler, left, focus), truth(compiler, right, focus)
    if one is not None and other is not None:
        return _same_truth(one, other)
    first, second = merged(branches), compiler.values(right, focus)
    return lambda value, env: equal(first(value, env), second(value, env))


def _same_truth(left: Truth, right: Truth) -> Truth:
    def equals(value: Json, env: Env) -> bool | None:
        first, second = left(value, env), right(value, env)
        return None if first is None or second is None else first is second

    return equals


def _member_equals(name: str, literal: Json) -> Truth:
    """`status = 'final'`, the commonest of all."""
    under = f"_{name}"

    def equals(value: Json, env: Env) -> bool | None:
        found = value.get(name) if isinstance(value, dict) else None
        if found is None:
            return False if isinstance(value, dict) and under in value else None
        return same(found, literal)

    return equals


def _order(accepted: frozenset[int], left: Run, right: Run) -> Truth:
    def ordered(value: Json, env: Env) -> bool | None:
        found = compared(left(value, env), right(value, env))
        return None if found is None else found in accepted

    return ordered


def _inside(value_of: Run, among: Run) -> Truth:
    def inside(value: Json, env: Env) -> bool | None:
        found = value_of(value, env)
        if not found:
            return None
        return len(found) == 1 and has(env.spend(among(value, env)), found[0])

    return inside


# -- functions

Arguments = tuple[Node, ...]
MAX_MATCHED = 64 * 1024


def _there(branches: tuple[Branch, ...]) -> Truth:
    """Whether there is any value: members of the focus itself are looked up by name."""
    if branches and all(branch.member for branch in branches):
        names = [branch.member.name for branch in branches if branch.member]
        unders = [f"_{branch.member.name}" for branch in branches if branch.member and branch.member.primitive]
        if len(names) == 1 and not unders:
            name = names[0]
            return lambda value, env: name in value
        asked = frozenset(names + unders)
        if len(asked) == 2:
            one, other = names[0], (names + unders)[1]
            return lambda value, env: one in value or other in value
        return lambda value, env: not asked.isdisjoint(value)
    run = merged(branches)
    return lambda value, env: bool(run(value, env))


def _exists(compiler: Compiler, of: Node | None, arguments: Arguments, focus: str) -> Truth:
    if arguments:
        of = Call(of, "where", arguments)
    return _there(compiler.of(of, focus))


def _empty(compiler: Compiler, of: Node | None, arguments: Arguments, focus: str) -> Truth:
    there = _there(compiler.of(of, focus))
    return lambda value, env: not there(value, env)


def _not(compiler: Compiler, of: Node | None, arguments: Arguments, focus: str) -> Truth:
    if of is None:
        raise CannotCompile("not() needs something before it")
    inner = compiler.truth(of, focus)

    def negated(value: Json, env: Env) -> bool | None:
        found = inner(value, env)
        return None if found is None else not found

    return negated


def _has_value(compiler: Compiler, of: Node | None, arguments: Arguments, focus: str) -> Truth:
    run = merged(compiler.of(of, focus))

    def stated(value: Json, env: Env) -> bool:
        found = run(value, env)
        return len(found) == 1 and not isinstance(found[0], (dict, Bare))

    return stated


def _all(compiler: Compiler, of: Node | None, arguments: Arguments, focus: str) -> Truth:
    if len(arguments) != 1:
        raise CannotCompile("all() takes one criterion")
    checks = [(branch.run, compiler.truth(arguments[0], branch.type)) for branch in compiler.of(of, focus)]
    return lambda value, env: all(holds(each, env) is True for run, holds in checks for each in env.spend(run(value, env)))


def _of_all(accept: Callable[[Values], bool]) -> Callable[[Compiler, Node | None, Arguments, str], Truth]:
    def function(compiler: Compiler, of: Node | None, arguments: Arguments, focus: str) -> Truth:
        run = merged(compiler.of(of, focus))
        return lambda value, env: accept(run(value, env))

    return function


def _of_text(accept: Callable[[str, str], bool]) -> Callable[[Compiler, Node | None, Arguments, str], Truth]:
    def function(compiler: Compiler, of: Node | None, arguments: Arguments, focus: str) -> Truth:
        if len(arguments) != 1:
            raise CannotCompile("one argument expected")
        run, argument = merged(compiler.of(of, focus)), compiler.values(arguments[0], focus)

        def holds(value: Json, env: Env) -> bool | None:
            texts, stated = run(value, env), argument(value, env)
            if not texts or not stated or not isinstance(texts[0], str) or not isinstance(stated[0], str):
                return None
            return accept(texts[0], stated[0])

        return holds

    return function


def _compared_sets(subset: bool) -> Callable[[Compiler, Node | None, Arguments, str], Truth]:
    def function(compiler: Compiler, of: Node | None, arguments: Arguments, focus: str) -> Truth:
        mine = merged(compiler.of(of, focus))
        other = compiler.values(arguments[0], focus) if arguments else nothing
        inner, outer = (mine, other) if subset else (other, mine)
        return lambda value, env: not common(inner(value, env), outer(value, env), kept=False)

    return function


def _matches(text: str, pattern: str) -> bool:
    if len(text) > MAX_MATCHED:
        raise CannotEvaluate("a regular expression is not tried on a text of this length")
    return re.search(pattern, text) is not None


CALLS: dict[str, Callable[[Compiler, Node | None, Arguments, str], Truth]] = {
    "exists": _exists,
    "empty": _empty,
    "not": _not,
    "hasValue": _has_value,
    "all": _all,
    "allTrue": _of_all(lambda values: all(value is True for value in values)),
    "anyTrue": _of_all(lambda values: any(value is True for value in values)),
    "allFalse": _of_all(lambda values: all(value is False for value in values)),
    "anyFalse": _of_all(lambda values: any(value is False for value in values)),
    "isDistinct": _of_all(lambda values: len(distinct(values)) == len(values)),
    "startsWith": _of_text(str.startswith),
    "endsWith": _of_text(str.endswith),
    "contains": _of_text(str.__contains__),
    "matches": _of_text(_matches),
    "subsetOf": _compared_sets(subset=True),
    "supersetOf": _compared_sets(subset=False),
}
