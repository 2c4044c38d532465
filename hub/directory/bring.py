"""A directory's files are looked at first, then written through the door: what did not change makes no version."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hub.directory.facilities import merged
from hub.directory.identifiers import known_numbers
from hub.directory.resources import Made, Reading, Said
from hub.directory.sheet import rows
from hub.errors import NotAllowed
from hub.fhir_json import load
from hub.search.folding import fold_code
from hub.search.query import Criterion, SearchQuery, TokenValue
from hub.security.access import Access
from hub.settings import County
from hub.store.port import Key
from profiles.names import FACILITY_TAG

if TYPE_CHECKING:
    from hub.app import Hub
    from hub.security.writes import Writes

REQUEST = "import-directory"
AT_ONCE = 500  # resources of one transaction


@dataclass(frozen=True, slots=True)
class Brought:
    counts: Mapping[str, int]  # created, updated, unchanged
    said: tuple[Said, ...]


def look(files: Sequence[tuple[str, bytes]], county: County) -> tuple[list[Made], list[Said]]:
    """What the files would become: resources, and what is wrong with which row. Raise Invalid for a file that is no directory."""
    numbers = known_numbers(county.directory.identifiers)
    headings = {heading: number.name for number in numbers.values() for heading in (number.title, number.title_en, number.name)}
    reading = Reading(county, numbers)
    reading.read([row for name, content in files for row in rows(content, name, headings)])
    return list(reading.made.values()), reading.said


async def bring(hub: Hub, who: Access, files: Sequence[tuple[str, bytes]]) -> Brought:
    """Write it; rows with an error are left out and told. For admin without a facility. Raise NotAllowed, Invalid."""
    if who.role != "admin" or who.facility:
        raise NotAllowed("the directory is the whole county's: it takes an admin token that belongs to no facility")
    made, said = await asyncio.to_thread(look, files, hub.county)
    counts: Counter[str] = Counter()
    for start in range(0, len(made), AT_ONCE):
        some = made[start : start + AT_ONCE]
        done, more = await hub.door.transaction(who, lambda writes, some=some: _written(writes, some))  # type: ignore[misc]
        counts.update(done)
        said += more
    return Brought(counts, tuple(said))


def _written(writes: Writes, some: Sequence[Made]) -> tuple[list[str], list[Said]]:
    done, said = [], []
    for each in some:
        resource, problems = _unclaimed(writes, each.resource)
        said += problems
        key = Key(resource["resourceType"], resource["id"])
        current = writes.current(key)
        former = load(current.body) if current is not None and not current.deleted else {}
        tag = {"meta": {"tag": [{"system": FACILITY_TAG, "code": each.facility}]}} if each.facility else {}
        saved = writes.save({**_over(former, resource), **tag}, id=key.id)
        done.append("created" if saved.created else "updated" if saved.changed else "unchanged")
    return done, said


def _over(former: dict[str, Any], resource: dict[str, Any]) -> dict[str, Any]:
    """Who has identifiers keeps those that the sheet says nothing of; the rest is as the sheet says."""
    return merged(former, resource) if "identifier" in resource else resource


def _unclaimed(writes: Writes, resource: dict[str, Any]) -> tuple[dict[str, Any], list[Said]]:
    """Without the numbers that another one in the store has already: one of the two is wrong, and nobody guesses which."""
    kept, said = [], []
    for identifier in resource.get("identifier", ()):
        value = TokenValue(identifier["system"], fold_code(identifier["value"]))
        query = SearchQuery(resource["resourceType"], (Criterion("identifier", "token", (value,)),))
        others = [key.id for key in writes.find(query) if key.id != resource["id"]]
        if others:
            where = f"{resource['resourceType']}/{resource['id']}"
            said.append(Said("", 0, True, f"{where}: {identifier['system']} is {resource['resourceType']}/{others[0]}'s already"))
        else:
            kept.append(identifier)
    return ({**resource, "identifier": kept} if "identifier" in resource else resource), said


def brought(hub: Hub, body: Mapping[str, Any]) -> dict[str, Any]:
    """A command's request: {"who", "files": [[name, SHA-256 of the file among the hub's blobs]]}. Raise HubError."""
    files = [(str(name), hub.blobs.read(str(sha))) for name, sha in body["files"]]
    who = Access(name=str(body["who"]), role="admin", purpose="HOPERAT", address="127.0.0.1")
    done = asyncio.run(bring(hub, who, files))
    return {"counts": dict(done.counts), "said": [asdict(each) for each in done.said]}
