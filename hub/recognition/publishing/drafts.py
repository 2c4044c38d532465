"""Catalogues and evidence that were brought in and are not published yet: a small shelf, the oldest make room."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import msgspec

from hub.errors import NotFound
from hub.recognition.publishing.library import Facts, Kind, Publication, facts_of, head_of, json_of, rows_of
from hub.store.port import ResourceStore, Transaction

SHELF = "recognition-draft"
MOST = 20


class Draft(msgspec.Struct, frozen=True):
    id: str  # in the order of bringing in
    kind: Kind
    file: str
    by: str
    at: int  # UTC ms
    name: str  # id that its head states
    version: str
    rows: int
    content: str  # JSON of the catalogue or evidence
    job: str = ""  # the last what-if run

    @property
    def facts(self) -> Facts:
        return facts_of(self.kind, self.content.encode())

    def tried_by(self, job: str) -> Draft:
        return msgspec.structs.replace(self, job=job)


def draft_of(facts: Facts, file: str, by: str, now: int) -> Draft:
    """`now` in UTC ms. Raise Invalid for more than a catalogue may be."""
    head, id = head_of(facts), f"{now:014d}-{secrets.token_hex(8)}"
    kind, content = Publication(facts).kind, json_of(facts).decode()
    return Draft(id, kind, file[:100], by, now, head.id, head.version, rows_of(facts), content)


def keep_draft(transaction: Transaction, draft: Draft) -> None:
    transaction.put_item(SHELF, draft.id, msgspec.json.encode(draft))
    for id, _ in transaction.items(SHELF)[:-MOST]:
        transaction.put_item(SHELF, id, None)


def drop_draft(transaction: Transaction, id: str) -> None:
    transaction.put_item(SHELF, id, None)


def draft_in(source: ResourceStore | Transaction, id: str) -> Draft:
    """Raise NotFound."""
    kept = source.item(SHELF, id)
    if kept is None:
        raise NotFound("no such draft: it was published, or made room for newer ones")
    return msgspec.json.decode(kept, type=Draft)


def drafts_in(source: ResourceStore) -> Iterator[Draft]:
    """The newest first."""
    return (msgspec.json.decode(kept, type=Draft) for _, kept in reversed(source.items(SHELF)))
