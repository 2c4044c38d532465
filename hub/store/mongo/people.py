"""Who is whom, and who treats whom: both decide what a scope may see.

A relation is kept by patient and asked by person, so linking and unlinking never rewrites one; and with what proves it, so that
it ends or goes with that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pymongo.client_session import ClientSession

from hub.store import visible
from hub.store.mongo.documents import Document
from hub.store.mongo.reading import Reading
from hub.store.port import Key


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
    return patient in treated_of(reading, facility, [patient], now)


def treated_of(reading: Reading, facility: str, patients: Iterable[str], now: int) -> set[str]:
    """Those of `patients` whose person the facility treats."""
    asked = {patient for patient in patients if patient}
    if not asked:
        return set()
    person = {row["_id"]: row["g"] for row in reading.find("person", {"_id": {"$in": sorted(asked)}})}
    persons = {person.get(patient, patient) for patient in asked}
    mates: dict[str, set[str]] = {each: {each} for each in persons}
    for row in reading.find("person", {"g": {"$in": sorted(persons)}}):
        mates[row["g"]].add(row["_id"])
    everyone = sorted(asked.union(*mates.values()))
    wanted = {"f": facility, "p": {"$in": everyone}, "until": {"$gt": now}}
    related = {row["p"] for row in reading.find("relation", wanted, fields=("p",))}
    return {patient for patient in asked if not related.isdisjoint({patient} | mates[person.get(patient, patient)])}


def treated_by(reading: Reading, facility: str, now: int, *, most: int) -> list[str] | None:
    """Every patient whose person the facility treats; None if there are more than `most`."""
    rows = reading.find("relation", {"f": facility, "until": {"$gt": now}}, fields=("p",), limit=most + 1)
    related = {row["p"] for row in rows}
    if len(related) > most:
        return None
    persons = {row["g"] for row in _linked(reading, "_id", sorted(related))} | related
    mates = {row["_id"] for row in _linked(reading, "g", sorted(persons))}
    everyone = related | persons | mates
    return sorted(everyone) if len(everyone) <= most else None


def _linked(reading: Reading, field: str, among: Sequence[str]) -> Iterable[Document]:
    return reading.find("person", {field: {"$in": among}}) if among else ()
