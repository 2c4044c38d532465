"""Who is whom, and who treats whom: both decide what a scope may see.

A relation is kept by patient and asked by person, so linking and unlinking never rewrites one; and with what proves it, so that
it ends or goes with that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pymongo.client_session import ClientSession

from hub.store import visible
from hub.store.compartments import ALL_DENIED, denied, opens, parties_of, patient_in, permitted
from hub.store.mongo.documents import Document
from hub.store.mongo.reading import Reading
from hub.store.port import Key, Scope


def person_of(reading: Reading, patient: str) -> str:
    found = reading.one("person", {"_id": patient})
    return str(found["g"]) if found else patient


def patients_of(reading: Reading, person: str) -> tuple[str, ...]:
    rows = reading.find("person", {"g": person}, sort=[("_id", 1)])
    return tuple(row["_id"] for row in rows) or (person,)


def one_person(reading: Reading, patient: str) -> tuple[str, ...]:
    """Most are linked to nobody, and this is told by one question."""
    rows = {row["_id"]: row["g"] for row in reading.find("person", {"$or": [{"_id": patient}, {"g": patient}]})}
    person = rows.get(patient, patient)
    patients = sorted(rows) if person == patient else patients_of(reading, person)
    return visible.one_person(patient, person, patients)


def assign_person(reading: Reading, session: ClientSession, patient: str, person: str) -> None:
    people = reading.database.beside("person")
    if person == patient:
        people.delete_one({"_id": patient}, session=session)
    else:
        people.replace_one({"_id": patient}, {"g": person}, upsert=True, session=session)


def relate(reading: Reading, session: ClientSession, source: Key, relations: Iterable[tuple[str, str, int]]) -> None:
    name = f"{source.type}/{source.id}"
    stated: dict[str, Document] = {}
    for facility, patient, until in relations:
        id = f"{name}|{facility}|{patient}"
        stated[id] = {"_id": id, "f": facility, "p": patient, "until": until, "src": name}
    former = {row["_id"]: row for row in reading.find("relation", {"src": name})}
    if former == stated:
        return
    if former:
        reading.database.beside("relation").delete_many({"src": name}, session=session)
    if stated:
        reading.database.beside("relation").insert_many(list(stated.values()), session=session)


def treats(reading: Reading, facility: str, patient: str, now: int) -> bool:
    return patient in opened(reading, Scope(facility=facility, now=now), [patient])


def opened(reading: Reading, scope: Scope, compartments: Iterable[str]) -> set[str]:
    """Those that a relation opens to the reader, or that are the reader's own."""
    asked = {compartment for compartment in compartments if compartment}
    if not asked:
        return set()
    own = set(one_person(reading, scope.patient)) if scope.patient else set()
    return {each for each in asked if patient_in(each) in own} | (_opened(reading, scope, asked) if scope.facility else set())


def _opened(reading: Reading, scope: Scope, asked: set[str]) -> set[str]:
    person = {row["_id"]: row["g"] for row in reading.find("person", {"_id": {"$in": sorted(asked)}})}
    mates: dict[str, set[str]] = {each: {each} for each in {person.get(patient, patient) for patient in asked}}
    for row in reading.find("person", {"g": {"$in": sorted(mates)}}):
        mates[row["g"]].add(row["_id"])
    everyone = sorted(asked.union(*mates.values()))
    held: dict[str, set[str]] = {}
    for row in _relations(reading, scope, parties_of(scope).values(), {"p": {"$in": everyone}}):
        held.setdefault(row["p"], set()).add(row["f"])
    found = set()
    for patient in asked:
        united = {patient} | mates[person.get(patient, patient)]
        if opens(set().union(*(held.get(each, set()) for each in united)), scope):
            found.add(patient)
    return found


def opened_to(reading: Reading, scope: Scope, *, most: int) -> list[str] | None:
    """Every compartment that a relation opens to the reader; None if there are more than `most`."""
    opening = {scope.facility, permitted(scope.facility), scope.holder or scope.facility}
    rows = list(_relations(reading, scope, opening, {}, limit=most + 1))
    if len(rows) > most:
        return None
    related = {row["p"] for row in rows}
    persons = {row["g"] for row in _linked(reading, "_id", sorted(related))} | related
    mates = {row["_id"] for row in _linked(reading, "g", sorted(persons))}
    everyone = related | persons | mates
    if len(everyone) > most:
        return None
    closing = _relations(reading, scope, {denied(scope.facility), ALL_DENIED}, {"p": {"$in": sorted(everyone)}}, limit=1)
    return sorted(_opened(reading, scope, everyone) if any(True for _ in closing) else everyone)


def _relations(reading: Reading, scope: Scope, parties: Iterable[str], wanted: Document, *, limit: int = 0) -> Iterable[Document]:
    query = {"f": {"$in": sorted(set(parties))}, **wanted, "until": {"$gt": scope.now}}
    return reading.find("relation", query, fields=("f", "p"), limit=limit)


def _linked(reading: Reading, field: str, among: Sequence[str]) -> Iterable[Document]:
    return reading.find("person", {field: {"$in": among}}) if among else ()
