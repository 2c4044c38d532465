"""The files of a manifest → files in the import's folder, one after the other; what is there whole is not fetched again.

All are fetched before anything is taken in: an import of which a file cannot be had changes nothing.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

import httpx

from hub.bulk.manifest import Input
from hub.errors import HubError, Kind
from hub.security.egress import Egress, NotAllowedOut

MOST_BYTES = 16 << 30  # of one file
FREE_BYTES = 1 << 30  # are left on the disk, whatever comes
IDLE_SECONDS, WHOLE_SECONDS = 30.0, 6 * 3600.0
SAVE_SECONDS = 1.0
TRIES, PAUSE_SECONDS = 3, 1.0
LATER = frozenset({429, 500, 502, 503, 504})
ASKING = {"accept": "application/fhir+ndjson, application/ndjson;q=0.9, */*;q=0.1", "user-agent": "YitongHub"}


class NotFetched(HubError):
    """Which of the files, by its number: an address may hold a secret."""

    kind = Kind.PROCESSING


class Fetching:
    """`came` is told the bytes fetched, about once a second, and raises Stopped where the work shall not go on."""

    def __init__(self, egress: Egress, came: Callable[[int], None]) -> None:
        self._egress = egress
        self._came = came
        self._bytes = 0
        self._told = time.monotonic()

    def fetch(self, inputs: Sequence[Input], paths: Sequence[Path]) -> None:
        """Raise NotFetched."""
        for number, (each, path) in enumerate(zip(inputs, paths, strict=True), 1):
            if path.is_file():
                self._bytes += path.stat().st_size
                continue
            try:
                self._until_there(each.url, path)
            except NotFetched as error:
                raise NotFetched(f"file {number} of the manifest was not fetched: {error.message}") from None

    def _until_there(self, url: str, path: Path) -> None:
        problem = ""
        for attempt in range(TRIES):
            time.sleep(PAUSE_SECONDS * attempt)
            self._came(self._bytes)
            try:
                status = self._fetched(url, path)
            except NotAllowedOut as error:
                raise NotFetched(error.message) from None
            except (OSError, httpx.HTTPError) as error:  # TimeoutError among them
                problem = type(error).__name__
                continue
            if status == httpx.codes.OK:
                return
            problem = f"HTTP {status}"
            if status not in LATER:
                break
        raise NotFetched(problem)

    def _fetched(self, url: str, path: Path) -> int:
        unfinished, before = path.with_suffix(".part"), self._bytes
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
            try:
                asked = self._egress.fetch(url, ASKING, partial(self._take, stream), idle=IDLE_SECONDS, seconds=WHOLE_SECONDS)
                status = asyncio.run(asked).status
            except BaseException:
                self._bytes = before
                raise
            stream.flush()
            os.fsync(stream.fileno())
        if status == httpx.codes.OK:
            unfinished.rename(path)
        return status

    def _take(self, stream: BinaryIO, part: bytes) -> None:
        stream.write(part)
        self._bytes += len(part)
        if stream.tell() > MOST_BYTES:
            raise NotFetched(f"it is longer than {MOST_BYTES} bytes")
        if time.monotonic() - self._told > SAVE_SECONDS:
            self._told = time.monotonic()
            self._came(self._bytes)
            if _free(stream) < FREE_BYTES:
                raise NotFetched("the disk is nearly full")


def _free(stream: BinaryIO) -> int:
    """Bytes of the disk that it is written to."""
    disk = os.fstatvfs(stream.fileno())
    return disk.f_bavail * disk.f_frsize
