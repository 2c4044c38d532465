"""How every process of a store learns that a definition changed: one small value by type, set in the same commit."""

from __future__ import annotations

from hub.store.port import ResourceStore, Saved, Transaction

SHELF = "terminology"
TYPES = ("CodeSystem", "ValueSet", "ConceptMap")


def note_change(transaction: Transaction, saved: Saved) -> None:
    """To be called in the transaction that saved or deleted a resource; every other type is passed over."""
    version = saved.version
    if saved.changed and version.type in TYPES:
        transaction.put_item(SHELF, version.type, f"{version.id}/{version.version}".encode())


def last_change(store: ResourceStore) -> tuple[bytes, ...]:
    """Differs from before if any definition was written since, by whichever process."""
    return tuple(value for _, value in store.items(SHELF))
