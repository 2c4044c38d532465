"""Functions and operators that give a collection. https://hl7.org/fhirpath/N1/#functions"""

# ruff: noqa: ARG001  (every closure and every function has one signature)

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from profiles.fhirpath.plain import CUTS, PLAIN, TEXT, single
from profiles.fhirpath.steps import COPIED, Branch, Run, listed, merged, nothing
from profiles.fhirpath.syntax import Binary, Call, CannotCompile, Literal, Member, Node, Typed
from profiles.fhirpath.types import ANY
from profiles.fhirpath.values import FEW, CannotEvaluate, Env, Json, Values, common, distinct

if TYPE_CHECKING:
    from profiles.fhirpath.compiler import Compiler

Branches = tuple[Branch, ...]
Arguments = tuple[Node, ...]


def called(compiler: Compiler, of: Node | None, name: str, arguments: Arguments, focus: str) -> Branches:
    branches = compiler.of(of, focus)
    if name in SPECIAL:
        return SPECIAL[name](compiler, branches, arguments, focus)
    if name in CUTS and not arguments:
        return _each_or_one(branches, CUTS[name])
    if name in PLAIN and not arguments:
        plain, run = PLAIN[name], merged(branches)
        return (Branch(ANY, lambda value, env: env.spend(plain(run(value, env)))),)
    if name in TEXT:
        return (Branch("string", _texts(TEXT[name], merged(branches), [compiler.values(each, focus) for each in arguments])),)
    raise CannotCompile(f"{name}() is not known here")


def _each_or_one(branches: Branches, cut: Callable[[Values], Values]) -> Branches:
    """A cut of one type keeps its type."""
    run = merged(branches)
    return (Branch(branches[0].type if len(branches) == 1 else ANY, lambda value, env: cut(run(value, env))),)


# -- functions that take a criterion or a collection


def _where(compiler: Compiler, branches: Branches, arguments: Arguments, focus: str) -> Branches:
    if len(arguments) != 1:
        raise CannotCompile("where() takes one criterion")
    return tuple(Branch(branch.type, _filtered(branch.run, compiler.truth(arguments[0], branch.type))) for branch in branches)


def _filtered(run: Run, holds: Callable[[Json, Env], bool | None]) -> Run:
    return lambda value, env: [each for each in env.spend(run(value, env)) if holds(each, env)]


def _select(compiler: Compiler, branches: Branches, arguments: Arguments, focus: str) -> Branches:
    found = []
    for branch in branches:
        for projection in compiler.branches(_one(arguments), branch.type):
            found.append(Branch(projection.type, _projected(branch.run, projection.run)))
    return tuple(found)


def _projected(run: Run, projection: Run) -> Run:
    return lambda value, env: [found for each in env.spend(run(value, env)) for found in projection(each, env)]


def _repeat(compiler: Compiler, branches: Branches, arguments: Arguments, focus: str) -> Branches:
    run, projection = merged(branches), compiler.values(_one(arguments), ANY)

    def repeated(value: Json, env: Env) -> Values:
        found: Values = []
        waiting = list(run(value, env))
        while waiting:
            below = env.spend(projection(waiting.pop(), env))
            found += below
            waiting += below
        return found

    return (Branch(ANY, repeated),)


def _one(arguments: Arguments) -> Node:
    if len(arguments) != 1:
        raise CannotCompile("one argument expected")
    return arguments[0]


def _combining(combine: Callable[[Values, Values], Values]) -> Callable[..., Branches]:
    def function(compiler: Compiler, branches: Branches, arguments: Arguments, focus: str) -> Branches:
        run, other = merged(branches), compiler.values(_one(arguments), focus)

        def combined(value: Json, env: Env) -> Values:
            mine, theirs = run(value, env), other(value, env)
            env.left -= (1 + len(mine)) * len(theirs) // COPIED if len(mine) <= FEW else 4 * (len(mine) + len(theirs))
            return combine(env.spend(mine), theirs)

        return (Branch(_common(branches), combined),)

    return function


