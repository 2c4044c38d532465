"""The promises of a store of versioned FHIR resources; every backend keeps them alike.

Reads see the last committed state. Writes run as functions inside one transaction: all or nothing, acknowledged only when synced to
disk. The tables that must change in the same transaction as resources (which journal record had which effect, who is whom,
who treats whom) are part of the port, so that "exactly one effect" is one commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from hub.errors import HubError, Kind
from hub.search.entries import Entry
from hub.search.query import SearchQuery
from hub.store.compartments import RESTRICTED

T = TypeVar("T")
Resource = dict[str, Any]
Writing = Literal["POST", "PUT", "PATCH"]
Method = Literal[Writing, "DELETE"]


class TooCostly(HubError):
    """The query was stopped at its limit of time or size."""

    kind = Kind.TOO_COSTLY


class Key(NamedTuple):
    type: str
    id: str


@dataclass(frozen=True, slots=True)
class Version:
    """One version of one resource. `body` is its JSON with meta.versionId and meta.lastUpdated; empty for a deletion."""

    type: str
    id: str
    version: int
    updated: int  # UTC milliseconds
    deleted: bool
    body: bytes
    method: Method  # what made this version, for history
    facility: str = ""  # whose record it is
    patient: str = ""  # the compartment in which it lies: the Patient's id, or a restricted one (compartments); "" for none

    @property
    def etag(self) -> str:
        return f'W/"{self.version}"'


@dataclass(frozen=True, slots=True)
class Saved:
    version: Version
    created: bool
    changed: bool  # False: the same content again, no new version was made


class Addition(NamedTuple):
    """A resource to be created under an id that nobody has used yet."""

    resource: Resource
    id: str
    facility: str = ""


class Prepared(NamedTuple):
    """A resource made ready to be stored under `id`, owned by `facility`: by `Transaction.prepared`, or by hub.bulk's processes.

    `front` and `rest` are its JSON around the version (hub.store.content.halves); `index` is what the store's `prepare` made of all
    its index entries.
    """

    type: str
    id: str
    facility: str
    patient: str
    front: bytes
    rest: bytes
    index: Any
    method: Writing = "PUT"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a reader may see; the store narrows every query by it. The default sees nothing.

    A resource is visible if `everything`; or if its type is in `types` (None: any) and one of these holds: its facility is
    `facility`; it belongs to no patient and its type is in `shared_types`; its patient's person has a relation at `now` that
    opens the record to `facility` or `holder` (hub.store.compartments); it belongs to the person of `patient`. What lies in a
    restricted compartment is only for a reader who is `cleared`, whichever of these holds.
    """

    everything: bool = False
    facility: str = ""
    types: frozenset[str] | None = frozenset()
    shared_types: frozenset[str] = frozenset()
    now: int = 0  # UTC milliseconds
    holder: str = ""  # a party of its own beside the facility
    patient: str = ""  # any id of the person whose own record the reader sees
    cleared: bool = False

    def shows(self, resource_type: str, facility: str, patient: str) -> bool | None:
        """Whether such a resource is visible; None: if a relation with its person opens its compartment, `patient`."""
        if self.everything:
            return True
        if self.types is not None and resource_type not in self.types:
            return False
        if not patient and resource_type in self.shared_types:
            return True
        if patient.startswith(RESTRICTED) and not self.cleared:
            return False
        if self.facility and facility == self.facility:
            return True
        return None if patient and (self.facility or self.patient) else False


EVERYTHING = Scope(everything=True, types=None)


@dataclass(frozen=True, slots=True)
class SearchPage:
    """`matches` in order, `included` beside them; `next` is the position after the last match, None at the end."""

    matches: tuple[Version, ...]
    included: tuple[Version, ...] = ()
    next: str | None = None
    total: int | None = None  # only when asked for, or when all matches are on this page
    truncated_includes: bool = False  # more resources would have been included than the cap allows


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Versions, the newest change first, deletions included; `next` is the position after the last, None at the end."""

    versions: tuple[Version, ...]
    next: str | None = None
    total: int | None = None  # when all are on this page


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one journal record."""

    seq: int  # its journal number
    state: Literal["done", "dead", "discarded"]  # discarded: it was dead, and a person said that it stays so
    reason: str = ""  # why it is dead
    attempts: int = 1
    resources: tuple[str, ...] = ()  # "Type/id" that it created or changed, or found already as they are
    issues: tuple[Mapping[str, str], ...] = ()
    ledger: Mapping[str, int] = field(default_factory=dict)
    finished: int = 0  # UTC milliseconds
    source: str = ""
    facility: str = ""
    kind: str = ""
    note: str = ""  # why it is discarded, in that person's words

    @property
    def unmapped(self) -> dict[tuple[str, str], str]:
        """Its codes that nothing maps, each once: (system, code) to display."""
        found = (issue for issue in self.issues if issue["code"] == "unmapped-code" and issue.get("value"))
        return {(issue.get("system", ""), issue["value"]): issue.get("display", "") for issue in found}


