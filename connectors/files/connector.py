"""Files that another system drops into a folder: complete ones are read, and moved to `done/` once they are journaled.

What cannot be taken goes to `failed/` with a text beside it that says why.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from connectors.base import Cursor, Page, SourceDenied, SourceRecord, SourceUnavailable
from connectors.files.config import FilesConfig
from connectors.files.content import kind_of
from connectors.files.folder import DONE, FAILED, Folder, Look, Refused, opened, readable_name
from connectors.files.records import DOCUMENTS, SPLITTERS, Part, Splitter, parts_of

UNFINISHED = ("*.part", "*.tmp", "*.temp", "*.filepart", "*.crdownload", "*.reason.txt", "*~")
NOT_MEANT = ("thumbs.db", "desktop.ini", "~$*")  # what Windows and Office leave beside the files
LARGEST_SIDECAR = 64 * 1024

__all__ = ["DONE", "FAILED", "FilesConnector"]


class FilesConnector:
    def __init__(
        self,
        config: FilesConfig,
        *,
        source: str,
        facility: str,
        hints: Mapping[str, str] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        splitters: Mapping[str, Splitter] | None = None,
    ) -> None:
        self.source = source
        self._config = config
        self._facility = facility
        self._hints = dict(hints or {})
        self._clock = clock
        self._splitters = dict(SPLITTERS if splitters is None else splitters)
        self._seen: dict[str, tuple[Look, datetime]] = {}  # how a file looked, and since when
        self._taken: dict[str, tuple[str, Look]] = {}  # the key of a file's last record → the file
        self._left: dict[str, list[str]] = {}  # why not all of a file was taken

    def check(self) -> None:
        """The folder is there, and we may read it and move its files."""
        with opened(self._config.folder):
            if not os.access(self._config.folder, os.R_OK | os.W_OK | os.X_OK):
                raise SourceDenied(f"{self._config.folder}: we may not read it and move its files")

    def fetch(self, cursor: Cursor) -> Iterator[Page]:  # noqa: ARG002  the folder itself says what is still to do
        """Complete files, oldest first; the cursor stays empty."""
        with opened(self._config.folder) as folder:
            records: list[SourceRecord] = []
            held = 0
            for path, kind in self._complete(folder):
                for record in self._records(folder, path, kind):
                    records.append(record)
                    held += len(record.content)
                    if held >= self._config.page_bytes or len(records) >= self._config.page_records:
                        yield Page(tuple(records), {})
                        records, held = [], 0
            if records:
                yield Page(tuple(records), {})

    def done(self, page: Page) -> None:
        """Move away the files whose last record the page holds. One that was written anew meanwhile stays, and is read again."""
        files = {taken for record in page.records if (taken := self._taken.pop(record.key, None))}
        if not files:
            return
        with opened(self._config.folder) as folder:
            for path, look in sorted(files, key=lambda file: file[0]):
                if folder.look(path) != look:
                    continue  # written anew, or someone tidied up
                if left := self._left.pop(path, None):
                    folder.fail(path, "the rest of it was taken, but not\n" + "\n".join(left))
                else:
                    folder.move(path, DONE)
                for companion in self._companions(path):
                    if folder.look(companion):
                        folder.move(companion, DONE)

    def _companions(self, path: str) -> tuple[str, ...]:
        return (f"{path}.json", *((f"{path}{self._config.ready}",) if self._config.ready else ()))

    def _kind(self, path: str) -> str | None:
        name = path.rpartition("/")[2].lower()
        if any(fnmatch.fnmatch(name, pattern) for pattern in (*UNFINISHED, *NOT_MEANT)):
            return None
        fitting = (kind for pattern, kind in self._config.patterns.items() if fnmatch.fnmatch(name, pattern.lower()))
        return next(fitting, None)

    def _complete(self, folder: Folder) -> list[tuple[str, str]]:
        """Paths of files that nobody writes any more, with the kind their pattern states, oldest first."""
        now = self._clock()
        looks = dict(folder.files(deep=self._config.subfolders))
        seen: dict[str, tuple[Look, datetime]] = {}
        ready: list[tuple[int, str, str]] = []
        for path, look in looks.items():
            kind = None if self._is_companion(path, looks) else self._kind(path)
            if kind is None:
                continue
            before, since = self._seen.get(path, (look, now))
            since = since if before == look else now
            seen[path] = (look, since)
            quiet = max((now - since).total_seconds(), now.timestamp() - look.mtime_ns / 1e9)
            if quiet >= self._config.settle_seconds and self._announced(path, looks):
                ready.append((look.mtime_ns, path, kind))
        self._seen = seen
        return [(path, kind) for _, path, kind in sorted(ready)]

    def _is_companion(self, path: str, looks: Mapping[str, Look]) -> bool:
        if self._config.ready and path.endswith(self._config.ready):
            return True
        stem = path.removesuffix(".json")
        return stem != path and (stem in looks or self._config.documents.sidecar)

    def _announced(self, path: str, looks: Mapping[str, Look]) -> bool:
        return not self._config.ready or f"{path}{self._config.ready}" in looks

    def _records(self, folder: Folder, path: str, kind: str) -> Iterator[SourceRecord]:
        """The last one is handed out with the file noted beside its key: when that is journaled, the whole file is."""
        last: SourceRecord | None = None
        left: list[str] = []
        look = None
        try:
            read = folder.read(path, self._config.max_bytes)
            if read is None:
                return
            content, look = read
            sidecar = folder.read(f"{path}.json", LARGEST_SIDECAR) if folder.look(f"{path}.json") else None
            if sidecar is None and self._config.documents.sidecar and kind_of(content) in DOCUMENTS:
                return  # its sidecar is still to come
            for part in self._parts(path, content, kind, sidecar[0] if sidecar else None, left):
                if last is not None:
                    yield last
                last = self._record(path, part)
        except Refused as reason:
            left.append(str(reason))
        except (OSError, SourceDenied, SourceUnavailable):
            raise  # the folder, not the file
        except Exception as error:  # a file that no reader foresaw must not hold back all that come after it
            left.append(f"reading it failed ({type(error).__name__})")
        if last is None or look is None:
            folder.fail(path, "\n".join(left) or "it has no rows")
            return
        self._taken[last.key] = (path, look)
        if left:
            self._left[path] = left
        yield last

    def _parts(self, path: str, content: bytes, kind: str, sidecar: bytes | None, left: list[str]) -> Iterator[Part]:
        charset = self._hints.get("charset", "")
        name = readable_name(path)
        return parts_of(
            name, content, self._config, declared=kind, charset=charset, sidecar=sidecar, splitters=self._splitters, left=left
        )

    def _record(self, path: str, part: Part) -> SourceRecord:
        name = readable_name(path)
        return SourceRecord(
            source=self.source,
            facility=self._facility,
            kind=part.kind,
            key=f"{name}{part.place}",
            content=part.content,
            received_at=self._clock(),
            hints={**self._hints, "file": name, **part.hints},
        )
