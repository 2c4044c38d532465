"""What every connector yields and promises.

A connector that asks (SQL, files) has `fetch` and a cursor; one that listens (MLLP, DICOM) hands each record to `Intake` and
acknowledges when `Intake` returns, for then the bytes are synced to disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

Cursor = Mapping[str, str]
"""How far a source was read; opaque to everyone but its connector. Empty: from the beginning."""


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One record as its source sent it: the bytes, and an envelope that says where they came from."""

    source: str  # the channel's name in county.toml, e.g. "cty-lis"
    facility: str  # code of the facility that the channel speaks for, e.g. "CTY"
    kind: str  # what the bytes are: "hl7v2", "cda", "dicom", "row/v_patient"
    key: str  # the source's own name for it: MSH-10, primary key, file name, SOPInstanceUID
    content: bytes  # exactly what came over the wire; a row is JSON
    received_at: datetime  # aware
    changed_at: datetime | None = None  # the source's change time, where it states one
    hints: Mapping[str, str] = field(default_factory=dict)
    """Channel settings a mapper may need (charset, zone, peer), and what the connector says of the record itself.

    `held`: why nothing becomes of it until a person has looked. `control_id_days`: for so long `key` names one record
    of `control_id_of`, and another body under it is a contradiction.
    """


@dataclass(frozen=True, slots=True)
class Page:
    """Some records, and the cursor that is safe once they are journaled."""

    records: tuple[SourceRecord, ...]
    cursor: Cursor


class SourceDenied(Exception):
    """The source is there and refuses us: credentials or rights."""


class SourceUnavailable(Exception):
    """The source cannot be reached or does not answer."""


class JournalUnavailable(Exception):
    """The record could not be kept: the sender must not get a positive acknowledgement."""


class Intake(Protocol):
    """Where a connector puts what it got. Safe to call from any thread."""

    def __call__(self, *records: SourceRecord) -> tuple[int, ...]:
        """Keep the records, synced to disk, and return their journal numbers. Raise JournalUnavailable otherwise."""


class Checkpoints(Protocol):
    def load(self, source: str) -> Cursor: ...
    def save(self, source: str, cursor: Cursor) -> None: ...


class Polling(Protocol):
    """A connector that asks its source."""

    source: str

    def check(self) -> None:
        """Raise SourceDenied or SourceUnavailable before the first run, not halfway through one."""

    def fetch(self, cursor: Cursor) -> Iterator[Page]:
        """Yield pages, oldest change first; each carries the cursor that is safe once its records are journaled."""

    def done(self, page: Page) -> None:
        """The page's records are journaled: a file connector now moves its files. Called before the cursor is saved."""


class Listening(Protocol):
    """A connector that its source calls."""

    source: str

    def check(self) -> None:
        """Raise SourceUnavailable if the port cannot be bound."""

    def start(self) -> None:
        """Bind and serve from threads of its own; return once the port accepts connections."""

    def stop(self) -> None:
        """Stop accepting, let what is in flight finish within a few seconds, release the port."""
