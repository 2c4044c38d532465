"""Every Patient settled anew, beside other work: when weights, thresholds or rules are not those by which they were settled.

A store that an earlier release filled is brought up to date so as well. The job's position is saved with every piece.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from hub.fhir_json import load
from hub.identity.linking import link_patient
from hub.identity.matching import KEY, SHELF, written
from hub.jobs import Job, Jobs, Run, patiently, submit
from hub.search.query import SearchQuery
from hub.settings import IdentitySettings
from hub.store.port import EVERYTHING, Key, ResourceStore, SearchPage, Transaction
from profiles.names import GOLDEN, HUB_TAG

KIND = "identity"
END = "end"
PIECE = 20  # Patients of one transaction: some 50 ms of the writer


def keep_matching(store: ResourceStore, settings: IdentitySettings, now: int) -> None:
    """When the hub opens a store, before it writes. Raise Invalid for weights that are none."""
    wanted = written(settings)
    if store.item(SHELF, KEY) == wanted:
        return
    filled = "Patient" in store.types()

    def work(transaction: Transaction) -> None:
        if transaction.item(SHELF, KEY) != wanted:
            transaction.put_item(SHELF, KEY, wanted)
            if filled:
                submit(transaction, KIND, now)

    store.write(work).result()


def serve_resettling(jobs: Jobs, clock: Callable[[], int]) -> None:
    jobs.serve(KIND, patiently(lambda run: _resettle(run, clock)))


def _resettle(run: Run, clock: Callable[[], int]) -> None:
    if not run.job.position:
        total = run.store.search(_patients(count=0), EVERYTHING).total or 0
        run.save(position="|", done=0, total=total)
    while run.job.position != END:
        page = run.store.search(_patients(count=PIECE, after=run.job.position[1:] or None), EVERYTHING)
        run.write(partial(_piece, run, page, clock()))


def _patients(*, count: int, after: str | None = None) -> SearchQuery:
    return SearchQuery("Patient", count=count, after=after, hidden_tags=((HUB_TAG, GOLDEN),), total="none" if count else "accurate")


def _piece(run: Run, page: SearchPage, now: int, transaction: Transaction) -> Job:
    for version in page.matches:
        current = transaction.current(Key("Patient", version.id))
        if current is not None and not current.deleted:
            link_patient(transaction, load(current.body), now)
    position = END if page.next is None else f"|{page.next}"
    return run.save_in(transaction, position=position, done=run.job.done + len(page.matches))
