"""A large CodeSystem made ready: its codes, hierarchy and index of texts, kept in the store so that no start makes them anew.

To read a hundred thousand concepts from their JSON and to know how they are typed takes seconds; to take up what is kept here takes
a tenth of that. It hangs on one version of the resource: a new version has another name, and what nothing names any more goes.
Whatever is missing counts as not kept.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

import msgspec

from hub import fhir_json
from hub.errors import Invalid
from hub.search.query import SearchQuery
from hub.store.port import EVERYTHING, Key, ResourceStore, Transaction
from hub.terminology.changes import SHELF as CHANGES
from hub.terminology.concepts import CodeSystem
from hub.terminology.document import Core, Notes
from hub.terminology.sources import Found, found_in
from hub.terminology.texts import TextIndex

READY, BLOCKS = "code-system", "code-system-block"  # shelves: what is kept, and its pieces
FORM = 1  # changes with what the parts are
LARGE = 128 * 1024  # bytes of JSON; less is read as fast from the resource itself
BLOCK = 2 * 1024 * 1024  # a document of MongoDB holds sixteen
PAGE = 20  # CodeSystems looked at together
T = TypeVar("T")


class Texts(msgspec.Struct, array_like=True):
    text: str
    starts: bytes


class Kept(msgspec.Struct):
    """How many blocks each part has."""

    blocks: dict[str, int]
    form: int = FORM


_decoders: dict[type, Callable[[bytes], Any]] = {
    Core: msgspec.msgpack.Decoder(Core).decode,
    Texts: msgspec.msgpack.Decoder(Texts).decode,
    Notes: msgspec.json.Decoder(Notes, float_hook=Decimal).decode,  # a number is spelled as in the resource
}


def keep(store: ResourceStore, version: Found) -> None:
    mark, system = version.mark, CodeSystem.read(version.body)
    parts = {
        Core: _blocks(msgspec.msgpack.encode(system.core)),
        Notes: _blocks(fhir_json.dump(system.notes)),
        Texts: _blocks(msgspec.msgpack.encode(Texts(*system.texts.parts))),
    }

    def work(transaction: Transaction) -> None:
        for part, blocks in parts.items():
            for number, block in enumerate(blocks):
                transaction.put_item(BLOCKS, _place(mark, part, number), block)
        transaction.put_item(READY, mark, msgspec.json.encode(Kept({part.__name__: len(each) for part, each in parts.items()})))

    store.write(work).result()


def taken_up(store: ResourceStore, version: Found) -> CodeSystem | None:
    """None if it is not kept. What is asked for later, and was dropped meanwhile, is read from the resource's history."""
    mark = version.mark
    core = _part(store, mark, Core) if len(version.body) >= LARGE else None
    if core is None:
        return None

    def again() -> CodeSystem:
        type, id, number = mark.split("/")
        return CodeSystem.read(store.vread(Key(type, id), int(number)).body)

    def texts() -> TextIndex | None:
        found = _part(store, mark, Texts)
        return TextIndex.of_parts(found.text, found.starts) if found is not None else None

    return CodeSystem(core, lambda: _part(store, mark, Notes) or again().notes, texts, size=len(version.body))


class Keeper:
    """Keeps what is large of the store's CodeSystems ready, and nothing else."""

    def __init__(self, store: ResourceStore) -> None:
        self._store = store
        self._seen: bytes | None = None
        self._looked = False

    def look(self) -> None:
        """Short work unless a CodeSystem was written since."""
        change = self._store.item(CHANGES, "CodeSystem")
        if self._looked and change == self._seen:
            return
        marks = set()
        for version in self._large():
            marks.add(version.mark)
            if _kept(self._store, version.mark) is None:
                with suppress(Invalid):  # whoever asks for it is told
                    keep(self._store, version)
        self._drop_others(marks)
        self._seen, self._looked = change, True

    def _large(self) -> Iterator[Found]:
        after: str | None = None
        while True:
            page = self._store.search(SearchQuery("CodeSystem", count=PAGE, after=after), EVERYTHING)
            yield from (found_in(version) for version in page.matches if len(version.body) >= LARGE)
            if (after := page.next) is None:
                return

    def _drop_others(self, marks: set[str]) -> None:
        for mark, _ in self._store.items(READY):
            if mark not in marks:
                self._store.write(partial(_drop, mark=mark)).result()


def _drop(transaction: Transaction, mark: str) -> None:
    for place, _ in transaction.items(BLOCKS, prefix=f"{mark}#"):
        transaction.put_item(BLOCKS, place, None)
    transaction.put_item(READY, mark, None)


def _kept(store: ResourceStore, mark: str) -> Kept | None:
    found = store.item(READY, mark)
    kept = msgspec.json.decode(found, type=Kept) if found is not None else None
    return kept if kept is not None and kept.form == FORM else None


def _part(store: ResourceStore, mark: str, part: type[T]) -> T | None:
    kept = _kept(store, mark)
    blocks = store.items(BLOCKS, prefix=_place(mark, part)) if kept is not None else []
    if kept is None or len(blocks) != kept.blocks.get(part.__name__):
        return None
    found: T = _decoders[part](zlib.decompress(b"".join(block for _, block in blocks)))
    return found


def _place(mark: str, part: type, number: int | None = None) -> str:
    return f"{mark}#{part.__name__}#" + (f"{number:04}" if number is not None else "")


def _blocks(content: bytes) -> list[bytes]:
    packed = zlib.compress(content, 1)
    return [packed[at : at + BLOCK] for at in range(0, len(packed), BLOCK)]
