"""One answer of a FHIR server → its entries, each byte for byte as it came, and where the next page is.

https://hl7.org/fhir/R4/http.html#paging, https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from connectors.base import SourceDenied, SourceUnavailable


class Meta(msgspec.Struct):
    version: str = msgspec.field(default="", name="versionId")
    updated: str = msgspec.field(default="", name="lastUpdated")


class Head(msgspec.Struct):
    """What of a resource a connector looks at."""

    type: str = msgspec.field(default="", name="resourceType")
    id: str = ""
    meta: Meta | None = None


class Request(msgspec.Struct):
    method: str = ""
    url: str = ""


class Response(msgspec.Struct):
    modified: str = msgspec.field(default="", name="lastModified")
    etag: str = ""


class Search(msgspec.Struct):
    mode: str = ""


class RawEntry(msgspec.Struct):
    full_url: str = msgspec.field(default="", name="fullUrl")
    resource: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    request: Request | None = None
    response: Response | None = None
    search: Search | None = None


class Link(msgspec.Struct):
    relation: str = ""
    url: str = ""


class RawBundle(msgspec.Struct):
    type: str = msgspec.field(default="", name="resourceType")
    entry: list[msgspec.Raw] = []
    link: list[Link] = []


@dataclass(frozen=True, slots=True)
class Entry:
    """A version of a resource, or its deletion: then `content` is the history's entry."""

    type: str
    id: str
    version: str
    updated: datetime | None
    content: bytes
    deleted: bool = False

    @property
    def name(self) -> str:
        return f"{self.type}/{self.id}"

    @property
    def key(self) -> str:
        return f"{self.name}/{self.version}" if self.version else self.name


def read_page(content: bytes, host: str) -> tuple[list[Entry], str]:
    """Entries in the order of the page, and the URL of the next one or "". Raise SourceUnavailable for what is no Bundle."""
    try:
        bundle = msgspec.json.decode(content, type=RawBundle)
        if bundle.type != "Bundle":
            raise SourceUnavailable(f"{host}: the answer is no Bundle")
        entries = [entry for raw in bundle.entry if (entry := _entry(raw)) is not None]
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise SourceUnavailable(f"{host}: the answer is no Bundle") from None
    return entries, next((each.url for each in bundle.link if each.relation == "next"), "")


def _entry(raw: msgspec.Raw) -> Entry | None:
    """None for what was included beside the matches and for outcomes."""
    entry = msgspec.json.decode(raw, type=RawEntry)
    if entry.search is not None and entry.search.mode not in ("", "match"):
        return None
    if entry.request is not None and entry.request.method == "DELETE":
        return _deletion(raw, entry, entry.request.url)
    content = bytes(entry.resource)
    return entry_of(content) if content else None


def _deletion(raw: msgspec.Raw, entry: RawEntry, url: str) -> Entry | None:
    """Type and id stand in request.url, or where that is conditional in fullUrl."""
    path = url if "?" not in url and url.count("/") else entry.full_url
    type, _, id = path.rstrip("/").partition("/_history")[0].rpartition("/")
    type = type.rpartition("/")[2]
    response = entry.response or Response()
    version = response.etag.removeprefix("W/").strip('"')
    return Entry(type, id, version, moment(response.modified), bytes(raw), deleted=True) if type and id else None


def entry_of(content: bytes) -> Entry | None:
    """A resource by itself. Raise msgspec.DecodeError for what is none."""
    head = msgspec.json.decode(content, type=Head)
    if not head.id or not head.type:
        return None
    meta = head.meta or Meta()
    return Entry(head.type, head.id, meta.version, moment(meta.updated), content)


def moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def check_release(content_type: str, host: str) -> None:
    """Raise SourceDenied where the answer says that it is another release. https://hl7.org/fhir/R4/versioning.html#mt-version"""
    _, mark, rest = content_type.lower().partition("fhirversion=")
    release = rest.partition(";")[0].strip(' "')
    if mark and not release.startswith("4.0"):
        raise SourceDenied(f"{host} answers in FHIR {release[:8]}; this connector reads R4 (4.0)")
