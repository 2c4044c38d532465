"""Who is whom, and who treats whom: both decide what a scope may see.

A relation is kept by patient and asked by person, so linking and unlinking never rewrites one; and with what proves it, so that
it ends or goes with that.
"""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from hub.store.port import Key, Scope

RELATED = """EXISTS (SELECT 1 FROM relation WHERE facility = :scope_facility AND until > :scope_now AND patient IN (
    SELECT {patient} UNION ALL SELECT person FROM person WHERE patient = {patient} UNION ALL
    SELECT patient FROM person
    WHERE person = coalesce((SELECT person FROM person WHERE patient = {patient}), {patient})))"""


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
    bindings = {"patient": patient, "scope_facility": facility, "scope_now": now}
    return bool(connection.execute(f"SELECT {RELATED.format(patient=':patient')}", bindings).get)


def scope_condition(scope: Scope, resource_type: str, *, row: str = "r") -> str:
    """SQL over `row` with :scope_facility and :scope_now; '0' when the type is not for this reader at all."""
    if scope.everything:
        return "1"
    if scope.types is not None and resource_type not in scope.types:
        return "0"
    shared = f" OR {row}.patient = ''" if resource_type in scope.shared_types else ""
    if not scope.facility:
        return f"({shared.removeprefix(' OR ')})" if shared else "0"
    related = f"({row}.patient <> '' AND {RELATED.format(patient=f'{row}.patient')})"
    return f"({row}.facility = :scope_facility{shared} OR {related})"
