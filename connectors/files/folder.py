"""A drop folder, opened once a look: a name says nothing of where a file lies, so everything is reached from the folder's own
descriptor, step by step and without following a link.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from connectors.base import SourceDenied, SourceUnavailable
from connectors.charset import fitting

DONE, FAILED = "done", "failed"
DEEPEST = 8  # folders in folders
MOST = 100_000  # entries in one look
INTO = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


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
    found = fitting(raw, ("utf-8", "gb18030"))
    return found[0] if found else raw.decode("ascii", "backslashreplace")


@contextmanager
def opened(path: Path) -> Iterator[Folder]:
    """Raise SourceDenied or SourceUnavailable."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        raise SourceDenied(f"{path}: we may not read it") from None
    except OSError as error:
        raise SourceUnavailable(f"{path}: {error.strerror}") from None
    try:
        yield Folder(path, descriptor)
    finally:
        os.close(descriptor)


class Folder:
    """Files by their path below the folder: "a.xml", "2024/a.xml"."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def files(self, *, deep: bool) -> Iterator[tuple[str, Look]]:
        """What is not a folder, links and pipes included; not what is in done/ and failed/ or begins with a dot."""
        left = MOST
        waiting = [("", 0)]
        while waiting and left > 0:
            place, depth = waiting.pop()
            for name, status in self._entries(place):
                left -= 1
                path = f"{place}{name}"
                if not stat.S_ISDIR(status.st_mode):
                    yield path, Look.of(status)
                elif deep and depth < DEEPEST and path not in (DONE, FAILED):
                    waiting.append((f"{path}/", depth + 1))

    def _entries(self, place: str) -> list[tuple[str, os.stat_result]]:
        found = []
        gone = suppress(FileNotFoundError, NotADirectoryError, PermissionError)
        with gone, self._inside(place) as (parent, _), os.scandir(parent) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    with suppress(FileNotFoundError):
                        found.append((entry.name, entry.stat(follow_symlinks=False)))
        return found

    @contextmanager
    def _inside(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """The descriptor of the folder that a path lies in, and its last name. Raise OSError: NotADirectoryError for a link."""
        *folders, name = path.split("/")
        current = os.dup(self._descriptor)
        try:
            for step in folders:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(step, dir_fd=current)
                inner = os.open(step, INTO, dir_fd=current)
                os.close(current)
                current = inner
            yield current, name
        finally:
            os.close(current)

    def look(self, path: str) -> Look | None:
        try:
            with self._inside(path) as (parent, name):
                return Look.of(os.stat(name, dir_fd=parent, follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read(self, path: str, limit: int) -> tuple[bytes, Look] | None:
        """A file's bytes, or None when someone is still at it. Raise Refused when it will never be readable."""
        try:
            with self._inside(path) as (parent, name):
                descriptor = os.open(name, READ, dir_fd=parent)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Refused(f"it cannot be opened as a file of this folder: {error.strerror}") from None
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Refused("it is no regular file")
            if status.st_size > limit:
                raise Refused(f"it has {status.st_size} bytes; the limit is {limit} (max_bytes)")
            content = file.read(limit + 1)
            if Look.of(os.fstat(descriptor)) != Look.of(status) or len(content) != status.st_size:
                return None
        if not content:
            raise Refused("it is empty")
        return content, Look.of(status)

    def move(self, path: str, where: str) -> str:
        """Move to done/ or failed/ within the folder's own file system; a name that is taken there gets a number."""
        try:
            with self._inside(path) as (source, name), self._inside(f"{where}/{path}", make=True) as (target, _):
                free, number = name, 1
                while _is_taken(target, free):
                    number += 1
                    stem, dot, suffix = name.rpartition(".")
                    free = f"{stem}.{number}{dot}{suffix}" if dot else f"{name}.{number}"
                os.rename(name, free, src_dir_fd=source, dst_dir_fd=target)
        except NotADirectoryError:
            raise SourceDenied(f"{self._path / where} is no folder") from None
        place, slash, _ = path.rpartition("/")
        return f"{where}/{place}{slash}{free}"

    def fail(self, path: str, reason: str) -> None:
        """Move to failed/, with a text beside it that says why."""
        try:
            moved = self.move(path, FAILED)
        except FileNotFoundError:
            return
        with suppress(FileExistsError), self._inside(f"{moved}.reason.txt") as (parent, name):
            descriptor = os.open(name, NEW, 0o640, dir_fd=parent)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(f"{readable_name(path)} was not taken: {reason}\n")


def _is_taken(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
