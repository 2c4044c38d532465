"""Who is whom, and who treats whom: both decide what a scope may see.

A relation is kept by patient and asked by person, so linking and unlinking never rewrites one; and with what proves it, so that
it ends or goes with that.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import apsw

from hub.store.compartments import RESTRICTED, parties_of
from hub.store.port import Key, Scope

_PERSON = """SELECT {patient} UNION ALL SELECT person FROM person WHERE patient = {patient} UNION ALL
    SELECT patient FROM person
    WHERE person = coalesce((SELECT person FROM person WHERE patient = {patient}), {patient})"""
_HELD = """EXISTS (SELECT 1 FROM relation WHERE facility IN ({parties}) AND until > :scope_now AND patient IN ({person}))"""


def _held(patient: str, *parties: str) -> str:
    """One of the parties has a relation with the person; `patient` is an SQL expression."""
    return _HELD.format(parties=", ".join(f":scope_{party}" for party in parties), person=_PERSON.format(patient=patient))


def _opened(patient: str) -> str:
    """hub.store.compartments.opens, in SQL: a denial is rare, so it is asked for last."""
    held = partial(_held, patient)
    holder = f"(:scope_holder <> :scope_facility AND {held('holder')})"
    named = f"({held('permitted')} AND NOT {held('denied')})"
    return f"({held('facility', 'permitted', 'holder')} AND (NOT {held('denied', 'all_denied')} OR {holder} OR {named}))"


def scope_bindings(scope: Scope) -> dict[str, str | int]:
    """Of what `scope_condition` asks."""
    parties = {f"scope_{name}": party for name, party in parties_of(scope).items()}
    return {**parties, "scope_now": scope.now, "scope_patient": scope.patient}


def person_of(connection: apsw.Connection, patient: str) -> str:
    found = connection.execute("SELECT person FROM person WHERE patient = ?", (patient,)).get
    return patient if found is None else str(found)


def patients_of(connection: apsw.Connection, person: str) -> tuple[str, ...]:
    rows = connection.execute("SELECT patient FROM person WHERE person = ? ORDER BY patient", (person,))
    return tuple(patient for (patient,) in rows) or (person,)


def assign_person(connection: apsw.Connection, patient: str, person: str) -> None:
    if person == patient:
        connection.execute("DELETE FROM person WHERE patient = ?", (patient,))
    else:
        connection.execute("INSERT OR REPLACE INTO person VALUES (?, ?)", (patient, person))


def relate(connection: apsw.Connection, source: Key, relations: Iterable[tuple[str, str, int]]) -> None:
    name = f"{source.type}/{source.id}"
    connection.execute("DELETE FROM relation WHERE source = ?", (name,))
    connection.executemany("INSERT INTO relation VALUES (?, ?, ?, ?)", [(*relation, name) for relation in relations])


def treats(connection: apsw.Connection, facility: str, patient: str, now: int) -> bool:
    return opened(connection, Scope(facility=facility, now=now), patient)


def opened(connection: apsw.Connection, scope: Scope, compartment: str) -> bool:
    """A relation opens it to the reader, or it is the reader's own."""
    ways = ([_opened(":asked")] if scope.facility else []) + ([_own(":asked")] if scope.patient else [])
    bindings = {"asked": compartment, **scope_bindings(scope)}
    return bool(ways) and bool(connection.execute(f"SELECT {' OR '.join(ways)}", bindings).get)


def _own(patient: str) -> str:
    """Every compartment of the reader's own, restricted ones too."""
    mark = "'" + RESTRICTED + "'"
    plain = f"substr({patient}, instr(substr({patient}, 2), {mark}) + 2)"
    person = _PERSON.format(patient=":scope_patient")
    return f"CASE WHEN substr({patient}, 1, 1) = {mark} THEN {plain} ELSE {patient} END IN ({person})"


def scope_condition(scope: Scope, resource_type: str, *, row: str = "r") -> str:
    """SQL over `row` with `scope_bindings`; '0' when the type is not for this reader at all."""
    if scope.everything:
        return "1"
    if scope.types is not None and resource_type not in scope.types:
        return "0"
    patient = f"{row}.patient"
    ways = [f"{row}.facility = :scope_facility", f"({patient} <> '' AND {_opened(patient)})"] if scope.facility else []
    ways += [f"({patient} <> '' AND {_own(patient)})"] if scope.patient else []
    if ways and not scope.cleared:
        ways = [f"(substr({patient}, 1, 1) <> '{RESTRICTED}' AND ({' OR '.join(ways)}))"]
    ways += [f"{patient} = ''"] if resource_type in scope.shared_types else []
    return f"({' OR '.join(ways)})" if ways else "0"
