"""A reader's Scope applied to what was found: by the resource alone where that tells, else by who opens its compartment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from hub.store.port import Scope, Version

T = TypeVar("T")
Place = tuple[str, str, str]  # type, whose record it is, its compartment


def shown(found: Sequence[T], place: Callable[[T], Place], scope: Scope, opened: Callable[[set[str]], set[str]]) -> list[T]:
    """Those that the scope shows; `opened`, asked once at most, says which of some compartments are open to the reader."""
    told = [(each, place(each)) for each in found]
    known = [(each, patient, scope.shows(kind, facility, patient)) for each, (kind, facility, patient) in told]
    asked = {patient for _, patient, sure in known if sure is None}
    open_to_them = opened(asked) if asked else set()
    return [each for each, patient, sure in known if (patient in open_to_them if sure is None else sure)]


def place_of(version: Version) -> Place:
    return version.type, version.facility, version.patient


def one_person(patient: str, person: str, patients: Iterable[str]) -> tuple[str, ...]:
    """The golden Patient's id, all that are linked to it, and the one that was asked for."""
    return tuple(dict.fromkeys((person, *patients, patient)))
