"""What became of each thing sent: a shelf beside the events, by destination and number.

A letter is `sent`, `dead` (set aside with a reason; the lane went on) or `skipped` (there was nothing to send). Dead ones stay
until they are discarded or sent again; of the others the newest are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from hub.store.port import ResourceStore, Transaction
from hub.subscriptions.outbox import DIGITS, Event

LETTERS = "outbox-letter"
OBJECTS = "outbox-object"  # DICOM instances that a destination has, by destination and blob
KEPT = 5000  # of a destination, dead ones not counted
PREFIX = "destination/"  # no resource's id holds a slash

State = Literal["sent", "dead", "skipped"]
Source = ResourceStore | Transaction


class Letter(msgspec.Struct, frozen=True):
    event: Event
    state: State
    control_id: str = ""
    problem: str = ""  # why it is dead or was skipped: codes and kinds, nobody's data
    attempts: int = 1
    at: int = 0  # UTC ms
    left_out: str = ""  # elements of the record that could not be said there


def lane_of(name: str) -> str:
    """The id under which a destination is registered."""
    return f"{PREFIX}{name}"


def name_of(lane: str) -> str:
    return lane.removeprefix(PREFIX)


def key_of(lane: str, number: int) -> str:
    return f"{lane}|{number:0{DIGITS}}"


def put_letter(transaction: Transaction, lane: str, number: int, letter: Letter | None) -> None:
    transaction.put_item(LETTERS, key_of(lane, number), msgspec.json.encode(letter) if letter is not None else None)


def letter_in(source: Source, lane: str, number: int) -> Letter | None:
    found = source.item(LETTERS, key_of(lane, number))
    return msgspec.json.decode(found, type=Letter) if found is not None else None


def letters_in(source: Source, lane: str, *, after: int = 0) -> Iterator[tuple[int, Letter]]:
    """By number, the oldest first."""
    last = key_of(lane, after)
    while page := source.items(LETTERS, prefix=f"{lane}|", after=last):
        for key, value in page:
            yield int(key[-DIGITS:]), msgspec.json.decode(value, type=Letter)
        last = page[-1][0]


def forget_old(transaction: Transaction, lane: str, number: int) -> None:
    """The letter that is one too many, now that `number` was put."""
    old = number - KEPT
    if old > 0 and (letter := letter_in(transaction, lane, old)) is not None and letter.state != "dead":
        put_letter(transaction, lane, old, None)


# -- what a destination has of a study
def object_key(lane: str, sha256: str) -> str:
    return f"{lane}|{sha256}"


def has_object(source: Source, lane: str, sha256: str) -> bool:
    return source.item(OBJECTS, object_key(lane, sha256)) is not None


def put_object(transaction: Transaction, lane: str, sha256: str) -> None:
    transaction.put_item(OBJECTS, object_key(lane, sha256), b"1")
