"""Index entries anew, in pieces between which others write: for a search parameter that came, changed or went, or when asked.

The work is a job (hub.jobs): its position is saved with every piece, so a restart goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from hub.jobs import Job, Jobs, Run, patiently, submit
from hub.search.custom import GENERATIONS, SHELF, Custom, custom_of, customs_in, next_generation, put
from hub.search.parameters import published
from hub.search.query import SearchQuery
from hub.search.searchable import NOTICE_SECONDS, Searchable
from hub.store.port import EVERYTHING, Resource, ResourceStore, Transaction

KIND = "reindex"
END = "end"
PIECE = 50  # resources of one transaction: some 20 ms of the writer


class _Arguments(msgspec.Struct, frozen=True):
    types: tuple[str, ...] = ()
    forget: tuple[tuple[str, str], ...] = ()  # (type, code) of parameters whose entries go first
    custom: str = ""  # on the shelf; ready when the job is done …
    revision: int = 0  # … unless it has changed since


# -- what makes it necessary


def keep_parameter(transaction: Transaction, resource: Resource, id: str, now: int) -> None:
    """A SearchParameter was stored: register what it says now, in the same transaction. Raise NotAnswerable."""
    others = customs_in(transaction)
    _register(transaction, id, custom_of(resource, id, others), _former(others, id), now)


def drop_parameter(transaction: Transaction, id: str, now: int) -> None:
    """A SearchParameter was deleted."""
    _register(transaction, id, None, _former(customs_in(transaction), id), now)


def _former(customs: Sequence[Custom], id: str) -> Custom | None:
    return next((custom for custom in customs if custom.id == id), None)


def _register(transaction: Transaction, id: str, custom: Custom | None, former: Custom | None, now: int) -> None:
    if former is custom or (custom is not None and former is not None and custom.same_as(former)):
        return
    revision = next_generation(transaction)
    if custom is None:
        transaction.put_item(SHELF, id, None)
    else:
        put(transaction, msgspec.structs.replace(custom, revision=revision))
    arguments = _Arguments(
        types=custom.base if custom else (),
        forget=tuple((base, former.code) for base in former.base) if former else (),
        custom=custom.id if custom else "",
        revision=revision,
    )
    submit(transaction, KIND, now, arguments=msgspec.to_builtins(arguments))


def submit_types(transaction: Transaction, types: Sequence[str], now: int, *, caller: str = "") -> Job:
    return submit(transaction, KIND, now, arguments=msgspec.to_builtins(_Arguments(types=tuple(types))), caller=caller)


EXTRACTION = b"3"
"""Which entries hub.search.extract finds: to be counted up when it finds others, so that older stores are indexed anew."""


def keep_up(store: ResourceStore, now: int) -> None:
    """When the hub opens a store, before it writes: one that an earlier release has filled is indexed anew, beside its work."""
    if store.item(GENERATIONS, "extraction") == EXTRACTION:
        return
    filled = bool(store.changes(EVERYTHING, count=1).versions)

    def work(transaction: Transaction) -> None:
        if transaction.item(GENERATIONS, "extraction") != EXTRACTION:
            transaction.put_item(GENERATIONS, "extraction", EXTRACTION)
            if filled:
                submit_types(transaction, sorted(published().types), now)

    store.write(work).result()


# -- the work


def serve_reindexing(jobs: Jobs, searchable: Searchable, *, sole: bool) -> None:
    settle = 0.0 if sole else 2 * NOTICE_SECONDS  # by then every process on the store indexes by the new parameter
    jobs.serve(KIND, patiently(lambda run: _reindex(run, searchable, lambda: time.sleep(settle))))


def _reindex(run: Run, searchable: Searchable, settle: Callable[[], None]) -> dict[str, Any]:
    arguments = msgspec.convert(run.job.arguments, _Arguments)
    searchable.look()
    settle()
    if not run.job.position:
        run.save(position="forget|0", done=0, total=sum(_count(run, type) for type in arguments.types))
    while run.job.position != END:
        run.write(lambda transaction: _piece(run, transaction, arguments))
    searchable.look()
    return _told(run.job.done)


def _piece(run: Run, transaction: Transaction, arguments: _Arguments) -> Job:
    """The position says what: forget|which parameter, extract|which type|after what."""
    verb, number, after = (*run.job.position.split("|", 2), "")[:3]
    done, which = run.job.done, int(number)
    if verb == "forget":
        if which == len(arguments.forget):
            return run.save_in(transaction, position="extract|0|", done=done)
        more = transaction.forget(*arguments.forget[which])
        return run.save_in(transaction, position=f"forget|{which if more else which + 1}", done=done)
    if which == len(arguments.types):
        _make_ready(transaction, arguments)
        return run.save_in(transaction, position=END, done=done)
    found = transaction.reindex(arguments.types[which], after, PIECE)
    position = f"extract|{which}|{found.next}" if found.next is not None else f"extract|{which + 1}|"
    return run.save_in(transaction, position=position, done=done + found.done)


def _make_ready(transaction: Transaction, arguments: _Arguments) -> None:
    custom = _former(customs_in(transaction), arguments.custom)
    if custom is not None and custom.revision == arguments.revision:
        next_generation(transaction)
        put(transaction, msgspec.structs.replace(custom, ready=True))


def _count(run: Run, type: str) -> int:
    return run.store.search(SearchQuery(type, count=0, total="accurate"), EVERYTHING).total or 0


def _told(resources: int) -> dict[str, Any]:
    """The answer to the one who asked. https://hl7.org/fhir/R4/parameters.html"""
    return {"resourceType": "Parameters", "parameter": [{"name": "resources", "valueInteger": resources}]}
