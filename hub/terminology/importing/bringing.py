"""A file is brought in: looked at first, compared with what is kept, then written through the door as one resource.

The same bytes again do nothing. Another edition stands beside the former one; the same edition from other bytes becomes a new
version of its resource, so that every former one stays readable.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub.search.query import Criterion, SearchQuery, TokenValue
from hub.security.access import Access
from hub.security.policy import check_configure
from hub.store.port import ResourceStore, Version
from hub.terminology.importing.kinds import table_kinds
from hub.terminology.importing.resource import FILE_CHECKSUM, Naming, changes, definition, named
from hub.terminology.importing.table import Progress, Table, read_table
from hub.terminology.sources import SCOPE

if TYPE_CHECKING:
    from hub.app import Hub
    from hub.terminology.service import Terminology


@dataclass(frozen=True, slots=True)
class Asked:
    """What the importer says of a file; "" leaves it to the file."""

    file: str
    kind: str = ""
    system: str = ""
    edition: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """Against `version` of the same code system: how many codes, and the first of them."""

    version: str
    new: tuple[str, ...]
    renamed: tuple[str, ...]
    gone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """What a file would become. `kept`: the resource that was made from the same bytes already."""

    table: Table
    naming: Naming
    kept: str = ""
    differences: tuple[Difference, ...] = ()


def look(
    content: bytes,
    asked: Asked,
    store: ResourceStore,
    terminology: Terminology,
    beside: Path | None,
    told: Progress = lambda _: None,
) -> Look:
    """Read the file and compare it with what is there; nothing is written. Raise Invalid saying what to do."""
    table, naming = _read(content, asked, beside, told)
    if kept := _made_from(store, table, naming):
        return Look(table, naming, kept)
    return Look(table, naming, differences=tuple(_differences(table, naming, terminology)))


def _read(content: bytes, asked: Asked, beside: Path | None, told: Progress = lambda _: None) -> tuple[Table, Naming]:
    table = read_table(content, asked.file, table_kinds(beside), asked.kind, told)
    checksum = hashlib.sha256(content).hexdigest()
    naming = named(table, checksum=checksum, file=asked.file, system=asked.system, edition=asked.edition, title=asked.title)
    return table, naming


def _made_from(store: ResourceStore, table: Table, naming: Naming) -> str:
    type = "ConceptMap" if table.kind.maps else "CodeSystem"
    found = (version for version in _by_checksum(store, type, naming.checksum) if version.id == naming.id)
    return next((f"{version.type}/{version.id}" for version in found), "")


def _by_checksum(store: ResourceStore, type: str, checksum: str) -> tuple[Version, ...]:
    criterion = Criterion("identifier", "token", (TokenValue(FILE_CHECKSUM, checksum),))
    return store.search(SearchQuery(type, (criterion,), count=10), SCOPE).matches


def _differences(table: Table, naming: Naming, terminology: Terminology) -> list[Difference]:
    if table.kind.maps:
        return []
    found = []
    for url, version in terminology.code_systems():
        if url != naming.system or (there := terminology.code_system(url, version)) is None:
            continue
        new, renamed, gone = changes(table, zip(there.codes, there.displays, strict=True))
        found.append(Difference(version, tuple(new), tuple(renamed), tuple(gone)))
    return found


@dataclass(frozen=True, slots=True)
class Brought:
    resource: str
    version: int
    codes: int
    wrong: int
    changed: bool


async def bring(hub: Hub, who: Access, content: bytes, asked: Asked, beside: Path | None) -> Brought:
    """Write it. For admin and it without a facility: what a code means is the whole hub's. Raise NotAllowed, Invalid."""
    check_configure(who)
    table, naming = await asyncio.to_thread(_read, content, asked, beside)
    resource, codes, wrong = definition(table, naming), table.size, table.wrong
    del table  # of 200,000 drugs it takes as much memory as what is made of it
    writer = replace(who, role="system")  # definitions are clinical writers' too; the audit keeps the name
    saved = await hub.door.save(writer, resource, id=naming.id)
    kept = f"{resource['resourceType']}/{naming.id}"
    return Brought(kept, saved.version.version, codes, wrong, saved.changed)


REQUEST = "import-table"


def brought(hub: Hub, body: Mapping[str, Any], beside: Path | None) -> dict[str, Any]:
    """A command's request: {"who", "blob": SHA-256 of the file among the hub's blobs, …the members of Asked}. Raise HubError."""
    who = Access(name=str(body["who"]), role="it", purpose="HOPERAT", address="127.0.0.1")
    asked = Asked(**{name: str(body.get(name, "")) for name in Asked.__slots__})
    content = hub.blobs.read(str(body["blob"]))
    return asdict(asyncio.run(bring(hub, who, content, asked, beside)))