def _common(branches: Branches) -> str:
    return branches[0].type if len(branches) == 1 else ANY


def _cutting(cut: Callable[[Values, int], Values]) -> Callable[..., Branches]:
    def function(compiler: Compiler, branches: Branches, arguments: Arguments, focus: str) -> Branches:
        run, number = merged(branches), compiler.values(_one(arguments), focus)
        return (Branch(_common(branches), lambda value, env: cut(run(value, env), _integer(number(value, env)))),)

    return function


def _integer(values: Values) -> int:
    if len(values) != 1 or not isinstance(values[0], int):
        raise CannotEvaluate("an integer is asked for")
    return values[0]


def _iif(compiler: Compiler, branches: Branches, arguments: Arguments, focus: str) -> Branches:
    """The criterion sees what the function is called on. https://hl7.org/fhirpath/N1/#iifcriterion-expression-true-result"""
    if len(arguments) not in (2, 3):
        raise CannotCompile("iif() takes two or three arguments")
    of = merged(branches)
    then = compiler.values(arguments[1], focus)
    if len(branches) == 1 and branches[0].type == ANY:  # the collection itself is the focus: member.resolve().iif(empty(), …)
        return (Branch(ANY, _iif_of_collection(compiler, of, arguments)),)
    holds = compiler.truth(arguments[0], focus)
    otherwise = compiler.values(arguments[2], focus) if len(arguments) == 3 else nothing
    return (Branch(ANY, lambda value, env: then(value, env) if holds(value, env) else otherwise(value, env)),)


def _iif_of_collection(compiler: Compiler, of: Run, arguments: Arguments) -> Run:
    runs = [compiler.values(_on_collection(each), ANY) for each in arguments]

    def chosen(value: Json, env: Env) -> Values:
        focus = {COLLECTION: of(value, env)}
        if runs[0](focus, env)[:1] == [True]:
            return runs[1](focus, env)
        return runs[2](focus, env) if len(runs) == 3 else []

    return chosen


COLLECTION = "collection"


def _on_collection(node: Node) -> Node:
    """`empty()` → `collection.empty()`: the first word of each call takes the collection for its focus."""
    if isinstance(node, Call):
        return node._replace(of=Member(None, COLLECTION) if node.of is None else _on_collection(node.of))
    if isinstance(node, Binary):
        return node._replace(left=_on_collection(node.left), right=_on_collection(node.right))
    if isinstance(node, (Typed, Member)):
        return node._replace(of=Member(None, COLLECTION) if node.of is None else _on_collection(node.of))
    return node


def _join(compiler: Compiler, branches: Branches, arguments: Arguments, focus: str) -> Branches:
    run, separator = merged(branches), compiler.values(_one(arguments), focus) if arguments else nothing

    def joined(value: Json, env: Env) -> Values:
        texts, between = env.spend(run(value, env)), single(separator(value, env))
        if not all(isinstance(text, str) for text in (*texts, *between)):
            raise CannotEvaluate("only texts are joined")
        return ["".join(between).join(texts)] if texts else []

    return (Branch("string", joined),)


def _trace(compiler: Compiler, branches: Branches, arguments: Arguments, focus: str) -> Branches:
    return branches


def _extension(compiler: Compiler, branches: Branches, arguments: Arguments, focus: str) -> Branches:
    argument = _one(arguments)
    if not isinstance(argument, Literal):
        raise CannotCompile("extension() takes the address itself")
    url = argument.values[0]
    extensions = merged(compiler._members(branches, "extension"))
    return (Branch("Extension", lambda value, env: [e for e in extensions(value, env) if e.get("url") == url]),)


_LITERAL = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?$")


def _resolve(compiler: Compiler, branches: Branches, arguments: Arguments, focus: str) -> Branches:
    """Nothing is fetched: a contained resource is found, of others the reference tells type and id."""
    run = merged(branches)

    def resolved(value: Json, env: Env) -> Values:
        return [found for each in run(value, env) for found in _resolved(each, env)]

    return (Branch(ANY, resolved),)


