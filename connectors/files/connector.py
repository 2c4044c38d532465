"""Files that another system drops into a folder: complete ones are read, and moved to `done/` once they are journaled.

A name says nothing of where a file lies: everything is opened relative to the folder's own descriptor, without following a link,
and only a regular file is read. What cannot be taken goes to `failed/` with a text beside it that says why.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from connectors.base import Cursor, Page, SourceDenied, SourceRecord, SourceUnavailable
from connectors.files.config import FilesConfig
from connectors.hl7v2_mllp.header import split_messages

Splitter = Callable[[bytes], list[bytes]]
"""One file's bytes → one record's bytes each: an .hl7 file may hold a day's messages."""

SPLITTERS: Mapping[str, Splitter] = {"hl7v2": split_messages}
DONE, FAILED = "done", "failed"
UNFINISHED = ("*.part", "*.tmp", "*.temp", "*.filepart", "*.crdownload", "*~")


@dataclass(frozen=True, slots=True)
class Look:
    """What a file looked like; another look that is equal means that nobody wrote in between."""

    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Look:
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


class Refused(Exception):
    """A file that will never be taken; the text is what its .reason.txt says."""


def readable_name(name: str) -> str:
    """A file name as text: names from a Chinese Windows share may be GB18030 bytes."""
    raw = os.fsencode(name)
    for charset in ("utf-8", "gb18030"):
        try:
            return raw.decode(charset)
        except UnicodeDecodeError:
            continue
    return raw.decode("ascii", "backslashreplace")


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
        self._taken: dict[str, tuple[str, Look]] = {}  # a record's key → the file it came from

    def check(self) -> None:
        """The folder is there, and we may read it and move its files."""
        with self._opened():
            if not os.access(self._config.folder, os.R_OK | os.W_OK | os.X_OK):
                raise SourceDenied(f"{self._config.folder}: we may not read it and move its files")

    def fetch(self, cursor: Cursor) -> Iterator[Page]:  # noqa: ARG002  the folder itself says what is still to do
        """Complete files, oldest first; the cursor stays empty."""
        with self._opened() as folder:
            records: list[SourceRecord] = []
            held = 0
            for name, kind in self._complete(folder):
                found = self._records(folder, name, kind)
                records.extend(found)
                held += sum(len(record.content) for record in found)
                if held >= self._config.page_bytes:
                    yield Page(tuple(records), {})
                    records, held = [], 0
            if records:
                yield Page(tuple(records), {})

    def done(self, page: Page) -> None:
        """Move the page's files away. One that was written anew meanwhile stays, and is read again."""
        files = {taken for record in page.records if (taken := self._taken.pop(record.key, None))}
        if not files:
            return
        with self._opened() as folder:
            for name, look in sorted(files, key=lambda file: file[0]):
                try:
                    if Look.of(os.stat(name, dir_fd=folder, follow_symlinks=False)) == look:
                        self._move(folder, name, DONE)
                except FileNotFoundError:
                    continue  # someone tidied up

    @contextmanager
    def _opened(self) -> Iterator[int]:
        try:
            folder = os.open(self._config.folder, os.O_RDONLY | os.O_DIRECTORY)
        except PermissionError:
            raise SourceDenied(f"{self._config.folder}: we may not read it") from None
        except OSError as error:
            raise SourceUnavailable(f"{self._config.folder}: {error.strerror}") from None
        try:
            yield folder
        finally:
            os.close(folder)

    def _kind(self, name: str) -> str | None:
        if name.startswith(".") or any(fnmatch.fnmatch(name.lower(), pattern) for pattern in UNFINISHED):
            return None
        return next(
            (kind for pattern, kind in self._config.patterns.items() if fnmatch.fnmatch(name.lower(), pattern.lower())), None
        )

    def _complete(self, folder: int) -> list[tuple[str, str]]:
        now = self._clock()
        seen: dict[str, tuple[Look, datetime]] = {}
        ready: list[tuple[int, str, str]] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                kind = self._kind(entry.name)
                if kind is None or entry.is_dir(follow_symlinks=False):
                    continue
                try:
                    look = Look.of(entry.stat(follow_symlinks=False))
                except FileNotFoundError:
                    continue
                before, since = self._seen.get(entry.name, (look, now))
                since = since if before == look else now
                seen[entry.name] = (look, since)
                quiet = max((now - since).total_seconds(), now.timestamp() - look.mtime_ns / 1e9)
                if quiet >= self._config.settle_seconds:
                    ready.append((look.mtime_ns, entry.name, kind))
        self._seen = seen
        return [(name, kind) for _, name, kind in sorted(ready)]

    def _records(self, folder: int, name: str, kind: str) -> list[SourceRecord]:
        try:
            read = self._read(folder, name)
            if read is None:
                return []
            content, look = read
            parts = self._split(kind, content)
        except Refused as reason:
            self._fail(folder, name, str(reason))
            return []
        return [self._record(name, kind, number, part, look) for number, part in enumerate(parts, 1)]

    def _read(self, folder: int, name: str) -> tuple[bytes, Look] | None:
        """A file's bytes, or None when someone is still at it. Raise Refused when it will never be readable."""
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Refused(f"it cannot be opened as a file of this folder: {error.strerror}") from None
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Refused("it is no regular file")
            if status.st_size > self._config.max_bytes:
                raise Refused(f"it has {status.st_size} bytes; the limit is {self._config.max_bytes} (max_bytes)")
            content = file.read(self._config.max_bytes + 1)
            if Look.of(os.fstat(descriptor)) != Look.of(status) or len(content) != status.st_size:
                return None
        if not content:
            raise Refused("it is empty")
        return content, Look.of(status)

    def _split(self, kind: str, content: bytes) -> list[bytes]:
        splitter = self._splitters.get(kind)
        if splitter is None:
            return [content]
        try:
            parts = splitter(content)
        except Exception as error:
            raise Refused(f"it cannot be split into records of kind {kind} ({type(error).__name__})") from error
        if not parts:
            raise Refused(f"it holds no record of kind {kind}")
        return parts

    def _record(self, name: str, kind: str, number: int, content: bytes, look: Look) -> SourceRecord:
        key = f"{readable_name(name)}#{hashlib.sha256(content).hexdigest()[:16]}" + (f"/{number}" if number > 1 else "")
        self._taken[key] = (name, look)
        return SourceRecord(
            source=self.source,
            facility=self._facility,
            kind=kind,
            key=key,
            content=content,
            received_at=self._clock(),
            hints={**self._hints, "file": readable_name(name)},
        )

    def _move(self, folder: int, name: str, where: str) -> str:
        """Move within the folder's own file system; a name that is taken there gets a number."""
        try:
            os.mkdir(where, dir_fd=folder)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(where, dir_fd=folder, follow_symlinks=False).st_mode):
                raise SourceDenied(f"{self._config.folder / where} is no folder") from None
        target, number = name, 1
        while self._is_taken(folder, f"{where}/{target}"):
            number += 1
            stem, dot, suffix = name.rpartition(".")
            target = f"{stem}.{number}{dot}{suffix}" if dot else f"{name}.{number}"
        os.rename(name, f"{where}/{target}", src_dir_fd=folder, dst_dir_fd=folder)
        return target

    @staticmethod
    def _is_taken(folder: int, path: str) -> bool:
        try:
            os.stat(path, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def _fail(self, folder: int, name: str, reason: str) -> None:
        try:
            target = self._move(folder, name, FAILED)
        except FileNotFoundError:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            descriptor = os.open(f"{FAILED}/{target}.reason.txt", flags, 0o640, dir_fd=folder)
        except FileExistsError:
            return  # the same file failed before, for the same name and reason
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{readable_name(name)} was not taken: {reason}\n")
