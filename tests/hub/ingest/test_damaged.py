"""A body that changed on disk after it was acknowledged never becomes resources."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from connectors.base import SourceRecord
from hub.ingest.journal import INLINE, Journal, Selection
from hub.ingest.mapping import MapperHere
from hub.ingest.replay import Filter, Replays, ask
from hub.store.blobs import BlobStore
from tests.hub.ingest.messages import RECORD, oru
from tests.hub.ingest.test_pipeline import House, house

__all__ = ["house"]


def long_record(number: int) -> SourceRecord:
    content = oru(number) + f"NTE|1||{'长' * INLINE}\r".encode()
    return replace(RECORD, key=f"M{number}", content=content)


def change(folder: Path, sha256: str) -> None:
    """The value of a result, and nothing that a parser would stumble over."""
    path = folder / "blobs" / sha256[:2] / sha256
    path.write_bytes(path.read_bytes().replace(b"|4.10|", b"|9.10|"))


def reopened(house: House) -> None:
    """As after a restart."""
    house.journal.close()
    house.blobs = BlobStore(house.folder / "blobs")
    house.journal = Journal(house.folder, house.blobs)
    house.replays = Replays(house.journal, house.store)
    house.mapper = MapperHere({}, house.blobs)


def test_what_a_former_process_took_in_is_compared_with_its_digest(house: House) -> None:
    house.journal(long_record(1), long_record(2))
    assert all(entry.in_blobs and entry.fresh for entry in house.journal.after(0))
    (first, _) = house.journal.after(0)
    change(house.folder, first.sha256)
    reopened(house)
    house.drain()
    assert [house.store.outcome(seq).state for seq in (1, 2)] == ["dead", "done"]
    assert house.store.outcome(1).reason.startswith("Damaged")
    assert {str(o["valueQuantity"]["value"]) for o in house.all("Observation")} == {"4.10"}


def test_a_replay_compares_too_and_keeps_what_was_made_of_the_right_bytes(house: House) -> None:
    house.journal(long_record(1))
    house.drain()
    (entry,) = house.journal.entries([1])
    assert not entry.fresh
    change(house.folder, entry.sha256)
    ask(house.journal, Filter(selection=Selection(source=RECORD.source)))
    house.drain()
    assert house.store.outcome(1).reason.startswith("Damaged")
    assert {str(o["valueQuantity"]["value"]) for o in house.all("Observation")} == {"4.10"}
