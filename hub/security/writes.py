"""One caller's writes inside one transaction: each checked against the policy, all described by one AuditEvent."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from hub import fhir_json
from hub.directory.claims import TYPES as CLAIMING
from hub.directory.claims import check_claims
from hub.errors import Gone, HubError, Invalid, Kind, NotAllowed, NotFound
from hub.identity import operations as identities
from hub.identity.pairs import CODE, OPERATION, is_task
from hub.keep import keep, keep_all, remove
from hub.recognition.publishing.library import Publication, is_facts, publish
from hub.reindexing import drop_parameter
from hub.search.query import SearchQuery
from hub.security.access import Access
from hub.security.audit import Action, audit_event
from hub.security.consents import permits
from hub.security.emergencies import REASONS, emergency
from hub.security.policy import check_identity, check_publish, check_write, county_wide, is_golden, made_by_hub
from hub.security.precondition import ALWAYS, Precondition
from hub.security.reads import Reads, unknown
from hub.security.reviews import check_reviewer, reviewed
from hub.security.subjects import subjects_of
from hub.settings import County
from hub.store.compartments import patient_in
from hub.store.port import EVERYTHING, Key, Prepared, Resource, Saved, Transaction, Version
from hub.subscriptions.accept import accept, withdraw
from profiles.names import FACILITY_TAG

FIND_LIMIT = 200  # matches that a conditional interaction looks at before the policy narrows them
ALONE = frozenset({"SearchParameter", "Subscription"})
"""Types of which more follows than from others: each is saved by itself."""
_OURS = re.compile(r"[a-z2-7]{26}").fullmatch
_DIGEST = re.compile(r"[0-9a-f]{64}").fullmatch


def new_id() -> str:
    """128 random bits in the shape of our derived ids: nobody can guess one."""
    return base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()


def goes_alone(resource: Resource) -> bool:
    return resource["resourceType"] in ALONE or is_golden(resource)


def reserved(key: Key) -> bool:
    """Ids that only the hub gives: ours can be computed from a local number, a Binary's is the SHA-256 of its content."""
    return bool(_OURS(key.id)) or (key.type == "Binary" and bool(_DIGEST(key.id)))


class Change(Protocol):
    """What a patch makes of a version: the same of the same version, whenever it is asked."""

    def of(self, version: Version) -> Resource: ...


