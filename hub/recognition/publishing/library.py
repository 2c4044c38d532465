"""A recognition catalogue, or a table of quality evidence, ↔ a Library in the store. https://hl7.org/fhir/R4/library.html

Each version is a Library of its own that never changes: its id is derived from kind, id and version, and is one that only the hub
gives. In the same commit an entry of it is put on a shelf, by which every process sees at once that there is something new.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import msgspec
from pydantic import ValidationError

from hub.clock import instant
from hub.errors import HubError, Invalid
from hub.errors import Kind as Reason
from hub.keep import keep
from hub.settings import Policy
from hub.store.port import Key, ResourceStore, Saved, Transaction
from mappers.identity_keys import resource_id
from profiles.catalogue import Catalogue, Evidence
from profiles.names import HUB_TAG

Kind = Literal["catalogue", "evidence"]
Facts = Catalogue | Evidence
MODELS: Mapping[Kind, type[Catalogue] | type[Evidence]] = {"catalogue": Catalogue, "evidence": Evidence}
CODES: Mapping[Kind, str] = {"catalogue": "recognition-catalogue", "evidence": "recognition-evidence"}
TITLES: Mapping[Kind, str] = {"catalogue": "检查检验结果互认目录", "evidence": "室间质评证据"}
SHELF = "recognition-published"
LIBRARY_TYPE = "http://terminology.hl7.org/CodeSystem/library-type"
LARGEST = 8 * 1024 * 1024  # bytes of JSON


class Entry(msgspec.Struct, frozen=True):
    """Of a published version, on the shelf under its Library's id."""

    kind: Kind
    name: str  # id that its head states
    version: str
    region: str
    published: date
    at: int  # when it was published, UTC ms
    by: str  # name of the account
    rows: int  # items, or rows of evidence


@dataclass(frozen=True, slots=True)
class Publication:
    """What an account asks for."""

    facts: Facts

    @property
    def kind(self) -> Kind:
        return "catalogue" if isinstance(self.facts, Catalogue) else "evidence"

    @property
    def id(self) -> str:
        """Of the Library."""
        head = head_of(self.facts)
        return resource_id("Library", CODES[self.kind], head.id, head.version)


def head_of(facts: Facts) -> Any:
    return facts.catalogue if isinstance(facts, Catalogue) else facts.evidence


def rows_of(facts: Facts) -> int:
    return len(facts.items if isinstance(facts, Catalogue) else facts.rows)


def in_place_of(facts: Facts, catalogues: Iterable[Catalogue], evidence: Evidence) -> Facts | None:
    """Which of those that hold `facts` would take the place of; None if its area has none."""
    if isinstance(facts, Evidence):
        return evidence
    return next((each for each in catalogues if each.catalogue.region == facts.catalogue.region), None)


def is_facts(resource: Mapping[str, Any]) -> bool:
    """A Library that holds a catalogue or evidence, or says so."""
    codings = (resource.get("type") or {}).get("coding") if resource.get("resourceType") == "Library" else ()
    return any(c.get("system") == HUB_TAG and c.get("code") in CODES.values() for c in codings or () if isinstance(c, Mapping))


def library_of(publication: Publication, now: int) -> dict[str, Any]:
    """`now` in UTC ms."""
    head, kind = head_of(publication.facts), publication.kind
    content = json_of(publication.facts)
    region = getattr(head, "region", "")
    return {
        "resourceType": "Library",
        "id": publication.id,
        "url": f"urn:hub:{CODES[kind]}:{head.id}",
        "version": head.version,
        "title": getattr(head, "title", "") or f"{TITLES[kind]} {head.id}",
        "status": "active",
        "type": {"coding": [{"system": LIBRARY_TYPE, "code": "asset-collection"}, {"system": HUB_TAG, "code": CODES[kind]}]},
        "date": instant(now),
        "effectivePeriod": {"start": head.published.isoformat()},
        **({"jurisdiction": [{"text": region}]} if region else {}),
        **({"description": head.note} if head.note else {}),
        "content": [
            {
                "contentType": "application/json",
                "data": base64.b64encode(content).decode(),
                "size": len(content),
                "hash": base64.b64encode(hashlib.sha1(content).digest()).decode(),  # noqa: S324  what Attachment.hash asks for
            }
        ],
    }


def json_of(facts: Facts) -> bytes:
    """Raise Invalid for more than a catalogue may be."""
    content = facts.model_dump_json().encode()
    if len(content) > LARGEST:
        raise Invalid(f"more than {LARGEST >> 20} MB: split it by region")
    return content


def facts_of(kind: Kind, content: bytes) -> Facts:
    """Raise Invalid naming the place."""
    try:
        return MODELS[kind].model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise Invalid(f"{'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}") from None


def facts_in(library: Mapping[str, Any]) -> Facts:
    """What a Library that was published holds."""
    codes = {c.get("code") for c in library["type"]["coding"]}
    kind = next(kind for kind, code in CODES.items() if code in codes)
    return facts_of(kind, base64.b64decode(library["content"][0]["data"]))


class Published(HubError):
    """Another content has this id and version: who was told of a version must find the same under it."""

    kind = Reason.CONFLICT


def publish(transaction: Transaction, publication: Publication, by: str, now: int, policy: Policy) -> Saved:
    """Library and entry in one commit; the same again changes nothing. Raise Published."""
    key = Key("Library", publication.id)
    head, current = head_of(publication.facts), transaction.current(key)
    if current is not None and not current.deleted:
        if facts_in(msgspec.json.decode(current.body)) != publication.facts:
            raise Published(f"version {head.version} of {head.id} is published with other content: give this one another version")
        return Saved(current, created=False, changed=False)
    saved = keep(transaction, library_of(publication, now), id=key.id, facility="", now=now, policy=policy, method="PUT")
    region = getattr(head, "region", "")
    last = max((each.at for _, each in entries_of(tuple(transaction.items(SHELF)))), default=0)
    at = max(now, last + 1)  # of one day the one published later holds, whatever a clock does in between
    entry = Entry(publication.kind, head.id, head.version, region, head.published, at, by, rows_of(publication.facts))
    transaction.put_item(SHELF, key.id, msgspec.json.encode(entry))
    return saved


def entries_of(shelved: tuple[tuple[str, bytes], ...]) -> Iterator[tuple[str, Entry]]:
    """(id of the Library, entry)."""
    return ((id, msgspec.json.decode(value, type=Entry)) for id, value in shelved)


def shelved(store: ResourceStore) -> tuple[tuple[str, bytes], ...]:
    """Differs from before if anything was published since, by whichever process."""
    return tuple(store.items(SHELF))