def _resolved(reference: Json, env: Env) -> Values:
    text = reference.get("reference", "") if isinstance(reference, dict) else reference
    if not isinstance(text, str):
        return []
    if text.startswith("#"):
        contained = env.root.get("contained", ()) if isinstance(env.root, dict) else ()
        if len(text) == 1:
            return [env.root]
        return [each for each in listed(contained) if isinstance(each, dict) and each.get("id") == text[1:]]
    found = _LITERAL.search(text)
    return [{"resourceType": found[1], "id": found[2]}] if found else []


SPECIAL: dict[str, Callable[..., Branches]] = {
    "where": _where,
    "select": _select,
    "repeat": _repeat,
    "iif": _iif,
    "join": _join,
    "trace": _trace,
    "extension": _extension,
    "resolve": _resolve,
    "combine": _combining(lambda mine, other: mine + other),
    "union": _combining(lambda mine, other: distinct(mine + other)),
    "intersect": _combining(lambda mine, other: distinct(common(mine, other))),
    "exclude": _combining(lambda mine, other: common(mine, other, kept=False)),
    "skip": _cutting(lambda values, number: values[max(0, number) :]),
    "take": _cutting(lambda values, number: values[: max(0, number)]),
}


# -- functions of text


def _texts(function: Callable[..., Any], run: Run, arguments: list[Run]) -> Run:
    def changed(value: Json, env: Env) -> Values:
        texts = run(value, env)
        stated = [argument(value, env) for argument in arguments]
        if len(texts) != 1 or not isinstance(texts[0], str) or any(len(each) != 1 for each in stated):
            return []
        try:
            found = function(texts[0], *(each[0] for each in stated))
        except (TypeError, re.error):
            raise CannotEvaluate("an argument is of another type") from None
        return [] if found is None else found if isinstance(found, list) else [found]

    return changed


# -- operators


def indexed(compiler: Compiler, of: Node, position: Node, focus: str) -> Branches:
    branches = compiler.branches(of, focus)
    run, number = merged(branches), compiler.values(position, focus)

    def at(value: Json, env: Env) -> Values:
        place = _integer(number(value, env))
        return run(value, env)[place : place + 1] if place >= 0 else []

    return (Branch(_common(branches), at),)


def negative(run: Run) -> Run:
    return lambda value, env: [-each for each in run(value, env)]


def operated(compiler: Compiler, operator: str, left: Node, right: Node, focus: str) -> Branches:
    if operator == "|":
        return _union(compiler, left, right, focus)
    if operator not in ARITHMETIC:
        raise CannotCompile(f"{operator} is not known here")
    first, second, compute = compiler.values(left, focus), compiler.values(right, focus), ARITHMETIC[operator]

    def computed(value: Json, env: Env) -> Values:
        a, b = single(first(value, env)), single(second(value, env))
        if operator == "&":
            return [f"{a[0] if a else ''}{b[0] if b else ''}"]
        try:
            return [compute(a[0], b[0])] if a and b else []
        except (TypeError, ArithmeticError):
            return []

    return (Branch(ANY, computed),)


ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: Decimal(a) / Decimal(b),
    "div": lambda a, b: int(a // b),
    "mod": lambda a, b: a % b,
    "&": lambda a, b: f"{a}{b}",
}


def _union(compiler: Compiler, left: Node, right: Node, focus: str) -> Branches:
    """`a | b`: the types of both sides are kept, and no value stands twice."""
    branches = (*compiler.branches(left, focus), *compiler.branches(right, focus))
    run = merged(branches)
    types = {branch.type for branch in branches}
    if len(types) == 1:
        return (Branch(types.pop(), lambda value, env: distinct(run(value, env))),)
    return tuple(Branch(branch.type, branch.run, branch.beside) for branch in branches)
