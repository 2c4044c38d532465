"""Whom a doctor's station means: the hub's own id, a national number, or the facility's own patient number. Never a guess."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from hub.records.reader import Reader
from hub.search.folding import fold_code
from hub.search.query import Criterion, SearchQuery, TokenValue
from hub.security.access import Access
from hub.security.door import Door
from hub.store.port import Key
from mappers.identity_keys import local_system

MOST = 10  # Patients that one number may find; they must all be one person


async def reader_of(
    door: Door, access: Access, orderer: str, id: str, identifiers: Iterable[tuple[str, str]] = ()
) -> Reader | None:
    """For the one person that these name; None for nobody that this caller may see, and for several.

    `id`: of a Patient here, or the orderer's own number; `identifiers`: (system, value) that the station knows of them.
    """
    known = [(system, value) for system, value in identifiers if system and value]
    if id:
        if await door.read_many(access, [Key("Patient", id)]):
            return await _reader(door, access, id)
        known.append((local_system(orderer, "patient"), id))
    if not known:
        return None
    values = tuple(TokenValue(system, fold_code(value)) for system, value in known)
    page = await door.search(access, SearchQuery("Patient", (Criterion("identifier", "token", values),), count=MOST))
    readers = [await _reader(door, access, version.id) for version in page.matches]
    one = len({reader.person for reader in readers}) == 1 and page.next is None
    return readers[0] if one else None


async def _reader(door: Door, access: Access, id: str) -> Reader:
    """The event loop, which keeps the time limit of every order, waits for no server."""
    return await asyncio.to_thread(Reader, door, access, id) if door.waits else Reader(door, access, id)
