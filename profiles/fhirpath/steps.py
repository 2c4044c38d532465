"""Steps from values to their members."""

# ruff: noqa: ARG001, ARG005  (every closure and every function has one signature)

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from profiles.fhirpath.types import names_in
from profiles.fhirpath.values import Bare, Env, Json, Values
from profiles.structures import Member

Run = Callable[[Json, Env], Values]
Truth = Callable[[Json, Env], "bool | None"]


class Branch(NamedTuple):
    """The values of one type."""

    type: str
    run: Run
    beside: Run | None = None  # the Elements that stand beside primitive values
    member: Member | None = None  # a member of the focus itself: what only asks whether it is there needs no list


def this(value: Json, env: Env) -> Values:
    return [value]


def nothing(value: Json, env: Env) -> Values:
    return []


def merged(branches: tuple[Branch, ...]) -> Run:
    if len(branches) == 1:
        return branches[0].run
    if not branches:
        return nothing
    runs = tuple(branch.run for branch in branches)
    return lambda value, env: [each for run in runs for each in run(value, env)]


def through(run: Run, member: Member) -> Branch:
    """One step on, along a member that the definitions know."""
    step = _primitive_step(member) if member.primitive else _step(member)
    first = run is this
    after: Run = (lambda value, env: step(value)) if first else _after(run, step)
    if not member.primitive:
        return Branch(member.type, after, member=member if first else None)
    beside = _beside_step(member)
    return Branch(
        member.type, after, (lambda value, env: beside(value)) if first else _after(run, beside), member if first else None
    )


def _after(run: Run, step: Callable[[Json], Values]) -> Run:
    def walk(value: Json, env: Env) -> Values:
        above = run(value, env)
        return step(above[0]) if len(above) == 1 else [found for each in above for found in step(each)]

    return walk


def listed(found: Json) -> Values:
    """The array itself where nothing is missing in it: nobody changes what a step gives."""
    if found is None:
        return []
    if not isinstance(found, list):
        return [found]
    return [each for each in found if each is not None] if None in found else found


def _step(member: Member) -> Callable[[Json], Values]:
    name = member.name
    return lambda value: listed(value.get(name)) if isinstance(value, dict) else []


def _primitive_step(member: Member) -> Callable[[Json], Values]:
    name, under = member.name, f"_{member.name}"

    def step(value: Json) -> Values:
        if not isinstance(value, dict):
            return []
        if under not in value:
            return listed(value.get(name))
        return _with_bare(value.get(name), value[under])

    return step


def _with_bare(values: Json, beside: Json) -> Values:
    stated = values if isinstance(values, list) else [values]
    elements = beside if isinstance(beside, list) else [beside]
    found: Values = []
    for number in range(max(len(stated), len(elements))):
        value = stated[number] if number < len(stated) else None
        element = elements[number] if number < len(elements) else None
        if value is not None:
            found.append(value)
        elif element is not None:
            found.append(Bare(element))
    return found


def _beside_step(member: Member) -> Callable[[Json], Values]:
    under = f"_{member.name}"
    return lambda value: listed(value.get(under)) if isinstance(value, dict) else []


COPIED = 8  # so many values that are only passed on cost as much as one that is looked at


def dynamic(run: Run, name: str) -> Run:
    """A step from values whose type is known only when they are seen."""

    def step(value: Json, env: Env) -> Values:
        found: Values = []
        several = False  # then the list is made here, and grows; one alone is the resource's own
        for stated in run(value, env):
            each = stated.element if isinstance(stated, Bare) else stated
            if isinstance(each, dict):
                for member in names_in(each, name):
                    more = listed(each[member])
                    if several:
                        found += more
                    else:
                        found, several = ([*found, *more], True) if found else (more, False)
        env.spend(found[::COPIED])
        return found

    return step


def children(value: Json) -> Values:
    if isinstance(value, Bare):
        value = value.element
    if not isinstance(value, dict):
        return []
    return [each for name, found in value.items() if name != "resourceType" for each in listed(found)]


def descendants(value: Json) -> Values:
    found: Values = []
    waiting = [value]
    while waiting:
        below = children(waiting.pop())
        found += below
        waiting += below
    return found
