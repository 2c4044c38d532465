"""Bulk Data: an export of everything, or of what changed since the last one, file by file.

https://hl7.org/fhir/uv/bulkdata/export.html. The cursor holds where the export is told of and how far its files were read, so that
a run which was cut goes on at the line after the last one journaled; the next export asks for what changed since this one began.

| Cursor | Meaning |
|---|---|
| `since` | transactionTime of the last export that was read to its end |
| `status` | where the present one is told of |
| `at` | its transactionTime |
| `file`, `line` | files read to their ends, and lines read of the one after them |
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from typing import IO
from urllib.parse import urlencode

import msgspec

from connectors.base import Cursor, Page, SourceDenied, SourceRecord, SourceUnavailable
from connectors.fhir_rest.client import FhirClient
from connectors.fhir_rest.config import FhirRestConfig
from connectors.fhir_rest.pages import Entry, entry_of, read_page
from connectors.http import HttpAnswer
from connectors.http_client import read_json, retry_after

NDJSON = "application/fhir+ndjson"
MANIFEST_BYTES = 16 << 20
AT_ONCE_SECONDS = 30.0  # a longer wait is left to the next look


class File(msgspec.Struct):
    type: str = ""
    url: str = ""


class Manifest(msgspec.Struct):
    transaction_time: str = msgspec.field(default="", name="transactionTime")
    output: list[File] = []
    deleted: list[File] = []
    error: list[File] = []


class Bulk:
    def __init__(
        self, client: FhirClient, config: FhirRestConfig, records: Callable[[list[Entry]], tuple[SourceRecord, ...]]
    ) -> None:
        self._client = client
        self._config = config
        self._records = records

    def fetch(self, cursor: Cursor) -> Iterator[Page]:
        state = dict(cursor)
        if not state.get("status"):
            state = {**state, "status": self._kick_off(state.get("since", "")), "file": "0", "line": "0"}
            yield Page((), state)
        manifest = self._manifest(state["status"])
        if manifest is None:
            return  # not ready: the next look asks again
        if manifest is GONE:
            yield Page((), {name: value for name, value in state.items() if name == "since"})
            return
        state["at"] = manifest.transaction_time
        yield from self._files(manifest, state)
        self._client.ask("DELETE", state["status"], limit=MANIFEST_BYTES)
        yield Page((), {"since": manifest.transaction_time})

    # -- the export
    def _kick_off(self, since: str) -> str:
        """Where it is told of. Raise SourceDenied where the server does not export."""
        asked = {"_type": ",".join(self._config.types), "_outputFormat": NDJSON, **({"_since": since} if since else {})}
        where = f"Group/{self._config.group}/$export" if self._config.group else "$export"
        path = f"{where}?{urlencode(asked)}"
        headers = {"prefer": "respond-async"}
        answer = self._client.patiently(lambda: self._client.ask("GET", path, limit=MANIFEST_BYTES, headers=headers))
        if answer.status != 202:
            raise SourceDenied(f"the server does not take up an export: HTTP {answer.status}")
        return self._client.within(answer.headers.get("content-location", "/"))

    def _manifest(self, status: str) -> Manifest | None:
        """None: it is not ready; GONE: the server knows it no more, and it begins anew."""
        headers = {"accept": "application/json"}
        answer = self._client.patiently(lambda: self._client.ask("GET", status, limit=MANIFEST_BYTES, headers=headers))
        if answer.status == 202:
            wait = retry_after(answer)
            if wait is None or wait > AT_ONCE_SECONDS:
                return None
            self._client.pause(wait)
            answer = self._client.patiently(lambda: self._client.ask("GET", status, limit=MANIFEST_BYTES, headers=headers))
            if answer.status == 202:
                return None
        if answer.status in (404, 410):
            return GONE
        if answer.status != 200:
            raise SourceUnavailable(f"the export failed: HTTP {answer.status}")
        return msgspec.convert(read_json(answer.body, "the server"), Manifest)

    # -- its files
    def _files(self, manifest: Manifest, state: dict[str, str]) -> Iterator[Page]:
        files = [*((each, False) for each in manifest.output), *((each, True) for each in manifest.deleted)]
        for number, (file, deletions) in enumerate(files):
            if number < int(state["file"]):
                continue
            with tempfile.TemporaryFile() as stored:
                self._download(file, stored)
                yield from self._lines(stored, state, deletions=deletions)
            state |= {"file": str(number + 1), "line": "0"}

    def _download(self, file: File, stored: IO[bytes]) -> None:
        size = 0

        def begun() -> HttpAnswer:
            nonlocal size
            size = 0
            stored.seek(0)
            stored.truncate()
            return self._client.fetch(file.url, take, seconds=self._config.file_seconds, accept=NDJSON)

        def take(piece: bytes) -> None:
            nonlocal size
            size += len(piece)
            if size > self._config.file_bytes:
                raise SourceUnavailable(f"a file of {file.type} has more than {self._config.file_bytes} bytes (file_bytes)")
            stored.write(piece)

        answer = self._client.patiently(begun)
        if answer.status != 200:
            raise SourceUnavailable(f"a file of {file.type}: HTTP {answer.status}")
        stored.seek(0)

    def _lines(self, stored: IO[bytes], state: dict[str, str], *, deletions: bool) -> Iterator[Page]:
        read = int(state["line"])
        lines = iter(lambda: stored.readline(self._config.resource_bytes + 1), b"")
        for _ in islice(lines, read):
            pass
        while chunk := list(islice(lines, self._config.count)):
            read += len(chunk)
            entries = [entry for line in chunk for entry in self._entries(line, deletions=deletions)]
            state["line"] = str(read)
            yield Page(self._records(entries), dict(state))

    def _entries(self, line: bytes, *, deletions: bool) -> list[Entry]:
        """A resource, or a Bundle of deletions. Raise SourceUnavailable for a line that is neither."""
        if len(line) > self._config.resource_bytes:
            raise SourceUnavailable(f"a line has more than {self._config.resource_bytes} bytes (resource_bytes)")
        if not line.strip():
            return []
        try:
            if deletions:
                return read_page(line, "the server")[0]
            entry = entry_of(line.rstrip(b"\r\n"))
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise SourceUnavailable("a line of an export's file is no resource") from None
        return [entry] if entry is not None else []


GONE = Manifest()
