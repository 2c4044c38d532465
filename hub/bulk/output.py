"""The files of one export: newline-delimited JSON in a folder of its own that only the hub's account may enter.

How long each file is, the job's record says; what a crash left beyond that is cut off when the work goes on.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import msgspec

from hub.errors import HubError, Unavailable

FOLDER = "exports"
FILE_LINES, FILE_BYTES = 250_000, 256 << 20  # a file that is longer is followed by another
STEP = 1 << 20
LEAST_FREE = 256 << 20
named = re.compile(r"[0-9]{1,6}\.[A-Za-z]+\.ndjson").fullmatch


class File(msgspec.Struct):
    part: str  # "output", "deleted" or "error" of the manifest
    type: str
    name: str
    count: int = 0
    bytes: int = 0


def folder_of(data: Path, job: str) -> Path:
    return data / FOLDER / job


class Output:
    """Appends lines to the last of `files`, or to a new one."""

    def __init__(self, folder: Path, files: list[File]) -> None:
        """Raise Unavailable where what was written before is not there any more."""
        self.files = files
        self._folder = folder
        self._stream: BinaryIO | None = None
        self._open: File | None = None
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        kept = {file.name: file.bytes for file in files}
        for path in folder.iterdir():
            if path.name not in kept:
                path.unlink()
        for name, size in kept.items():
            path = folder / name
            if not path.is_file() or path.stat().st_size < size:
                raise Unavailable("files of this export are gone; ask for it again")
            os.truncate(path, size)

    def write(self, part: str, kind: str, lines: Iterable[bytes]) -> None:
        for line in lines:
            stream, file = self._stream_of(part, kind)
            stream.write(line)
            stream.write(b"\n")
            file.count += 1
            file.bytes += len(line) + 1

    def sync(self) -> None:
        """What was written is on the disk. Raise Unavailable where that is nearly full."""
        if self._stream is not None:
            self._stream.flush()
            os.fsync(self._stream.fileno())
        if shutil.disk_usage(self._folder).free < LEAST_FREE:
            raise Unavailable("the disk is nearly full; the export was given up")

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = self._open = None

    def verify(self) -> None:
        """Every file holds the lines that the manifest will state. Raise HubError where one does not."""
        for file in self.files:
            with (self._folder / file.name).open("rb") as stream:
                if file.count != sum(piece.count(b"\n") for piece in iter(lambda: stream.read(STEP), b"")):
                    raise HubError("a file of this export does not hold what was written")

    def _stream_of(self, part: str, kind: str) -> tuple[BinaryIO, File]:
        last = self.files[-1] if self.files else None
        full = last is not None and (last.count >= FILE_LINES or last.bytes >= FILE_BYTES)
        if last is None or full or (last.part, last.type) != (part, kind):
            last = File(part, kind, f"{len(self.files) + 1}.{kind}.ndjson")
            self.files.append(last)
        if self._stream is None or self._open is not last:
            if self._stream is not None:
                self.sync()
                self._stream.close()
            self._stream = os.fdopen(os.open(self._folder / last.name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb")
            self._open = last
        return self._stream, last


def remove(data: Path, job: str) -> None:
    shutil.rmtree(folder_of(data, job), ignore_errors=True)