@dataclass(frozen=True, slots=True)
class SourceTally:
    """What became of a source's records, all told."""

    done: int = 0
    dead: int = 0
    issues: int = 0  # records done that have at least one
    resources: int = 0  # created, changed or found by them, a resource counted once a record
    discarded: int = 0

    @staticmethod
    def of(outcome: Outcome) -> SourceTally:
        """What one record adds."""
        return SourceTally(
            done=int(outcome.state == "done"),
            dead=int(outcome.state == "dead"),
            issues=int(outcome.state == "done" and bool(outcome.issues)),
            resources=len(outcome.resources),
            discarded=int(outcome.state == "discarded"),
        )

    @property
    def finished(self) -> int:
        """Records with an outcome: all others wait."""
        return self.done + self.dead + self.discarded


@dataclass(frozen=True, slots=True)
class UnmappedCode:
    """A source's code that no table maps yet: what a person should map next."""

    system: str
    code: str
    display: str
    records: int  # done, and holding it


class Reindexed(NamedTuple):
    next: str | None  # None: the last one was reached
    done: int


class Transaction(Protocol):
    """Inside `ResourceStore.write`. Sees its own changes."""

    # -- small values by key, for what a part of the hub must remember in the same commit: jobs, deliveries, leases
    def item(self, shelf: str, key: str) -> bytes | None: ...

    def put_item(self, shelf: str, key: str, value: bytes | None) -> None:
        """Insert or replace; None removes."""

    def items(self, shelf: str, *, prefix: str = "", after: str = "", limit: int = 1000) -> list[tuple[str, bytes]]:
        """By key, in the order of its characters' code points; those that begin with `prefix` and come after `after`."""

    # -- resources
    def current(self, key: Key) -> Version | None:
        """The newest version, a deletion included; None if it never was."""

    def save(
        self,
        resource: Resource,
        *,
        id: str,
        facility: str = "",
        method: Writing = "PUT",
        if_match: int | None = None,
    ) -> Saved:
        """Add a version and its index entries. Sets id, meta.versionId and meta.lastUpdated; the same content again adds none.

        Raise VersionConflict if the current version is not `if_match`.
        """

    def expect(self, keys: Iterable[Key]) -> None:
        """`current` and `stamps` of these will be asked for, one by one: a store that is far away may look them up together."""

    def current_of(self, keys: Sequence[Key]) -> dict[Key, Version]:
        """The newest versions of those that ever were, deletions included; one question for many."""

    def prepared(self, resource: Resource, *, id: str, facility: str = "", method: Writing = "PUT") -> Prepared:
        """For `save_all`, what `save` would store."""

    def save_all(self, resources: Sequence[Prepared]) -> list[Saved]:
        """As `save` does one after the other, but with few questions; no two are of the same key."""

    def add(self, additions: Sequence[Addition]) -> None:
        """Create many at once, without looking whether an id is taken: it is not; all or none."""

    def delete(self, key: Key, *, if_match: int | None = None) -> Saved:
        """Add a deletion; deleting again adds none. Raise NotFound if it never was."""

    def find(self, query: SearchQuery, *, limit: int = 2, scope: Scope = EVERYTHING) -> list[Key]:
        """Keys matching, of what is visible, for conditional interactions; sees this transaction's own changes.

        Two transactions that ask for the same criteria are done one after the other, in all processes of the store: what both
        would create is created once.
        """

    # -- the index, when what is extracted has changed
    def reindex(self, type: str, after: str = "", limit: int = 200) -> Reindexed:
        """Extract the entries of the next `limit` undeleted resources of a type anew, without a new version.

        `after` is what a former call returned as `next`; "" begins. What lacks an entry gets it. Tokens and URIs that are no longer
        extracted need not go: `forget` takes them, by the parameter.
        """

    def forget(self, type: str, code: str, limit: int = 5000) -> bool:
        """Remove about `limit` index entries of one parameter, and of the codes beside it ("code:text"); True if more are left.

        A store that keeps the entries within the resource, and writes all of them anew in `reindex`, may leave them to that.
        """

    # -- whose is it
    def person_of(self, patient: str) -> str:
        """The golden Patient's id that this patient is linked to, or the patient's own id."""

    def patients_of(self, person: str) -> tuple[str, ...]:
        """Every patient id linked to the person, the golden's own id not included; (person,) when unlinked."""

    def assign_person(self, patient: str, person: str) -> None:
        """Link; `person == patient` unlinks."""

    def relate(self, source: Key, relations: Iterable[tuple[str, str, int]]) -> None:
        """What `source` proves now, in place of what it proved before: (party, compartment it opens or closes, until UTC ms)."""

    # -- what became of a journal record, and when each element of a resource was last stated
    def outcome(self, seq: int) -> Outcome | None: ...

    def record_outcome(self, outcome: Outcome) -> None:
        """Insert or replace."""

    def stamps(self, key: Key) -> dict[str, str]:
        """Element name → source time (ISO, UTC) + tie-break of its last statement; {} if none."""

    def set_stamps(self, key: Key, stamps: Mapping[str, str]) -> None: ...


