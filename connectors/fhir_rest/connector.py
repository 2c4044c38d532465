"""Resources changed on another FHIR server since the cursor, and those deleted there.

The cursor holds, by type, the greatest meta.lastUpdated that was taken: the server's clock, never ours. Each walk begins `overlap`
seconds before it, for a version may be found later than it was stamped; what of that is known already is left out. Within a walk
the server's own links lead from page to page, so that any number of changes of the same instant are all seen.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import quote, urlencode, urlsplit

from connectors.base import Cursor, Page, SourceDenied, SourceRecord, SourceUnavailable
from connectors.fhir_rest.bulk import Bulk
from connectors.fhir_rest.client import FhirClient
from connectors.fhir_rest.config import FhirRestConfig
from connectors.fhir_rest.pages import Entry, check_release, read_page
from connectors.http import Outward

MOST_PAGES = 1_000_000  # of one walk: a server whose links lead in circles ends here


class FhirRestConnector:
    def __init__(
        self,
        config: FhirRestConfig,
        *,
        source: str,
        facility: str,
        outward: Outward,
        hints: Mapping[str, str] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.source = source
        self._config = config
        self._facility = facility
        self._clock = clock
        http = outward((config.base_url, config.token_url), config.ca_file)
        self._client = FhirClient(config.base_url, config, http, seconds=config.seconds)
        self._host = urlsplit(config.base_url).netloc
        self._hints = {**(hints or {}), "base": self._client.base, "server": config.server or self._host.replace(":", "-")}
        if "Binary" in config.types:
            self._hints["binaries"] = "1"
        self._overlap = timedelta(seconds=config.overlap)
        self._known: OrderedDict[str, None] = OrderedDict()
        self._bulk = Bulk(self._client, config, self._records)

    # -- whether it can be done
    def check(self) -> None:
        """The server answers, takes us, speaks R4, and does what the mode asks of it: each told apart."""
        self._client.check()
        if self._config.mode == "bulk":
            return
        for type in self._config.types[:1]:
            self._asked(f"{type}?_lastUpdated=ge1900-01-01&_count=1", "search by _lastUpdated")
            if self._config.mode == "history" or self._config.deletions:
                self._asked(f"{type}/_history?_count=1", "the history of a type (set deletions = false to do without)")

    def _asked(self, path: str, what: str) -> None:
        answer = self._client.patiently(lambda: self._client.ask("GET", path, limit=self._config.page_bytes))
        if answer.status != 200:
            raise SourceDenied(f"{self._host} does not answer {what}: HTTP {answer.status}")
        check_release(answer.headers.get("content-type", ""), self._host)
        read_page(answer.body, self._host)

    # -- what has changed
    def fetch(self, cursor: Cursor) -> Iterator[Page]:
        if self._config.mode == "bulk":
            yield from self._bulk.fetch(cursor)
            return
        cursor = dict(cursor)
        for type in self._config.types:
            if self._config.mode == "history":
                yield from self._newest(cursor, f"history:{type}", type, deletions_only=False)
                continue
            yield from self._changed(cursor, type)
            deleted = f"deleted:{type}"
            cursor.setdefault(deleted, cursor.get(type, ""))  # nothing was taken before
            if self._config.deletions and cursor[deleted]:
                yield from self._newest(cursor, deleted, type, deletions_only=True)

    def done(self, page: Page) -> None:
        """Nothing is left at the source."""

    def _changed(self, cursor: dict[str, str], type: str) -> Iterator[Page]:
        """The oldest change first: each page's cursor is safe, as long as the server keeps to that order; else the last one's."""
        asked = {"_sort": "_lastUpdated", "_count": str(self._config.count)}
        if since := cursor.get(type, ""):
            asked = {"_lastUpdated": f"ge{self._before(since)}", **asked}
        query = "&".join(filter(None, (self._config.criteria.get(type, ""), _query(asked))))
        latest, sorted_so_far = _moment(since), True
        for entries in self._pages(f"{type}?{query}"):
            stated = [entry.updated for entry in entries if entry.updated is not None]
            for updated in stated:
                sorted_so_far = sorted_so_far and (latest is None or updated >= latest - self._overlap)
                latest = max(latest or updated, updated)
            if sorted_so_far and latest is not None:
                cursor[type] = latest.isoformat()
            if records := self._records(self._unknown(entries)):
                yield Page(records, dict(cursor))
        yield from self._concluded(cursor, type, latest)

    def _newest(self, cursor: dict[str, str], name: str, type: str, *, deletions_only: bool) -> Iterator[Page]:
        """A history begins with the newest: of each resource the first seen stands, and only the last page's cursor is safe."""
        since = cursor.get(name, "")
        asked = {"_count": str(self._config.count), **({"_since": self._before(since)} if since else {})}
        latest, seen = _moment(since), set[str]()
        for page in self._pages(f"{type}/_history?{_query(asked)}"):
            for updated in (entry.updated for entry in page if entry.updated is not None):
                latest = max(latest or updated, updated)
            newest = [entry for entry in page if not (entry.name in seen or seen.add(entry.name))]  # type: ignore[func-returns-value]
            if records := self._records(self._unknown([each for each in newest if each.deleted or not deletions_only])):
                yield Page(records, dict(cursor))
        yield from self._concluded(cursor, name, latest)

    def _concluded(self, cursor: dict[str, str], name: str, latest: datetime | None) -> Iterator[Page]:
        if latest is not None and cursor.get(name) != latest.isoformat():
            cursor[name] = latest.isoformat()
            yield Page((), dict(cursor))

    def _pages(self, path: str) -> Iterator[list[Entry]]:
        walked: set[str] = set()
        while path:
            url = self._client.within(path)
            if url in walked or len(walked) >= MOST_PAGES:
                raise SourceUnavailable(f"{self._host}: the link to the next page leads back")
            walked.add(url)
            answer = self._client.patiently(partial(self._client.ask, "GET", url, limit=self._config.page_bytes))
            if answer.status != 200:
                raise SourceUnavailable(f"{self._host}: HTTP {answer.status} to a search")
            check_release(answer.headers.get("content-type", ""), self._host)
            entries, path = read_page(answer.body, self._host)
            yield entries

    def _before(self, since: str) -> str:
        """The overlap earlier, in UTC."""
        at = datetime.fromisoformat(since) - self._overlap
        return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    # -- pages of records
    def _unknown(self, entries: list[Entry]) -> list[Entry]:
        found = []
        for entry in entries:
            name = f"{entry.key}{'!' if entry.deleted else ''}"
            if not entry.version or name not in self._known:
                found.append(entry)
            self._known[name] = None
            self._known.move_to_end(name)
        while len(self._known) > self._config.remember:
            self._known.popitem(last=False)
        return found

    def _records(self, entries: list[Entry]) -> tuple[SourceRecord, ...]:
        now = self._clock()
        return tuple(
            SourceRecord(
                source=self.source,
                facility=self._facility,
                kind="fhir/deleted" if entry.deleted else "fhir",
                key=entry.key,
                content=entry.content,
                received_at=now,
                changed_at=entry.updated,
                hints=self._hints,
            )
            for entry in entries
        )


def _query(asked: Mapping[str, str]) -> str:
    return urlencode(asked, quote_via=quote, safe=":")


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