class Writes:
    """Belongs to one run of a transaction's work; a second run begins with a new one."""

    def __init__(
        self,
        transaction: Transaction,
        access: Access,
        county: County,
        now: int,
        reads: Reads,
    ) -> None:
        """`reads` are the caller's: what may be seen, and what a query stands for."""
        self._transaction = transaction
        self._access = access
        self._county = county
        self._now = now
        self._reads = reads
        self._touched: list[tuple[Action, str, Key, str]] = []
        self._subjects: dict[Key, set[str]] = {}  # ids of Patients, and what was written about them
        self._made: set[Key] = set()
        self._concerned: list[str] = []  # Patients that a decision on identities concerns
        self._reason = ""

    def new_key(self, type: str) -> Key:
        """A name for what is about to be created."""
        key = Key(type, new_id())
        self._made.add(key)
        return key

    def current(self, key: Key) -> Version | None:
        """The newest version, a deletion included; None for unknown and foreign alike."""
        version = self._transaction.current(key)
        return version if version is not None and self._visible(version) else None

    def find(self, query: SearchQuery) -> list[Key]:
        """At most two keys that match and that the caller may see."""
        found = []
        limit = 2 if county_wide(self._access) else FIND_LIMIT
        for key in self._transaction.find(self._reads.resolved(query), limit=limit, scope=self._reads.scope):
            version = self.current(key)
            if version is not None and not version.deleted:
                found.append(key)
            if len(found) == 2:
                break
        return found

    def only(self, query: SearchQuery) -> Key | None:
        """The one that matches, None if none does. Raise MULTIPLE_MATCHES when the criteria are not selective enough."""
        found = self.find(query)
        if len(found) > 1:
            raise HubError("several resources match the criteria", kind=Kind.MULTIPLE_MATCHES)
        return found[0] if found else None

    def save(
        self,
        resource: Resource,
        *,
        id: str = "",
        condition: Precondition = ALWAYS,
        new: bool = False,
        patch: bool = False,
    ) -> Saved:
        """Create (no id: one is made; or `new`, with the id that was made for it) or update."""
        key = Key(resource["resourceType"], id) if id else self.new_key(resource["resourceType"])
        current = self._transaction.current(key) if id else None
        expected = self._expected(key, current, condition)
        self._check(resource, key, current)
        condition.check_absent(current)
        if key.type == "Subscription":
            resource = accept(self._transaction, self._reads, self._access, resource, key.id, self._now, self._county)
        saved = keep(
            self._transaction,
            without_facility(resource),
            id=key.id,
            facility=self._owner(resource, current),
            now=self._now,
            policy=self._county.policy,
            method="PATCH" if patch else "PUT" if id and not new else "POST",
            if_match=expected,
        )
        return self._noted(resource, saved, patch=patch)

    def current_of(self, keys: Sequence[Key]) -> dict[Key, Version]:
        """For `ready`: the newest versions of those that ever were, whether or not they may be seen."""
        return self._transaction.current_of(keys)

    def ready(self, resource: Resource, key: Key, current: Version | None, *, new: bool = False) -> Prepared:
        """What `save` would write of a resource that does not go alone, looked at but not yet written."""
        self._check(resource, key, current)
        content, owner = without_facility(resource), self._owner(resource, current)
        return self._transaction.prepared(content, id=key.id, facility=owner, method="POST" if new else "PUT")

    def save_ready(self, resources: Sequence[tuple[Resource, Prepared]]) -> list[Saved]:
        """With few questions to the store, however many they are; no two of one key."""
        every = keep_all(self._transaction, [prepared for _, prepared in resources], self._now, self._county.policy)
        return [self._noted(resource, saved) for (resource, _), saved in zip(resources, every, strict=True)]

    def _noted(self, resource: Resource, saved: Saved, *, patch: bool = False) -> Saved:
        """For the AuditEvent, and for what is checked at the end."""
        done = "patch" if patch else "create" if saved.created else "update"
        self._touch("C" if saved.created else "U", done, saved.version)
        self._note_subjects(resource, saved.version)
        return saved

    def create_unless(self, resource: Resource, query: SearchQuery) -> tuple[Version, bool]:
        """Conditional create. Raise MULTIPLE_MATCHES when the criteria are not selective enough."""
        found = self.only(query)
        if found is None:
            return self.save(resource).version, True
        check_write(self._access, resource["resourceType"], None, hubs=made_by_hub(resource))
        return self.existing(found), False

    def matched(self, resource: Resource, query: SearchQuery) -> Key:
        """Which resource a conditional update writes. https://hl7.org/fhir/R4/http.html#cond-update

        Of the one that matches, or a new one: under the id that the resource states, if that is free.
        """
        found, stated = self.only(query), str(resource.get("id") or "")
        if found is not None:
            if stated and stated != found.id:
                raise Invalid("the resource that matches has another id", expression=(f"{found.type}.id",))
            return found
        if not stated:
            return self.new_key(resource["resourceType"])
        key = Key(resource["resourceType"], stated)
        current = self.current(key)
        if current is not None and not current.deleted:
            raise HubError(
                "nothing matches, and a resource with this id is there", kind=Kind.CONFLICT, expression=(f"{key.type}.id",)
            )
        return key

    def update_match(self, resource: Resource, query: SearchQuery, *, condition: Precondition = ALWAYS) -> Saved:
        key = self.matched(resource, query)
        return self.save({**resource, "id": key.id}, id=key.id, condition=condition, new=key in self._made)

    def amend(self, key: Key, change: Change, *, condition: Precondition = ALWAYS) -> Saved:
        """Patch. Raise NotFound for unknown and foreign alike, Gone for one's own that was deleted."""
        current = self.current(key)
        self._check_shipped(key, current)
        if current is None:
            raise unknown(key)
        if current.deleted:
            raise Gone(f"this {key.type} was deleted")
        self._expected(key, current, condition)
        condition.check_absent(current)
        check_write(self._access, key.type, current, hubs=_made_by_hub(current))
        return self.save(change.of(current), id=key.id, patch=True)

    def amend_match(self, query: SearchQuery, change: Change, *, condition: Precondition = ALWAYS) -> Saved:
        found = self.only(query)
        if found is None:
            raise NotFound("no resource matches the criteria")
        return self.amend(found, change, condition=condition)

    def delete_match(self, query: SearchQuery, *, condition: Precondition = ALWAYS) -> Saved | None:
        """Conditional delete of one; None if none matches."""
        found = self.only(query)
        if found is None:
            check_write(self._access, query.type, None)
            return None
        return self.delete(found, condition=condition)

    def existing(self, key: Key) -> Version:
        """What a conditional create found."""
        version = self.current(key)
        if version is None:
            raise unknown(key)
        self._touch("R", "create", version)
        return version

    def delete(self, key: Key, *, condition: Precondition = ALWAYS) -> Saved | None:
        """None if there was nothing to delete that this caller may see."""
        check_write(self._access, key.type, None)
        current = self.current(key)
        expected = self._expected(key, current, condition)
        self._check_shipped(key, current)
        if current is None:
            return None
        condition.check_absent(current)
        check_write(self._access, key.type, current, hubs=_made_by_hub(current))
        if key.type == "Task" and _about_identity(current):
            raise NotAllowed("what was decided about identities is not deleted: $undo takes it back")
        if _about_recognition(current):
            raise NotAllowed("a published catalogue or evidence is not deleted: publish another version")
        saved = remove(self._transaction, key, self._now, if_match=expected)
        if key.type == "SearchParameter":
            drop_parameter(self._transaction, key.id, self._now)
        if key.type == "Subscription":
            withdraw(self._transaction, key.id)
        self._touch("D", "delete", saved.version)
        return saved

    # -- whose records are one person's
    def decide(self, wish: identities.Wish) -> identities.Done:
        """Raise NotAllowed, NotFound, Invalid, or identities.Contradicts."""
        id = new_id()
        return self._identified(lambda who: identities.carry_out(self._transaction, wish, who, self._now, id), wish.reason)

    def take_back(self, operation: str, reason: str) -> identities.Done:
        return self._identified(lambda who: identities.undo(self._transaction, operation, reason, who, self._now), reason)

    def _identified(self, work: Callable[[identities.Who], identities.Done], reason: str) -> identities.Done:
        check_identity(self._access, {self._access.facility})
        who = identities.Who(self._access.name, self._access.token_id, lambda facilities: check_identity(self._access, facilities))
        try:
            done = work(who)
        except identities.Contradicts as error:
            raise identities.Contradicts(error.anonymous) if self._access.facility else error from None
        self._reason = identities.checked_reason(reason)
        self._concerned += done.patients
        self._touched.append(("E", "operation", Key("Task", str(done.operation["id"])), ""))
        return done

    def publish(self, publication: Publication) -> Saved:
        """A recognition catalogue or evidence. Raise NotAllowed, or Published for a version that has other content."""
        check_publish(self._access)
        saved = publish(self._transaction, publication, self._access.name, self._now, self._county.policy)
        self._touch("C" if saved.changed else "R", "operation", saved.version)
        return saved

    def break_glass(self, patient: str, reason: str, text: str) -> Version:
        """The Task that opens a person's record to this account. Raise NotFound, Invalid, NotAllowed."""
        key = Key("Patient", patient)
        task = emergency(self._access, patient, reason, text, self._now, self._county.policy)
        known = self._transaction.current(key)
        if known is None or known.deleted:
            raise unknown(key)
        policy = self._county.policy
        saved = keep(self._transaction, task, id=new_id(), facility="", now=self._now, policy=policy, method="POST")
        self._touch("C", "create", saved.version)
        self._reason = REASONS[reason]
        return saved.version

    def review(self, emergency: str, finding: str, text: str) -> Saved:
        """What the county found of an emergency access. Raise NotFound, Invalid, NotAllowed, or a conflict."""
        check_reviewer(self._access)
        key = Key("Task", emergency)
        current = self.current(key)
        if current is None or current.deleted:
            raise unknown(key)
        task = reviewed(fhir_json.load(current.body), self._access, finding, text, self._now)
        self._reason = f"{finding}: {text}"
        return self.save(task, id=key.id)

    def identified(self, query: SearchQuery) -> str:
        """The one person whom the criteria name, whether or not they may be seen: for an emergency alone. Raise NotFound."""
        found = self._transaction.find(query, limit=FIND_LIMIT, scope=EVERYTHING)
        persons = {self._transaction.person_of(key.id): key.id for key in found}
        if len(persons) != 1:
            raise NotFound("this identifier names no person, or several")
        return next(iter(persons.values()))

    def _note_subjects(self, resource: Resource, version: Version) -> None:
        self._subjects.setdefault(Key(version.type, version.id), set()).update(subjects_of(resource, patient_in(version.patient)))

    def check_subjects(self, written: Key) -> None:
        """A facility may write about patients it sees, no others: neither encounter nor link may open a stranger's record."""
        patients = self._subjects.pop(written, set())
        if not county_wide(self._access) and any(self.current(Key("Patient", patient)) is None for patient in patients):
            raise HubError("the patient referred to is not known here", kind=Kind.PROCESSING)

    def finish(self, interaction: str, key: Key | None) -> Resource:
        """Check what can only be checked at the end; the AuditEvent of it all."""
        for written in list(self._subjects):
            self.check_subjects(written)
        patients = [*self._concerned, *(patient for *_, patient in self._touched if patient)]
        if interaction != "transaction" and len(self._touched) == 1:
            action, interaction, key, _ = self._touched[0]
            return audit_event(
                self._access,
                action=action,
                interaction=interaction,
                key=key,
                patients=patients,
                reason=self._reason,
                now=self._now,
            )
        keys = [touched for _, _, touched, _ in self._touched]
        return audit_event(self._access, action="E", interaction=interaction, key=key, keys=keys, patients=patients, now=self._now)

    def _check(self, resource: Resource, key: Key, current: Version | None) -> None:
        if is_task(resource, CODE, OPERATION) or (key.type == "Task" and current is not None and _about_identity(current)):
            raise NotAllowed("what is decided about identities is written by $link, $unlink, $merge, $split and $undo alone")
        if is_facts(resource) or (current is not None and _about_recognition(current)):
            raise NotAllowed("recognition catalogues and evidence are published at /ops/recognition alone")
        check_write(self._access, key.type, None, hubs=made_by_hub(resource))
        if key.type == "Consent" and self._access.role == "clinician" and permits(resource, self._access.facility):
            raise NotAllowed("a permission for the own facility is recorded by who verified it (role system), not by a clinician")
        if key.type in CLAIMING:
            check_claims(resource, key.id, "" if county_wide(self._access) else self._access.facility, self._county)
        self._check_shipped(key, current)
        if current is None and (key in self._made or county_wide(self._access) or self._free(key)):
            return
        if current is None or not self._visible(current):
            raise self._unknown(key)  # nobody takes an id that another facility's system will be given, or learns whether it was
        check_write(self._access, key.type, current, hubs=_made_by_hub(current))

    def _check_shipped(self, key: Key, current: Version | None) -> None:
        """Raise NotAllowed for a definition that comes with the hub; one that was stored under its id before stays its owner's."""
        if current is None and self._reads.shipped(key):
            raise NotAllowed(
                "this definition comes with the hub: nobody changes or deletes it here; a county's own file of the same URL beside"
                " county.toml takes its place, and another definition takes another id"
            )

    def _expected(self, key: Key, current: Version | None, condition: Precondition) -> int | None:
        """The version that If-Match asks for. Raise VersionConflict, the same for unknown and foreign, where there is none."""
        if condition.match is None:
            return None
        check_write(self._access, key.type, None)
        return condition.expected(current if current is not None and self._visible(current) else None, key.type)

    def _unknown(self, key: Key) -> NotFound:
        """Of an id that is another's, used or not."""
        if not self._county.policy.facility_ids:
            return unknown(key)
        return NotFound(f"no {key.type} with this id, and one that is chosen here begins with {self._access.facility}-")

    def _free(self, key: Key) -> bool:
        """Whether a facility may choose this id. With `facility_ids` the answer never depends on what others have stored."""
        own = not self._county.policy.facility_ids or self._county.facility_of_id(key.id) == self._access.facility
        return own and not reserved(key)

    def _owner(self, resource: Resource, current: Version | None) -> str:
        """A facility's token writes for its facility. A county-wide one may say whose the record is, by tag."""
        if not county_wide(self._access):
            return self._access.facility
        stated = [str(t.get("code", "")) for t in _tags(resource) if t.get("system") == FACILITY_TAG]
        if not stated:
            return current.facility if current is not None else ""
        if len(stated) > 1 or (self._county.facilities and self._county.facility(stated[0]) is None):
            raise NotAllowed("the facility tag names no facility of this county")
        return stated[0]

    def _visible(self, version: Version) -> bool:
        own = bool(self._access.facility) and version.facility == self._access.facility
        return own or self._reads.visible(version)

    def _touch(self, action: Action, interaction: str, version: Version) -> None:
        self._touched.append((action, interaction, Key(version.type, version.id), version.patient))


def _about_identity(version: Version) -> bool:
    return not version.facility and not version.deleted and is_task(fhir_json.load(version.body), CODE, OPERATION)


def _about_recognition(version: Version) -> bool:
    return version.type == "Library" and not version.deleted and is_facts(fhir_json.load(version.body))


def _made_by_hub(version: Version) -> bool:
    possible = version.type == "Task" or (version.type == "Patient" and not version.facility)
    return possible and not version.deleted and made_by_hub(fhir_json.load(version.body))


def _tags(resource: Resource) -> list[dict[str, Any]]:
    tags = (resource.get("meta") or {}).get("tag") or []
    return [tag for tag in tags if isinstance(tag, dict)]


def without_facility(resource: Resource) -> Resource:
    """The resource without the tag that the hub owns; `keep` sets it. The caller's object stays as it is."""
    tags = _tags(resource)
    others = [tag for tag in tags if tag.get("system") != FACILITY_TAG]
    if len(others) == len(tags):
        return resource
    meta = {name: value for name, value in resource["meta"].items() if name != "tag"}
    return {**resource, "meta": {**meta, "tag": others} if others else meta}