class ResourceStore(Protocol):
    """Thread-safe. Readers never wait for the writer."""

    @property
    def shared(self) -> bool:
        """Other hubs, on other data folders, may read and write it at the same time."""

    @property
    def prepare(self) -> Callable[[str, Iterable[Entry]], Any]:
        """A module's function, which another process may call: entries of a type → `Prepared.index`, of what `marshal` knows."""

    def write(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Run `work` in a transaction; the Future resolves after the commit is synced. An exception rolls only this work back.

        After a conflict with another process `work` is run again from its beginning: it must not remember its first try.
        """

    def moment(self) -> AbstractContextManager[object]:
        """Reads of this thread inside are as of one moment, where the store is an embedded one, and cost less together."""

    def read(self, key: Key) -> Version:
        """The current version. Raise NotFound if it never was, Gone if it was deleted. No policy here: see hub.security.door."""

    def vread(self, key: Key, version: int) -> Version:
        """Raise NotFound for an unknown version, Gone for the version that is a deletion."""

    def history(self, key: Key, *, count: int, before: int | None = None) -> list[Version]:
        """Newest first, deletions included; versions below `before` for the next page. Raise NotFound if it never was."""

    def changes(
        self,
        scope: Scope,
        *,
        type: str = "",
        id: str = "",
        count: int,
        since: int | None = None,
        at: tuple[int, int] | None = None,
        after: str | None = None,
    ) -> HistoryPage:
        """History of one resource, a type ("" id) or everything ("" type), of what is visible.

        `since`: made at or after this instant (UTC ms). `at`: current at some time in [low, high). `after`: a former page's `next`.
        A version is seen if it, and the newest version of its resource, are visible under `scope`.
        """

    def item(self, shelf: str, key: str) -> bytes | None: ...

    def items(self, shelf: str, *, prefix: str = "", after: str = "", limit: int = 1000) -> list[tuple[str, bytes]]: ...

    def read_many(self, keys: Iterable[Key]) -> list[Version]:
        """Current, undeleted versions of those that exist, in the order asked."""

    def types(self) -> frozenset[str]:
        """Of which anything was ever written, whoever may see it."""

    def search(self, query: SearchQuery, scope: Scope) -> SearchPage:
        """One page. `query.after` is a former page's `next`. Raise TooCostly past the statement limit."""

    def search_briefly(self, query: SearchQuery, scope: Scope) -> SearchPage | None:
        """The same page if it takes no more than a few milliseconds, on the event loop itself; None: it takes `search`."""

    def visible(self, versions: Sequence[Version], scope: Scope) -> list[Version]:
        """Those that the policy shows: the second check, on the way out."""

    def person_of(self, patient: str) -> str: ...

    def patients_of(self, person: str) -> tuple[str, ...]: ...

    def one_person(self, patient: str) -> tuple[str, ...]:
        """All ids under which the person's records may lie: the golden Patient's first, then every linked one's."""

    def treats(self, facility: str, patient: str, now: int) -> bool:
        """The facility has a treatment relation with the patient's person at `now`."""

    def outcome(self, seq: int) -> Outcome | None: ...

    def outcomes(
        self, *, state: str = "", source: str = "", after: int = 0, before: int = 0, limit: int = 1000, newest: bool = False
    ) -> list[Outcome]:
        """By journal number, above `after` and, unless 0, below `before`; `newest`: the last ones, backwards."""

    def tallies(self) -> dict[str, SourceTally]:
        """By source; kept up with every outcome, so it costs nothing to ask."""

    def unmapped(self, limit: int = 50) -> list[UnmappedCode]:
        """Those that most records hold first; kept up with every outcome, so a code that was mapped and replayed is gone."""

    def finished_after(self, seq: int) -> int:
        """The highest n such that every journal record seq+1 … n has an outcome (seq itself if none): where to resume."""

    def close(self) -> None: ...
