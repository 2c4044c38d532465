"""Files beside the database, named by their content: originals, DICOM instances, documents.

The name is the SHA-256 of the bytes, so the same bytes again are the same file, nothing is named by what a sender wrote, and
a changed bit is found. A blob is there whole or not at all: written aside, synced, renamed, and the folder synced.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from hub.errors import HubError, Invalid, NotFound

_NAME = re.compile(r"[0-9a-f]{64}", re.ASCII)
_CHUNK = 1 << 20


class Damaged(HubError):
    """The bytes on disk are not those that were put there."""


class BlobStore:
    """`folder`/ab/abcd…: 256 folders made in advance, so that no folder holds more than a few thousand files of a million and a
    new blob syncs itself and one folder.
    """

    def __init__(self, folder: Path, *, tidy: bool = True) -> None:
        """`tidy=False` for a process beside the one that owns the folder: what that one is writing is not a leftover."""
        self._folder = folder
        self._incoming = folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        made = [path for byte in range(256) if not (path := folder / f"{byte:02x}").is_dir()]
        for path in made:
            path.mkdir(exist_ok=True)
        if made:
            _sync(folder)
        for left in self._incoming.iterdir() if tidy else ():  # of a process that was killed; nobody was told of it
            left.unlink()

    def put(self, content: bytes) -> str:
        """Return the SHA-256 once the bytes are on disk."""
        return self.put_stream((content,))

    def put_stream(self, chunks: Iterable[bytes]) -> str:
        """As `put`, for what is too large to hold."""
        digest = hashlib.sha256()
        descriptor, name = tempfile.mkstemp(dir=self._incoming)
        incoming = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for chunk in chunks:
                    digest.update(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            self._keep(incoming, digest.hexdigest())
        finally:
            incoming.unlink(missing_ok=True)
        return digest.hexdigest()

    def exists(self, sha256: str) -> bool:
        return self._path(sha256).is_file()

    def open(self, sha256: str) -> Path:
        """The file, to be read. Raise NotFound."""
        path = self._path(sha256)
        if not path.is_file():
            raise NotFound(f"Binary/{sha256} is not here")
        return path

    def read(self, sha256: str, *, verify: bool = True) -> bytes:
        """Raise NotFound, or Damaged when the bytes are no longer those of the name."""
        content = self.open(sha256).read_bytes()
        if verify and hashlib.sha256(content).hexdigest() != sha256:
            raise Damaged(f"Binary/{sha256} is damaged on disk")
        return content

    def check(self, sha256: str) -> None:
        """As `read`, without holding the bytes."""
        digest = hashlib.sha256()
        with self.open(sha256).open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        if digest.hexdigest() != sha256:
            raise Damaged(f"Binary/{sha256} is damaged on disk")

    def _path(self, sha256: str) -> Path:
        if not _NAME.fullmatch(sha256):
            raise Invalid("a blob is named by 64 hexadecimal digits")
        return self._folder / sha256[:2] / sha256

    def _keep(self, incoming: Path, sha256: str) -> None:
        """Two senders of the same bytes may both come here: the later rename replaces like with like."""
        path = self._path(sha256)
        if path.is_file():
            return
        incoming.rename(path)
        _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
