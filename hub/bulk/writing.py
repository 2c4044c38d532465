"""What a caller may import, decided resource by resource; what may be is saved many at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hub import fhir_json
from hub.bulk.ready import Ready
from hub.errors import HubError, Kind
from hub.keep import keep_all
from hub.security.audit import audit_event
from hub.security.policy import check_write, county_wide
from hub.security.writes import ALONE, Writes
from hub.store.port import Key, Resource, Saved, Version
from profiles.names import FACILITY_TAG


@dataclass
class Stored:
    """What became of some resources."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: list[tuple[Ready, HubError]] = field(default_factory=list)

    def count(self, saved: Saved) -> None:
        if not saved.changed:
            self.unchanged += 1
        elif saved.created:
            self.created += 1
        else:
            self.updated += 1


class BulkWrites(Writes):
    """A caller's writes in one transaction of an import."""

    def store(self, ready: Sequence[Ready]) -> Stored:
        """In their order. Raise HubError where one that is saved alone is refused: then nothing of them is saved."""
        stored = Stored()
        for some in _runs(ready):
            if some[0].key.type in ALONE or some[0].golden:
                self._one(some[0], stored)
            else:
                self._many(some, stored)
        self._subjects.clear()  # each was looked at
        return stored

    def event(self, asked: str) -> Resource:
        """One AuditEvent for all."""
        patients = [patient for *_, patient in self._touched if patient]
        return audit_event(
            self._access, action="E", interaction="batch", type="$import", query=asked, patients=patients, now=self._now
        )

    def _one(self, each: Ready, stored: Stored) -> None:
        front, rest = each.resource.front, each.resource.rest
        resource = fhir_json.load(front + b'"versionId":"0"' + rest)
        del resource["meta"]["versionId"]
        if not county_wide(self._access) and not all(self._known(patient) for patient in each.subjects):
            raise _stranger()
        stored.count(self.save(resource, id=each.key.id))

    def _many(self, ready: Sequence[Ready], stored: Stored) -> None:
        found = self._transaction.current_of([each.key for each in ready])
        allowed: list[Ready] = []
        others: list[Ready] = []
        mine: set[str] = set()
        for each in ready:
            current = found.get(each.key)
            try:
                self._check_ready(each, current, mine)
                owner = self._owner(_tagged(each), current)
            except HubError as error:
                stored.refused.append((each, error))
                continue
            (allowed if owner == each.resource.facility else others).append(each)
            if each.key.type == "Patient":
                mine.add(each.key.id)
        for saved in self._kept(allowed):
            stored.count(saved)
            self._touch("C" if saved.created else "U", "update", saved.version)
        for each in others:
            self._one(each, stored)

    def _kept(self, allowed: Sequence[Ready]) -> list[Saved]:
        return keep_all(self._transaction, [each.resource for each in allowed], self._now, self._county.policy)

    def _check_ready(self, each: Ready, current: Version | None, mine: Iterable[str]) -> None:
        if county_wide(self._access) and current is None:
            check_write(self._access, each.key.type, None)
            return
        self._check({"resourceType": each.key.type}, each.key, current)
        if not county_wide(self._access) and not all(patient in mine or self._known(patient) for patient in each.subjects):
            raise _stranger()

    def _known(self, patient: str) -> bool:
        return self.current(Key("Patient", patient)) is not None


def _stranger() -> HubError:
    return HubError("the patient referred to is not known here", kind=Kind.PROCESSING)


def _tagged(each: Ready) -> Resource:
    return {"resourceType": each.key.type, "meta": {"tag": [{"system": FACILITY_TAG, "code": code} for code in each.tags]}}


def _runs(ready: Sequence[Ready]) -> Iterator[list[Ready]]:
    """No key twice in one; what goes alone is one of its own."""
    run: list[Ready] = []
    keys: set[Key] = set()
    for each in ready:
        alone = each.key.type in ALONE or each.golden
        if run and (alone or each.key in keys):
            yield run
            run, keys = [], set()
        run.append(each)
        keys.add(each.key)
        if alone:
            yield run
            run, keys = [], set()
    if run:
        yield run
