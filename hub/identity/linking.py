"""A Patient was created or changed → who is one person now.

Everything happens in the transaction that saved the Patient: links, golden Patients and doubts are never behind the records.
"""

from __future__ import annotations

from typing import Any

from hub.identity.asking import asked_once
from hub.identity.candidates import Neighbourhood, enter_households
from hub.identity.clusters import persons
from hub.identity.decisions import UNDECIDED, decided
from hub.identity.doubts import close_doubts, raise_doubts
from hub.identity.golden import golden_patient, retired
from hub.store.port import Key, Transaction
from hub.subscriptions.watch import reported
from mappers.identity_keys import resource_id

Resource = dict[str, Any]


def link_patient(
    transaction: Transaction, patient: Resource, now: int, *others: Resource, created: bool = False, survivor: str = ""
) -> bool:
    """Settle anew who is one person among the Patients that hang together with `patient`, a facility's own, just saved.

    `others` are Patients about which, with the first, a person decided. `survivor` is the golden Patient that goes on if two
    become one. False: too many hang together to be one person, and nothing was changed.
    """
    first = str(patient["id"])
    displaced = enter_households(transaction, patient)
    near = Neighbourhood(transaction, patient, *others)
    displaced += near.enter(first) if first in near.facts else []
    done = _settled(transaction, near, now, survivor, new=first if created else "")
    for id in dict.fromkeys(displaced):
        _settled(transaction, Neighbourhood(transaction, {"id": id}), now, "")
    return done


def unlink_deleted(transaction: Transaction, id: str, now: int) -> None:
    """The Patient is no more: its person goes on without it, and nobody is asked about it."""
    person = transaction.person_of(id)
    transaction.assign_person(id, id)
    if person != id and (mates := [mate for mate in transaction.patients_of(person) if mate != person]):
        link_patient(transaction, {"id": mates[0]}, now)
    close_doubts(transaction, [id], {}, {})


def _settled(transaction: Transaction, near: Neighbourhood, now: int, survivor: str, *, new: str = "") -> bool:
    """`new`: a Patient that nobody could have asked about yet."""
    if not near.complete:
        return False
    if near.patients.keys() == {new} and not near.doubts:
        return True
    concerned = {*near.patients, *(id for pair in near.doubts for id in pair)}
    said = decided(transaction, concerned) if len(concerned) > 1 else UNDECIDED
    found = persons(near.facts, near.merged, said, near.matching)
    assigned = _assign(transaction, found.clusters, near.patients, now, survivor)
    person = {id: assigned.get(id) or transaction.person_of(id) for id in concerned}
    doubts = asked_once({**near.doubts, **found.doubts}, person, said)
    raise_doubts(transaction, doubts)
    close_doubts(transaction, near.patients.keys() - {new}, doubts, assigned)
    return True


def _assign(
    transaction: Transaction, clusters: tuple[frozenset[str], ...], patients: dict[str, Resource], now: int, survivor: str
) -> dict[str, str]:
    """Every Patient's person. A golden Patient stays with the cluster of its first member; one without members goes."""
    former = {id: transaction.person_of(id) for id in patients}
    goldens = {person for id, person in former.items() if person != id}
    assigned: dict[str, str] = {}
    kept: set[str] = set()
    for cluster in sorted(clusters, key=min):
        person = _person(transaction, cluster, former, kept, survivor)
        kept.add(person)
        for id in sorted(cluster):
            assigned[id] = person
            if former[id] != person:
                transaction.assign_person(id, person)
        if len(cluster) > 1:
            _keep_golden(transaction, golden_patient(person, [patients[id] for id in sorted(cluster)]), now)
    for golden in sorted(goldens - kept):
        _retire(transaction, golden, {assigned[id] for id in patients if former[id] == golden}, now)
    return assigned


def _person(transaction: Transaction, cluster: frozenset[str], former: dict[str, str], kept: set[str], survivor: str) -> str:
    if len(cluster) == 1:
        return next(iter(cluster))
    if survivor not in kept and any(former[id] == survivor != id for id in cluster):
        return survivor
    for id in sorted(cluster):
        if former[id] != id and former[id] not in kept:
            return former[id]
    return _new_golden(transaction, min(cluster), kept)


def _new_golden(transaction: Transaction, first: str, kept: set[str]) -> str:
    """An id from the smallest member's; a later one if a former golden Patient of that member went on with others."""
    number = 1
    while True:
        id = resource_id("Patient", "golden", first, *([str(number)] if number > 1 else []))
        version = transaction.current(Key("Patient", id))
        if id not in kept and (version is None or version.deleted):
            return id
        number += 1


def _keep_golden(transaction: Transaction, golden: Resource, now: int) -> None:
    id = golden["id"]
    reported(transaction, Key("Patient", id), now, lambda: transaction.save(golden, id=id))


def _retire(transaction: Transaction, golden: str, successors: set[str], now: int) -> None:
    """Its members went on as one person: point there. Otherwise there is nobody it stands for."""
    if len(successors) == 1 and (successor := successors.pop()) != golden:
        _keep_golden(transaction, retired(golden, successor), now)
        transaction.assign_person(golden, successor)
    else:
        key = Key("Patient", golden)
        reported(transaction, key, now, lambda: transaction.delete(key), deleting=True)
