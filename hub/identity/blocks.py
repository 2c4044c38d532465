"""Where the Patients stand that may be one person: few small sets, each of those that share a number, or two of name, birth date,
telephone and address.

Whatever the rules link or doubt shares such a set (hub.identity.rules), so nobody is compared with everybody: what a Patient costs
does not grow with the county. A set that too many share (a filler for a telephone, 张伟 born on 1970-01-01) tells nobody from
anybody: it is given up, which is noted and counted, and who is in it must share another one to be found.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import NamedTuple, Protocol

from hub.identity.facts import Facts

log = logging.getLogger(__name__)

SHELF, GIVEN_UP = "identity-block", "identity-block-given-up"
MOST = 50  # Patients of one set
FULL = b"*"
_KINDS = (
    ("number", "numbers"),
    ("number", "strange"),
    ("card", "cards"),
    ("record", "records"),
    ("document", "documents"),
    ("local", "locals"),
)


class Block(NamedTuple):
    kind: str  # number, card, record, document, local, merge, name-birth, name-phone, name-address, phone-birth, address-birth
    key: str  # a digest: nothing of a person stands in the store's keys


class Shelves(Protocol):
    def item(self, shelf: str, key: str) -> bytes | None: ...


class Writable(Shelves, Protocol):
    def put_item(self, shelf: str, key: str, value: bytes | None) -> None: ...


class Listed(Protocol):
    def items(self, shelf: str, *, prefix: str = "", after: str = "", limit: int = 1000) -> list[tuple[str, bytes]]: ...


def blocks_of(facts: Facts) -> list[Block]:
    """The surest first."""
    return [Block(kind, digest(kind, *values)) for kind, *values in dict.fromkeys(_shared(facts))]


def merged_into(id: str) -> Block:
    """Where those stand whom a facility replaced by Patient `id`, so that it finds them whichever came first."""
    return Block("merge", digest("merge", id))


def _shared(facts: Facts) -> Iterator[tuple[str, ...]]:
    for kind, field in _KINDS:
        for value in sorted(getattr(facts, field)):
            yield kind, value
    names, phones, addresses = facts.latin[:1], sorted(facts.phones), sorted(facts.addresses)
    for kind, one, other in (
        ("name-phone", names, phones),
        ("name-address", names, addresses),
        ("phone-birth", phones, facts.births),
        ("address-birth", addresses, facts.births),
        ("name-birth", names, facts.births),
    ):
        for values in product(one, other):
            yield kind, *values


def digest(*values: str) -> str:
    """Of values that name a person."""
    hashed = hashlib.blake2b("\x1f".join(values).encode(), digest_size=10).digest()
    return base64.b32encode(hashed).decode().lower()


def members(shelves: Shelves, block: Block) -> list[str] | None:
    """Patients' ids; None of a set that was given up."""
    kept = shelves.item(SHELF, block.key)
    if kept == FULL:
        return None
    return kept.decode().split("\n") if kept else []


def enter(transaction: Writable, id: str, blocks: Iterable[Block], belongs: Callable[[str, Block], bool]) -> list[str]:
    """Put the Patient where it can be found. The ids of those who were in a set that is given up now: they are settled anew.

    `belongs`: whether a member's Patient, as it is now, still stands in the set; asked only of one that is full.
    """
    displaced: list[str] = []
    for block in blocks:
        inside = members(transaction, block)
        if inside is None or id in inside:
            continue
        if len(inside) >= MOST:
            inside = [each for each in inside if belongs(each, block)]
        if len(inside) < MOST:
            transaction.put_item(SHELF, block.key, "\n".join([*inside, id]).encode())
            continue
        transaction.put_item(SHELF, block.key, FULL)
        transaction.put_item(GIVEN_UP, f"{block.kind}|{block.key}", b"1")
        log.warning("identity: more than %d Patients share one %s: it finds nobody any more", MOST, block.kind)
        displaced += inside
    return list(dict.fromkeys(displaced))


def given_up(shelves: Listed, most: int = 10_000) -> Counter[str]:
    """How many sets of each kind tell nobody from anybody, of the first `most`."""
    found: Iterable[tuple[str, bytes]] = shelves.items(GIVEN_UP, limit=most)
    return Counter(key.partition("|")[0] for key, _ in found)
