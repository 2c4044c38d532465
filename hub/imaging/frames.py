"""Key images: a JPEG of a stored DICOM frame, drawn by a child process that may die, and kept in a cache folder.

The cache can be deleted at any time; a file's name is made of the object's hash and of what was asked.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

from hub.errors import HubError, Kind

WIDEST = 1024
Window = tuple[float, float]


class ImagingError(HubError):
    """There is no picture of this object; the message says why."""

    kind = Kind.PROCESSING


class FrameRenderer:
    """One child process that decodes; a dead or hanging one is replaced. Safe to use from any thread, one picture at a time."""

    def __init__(self, *, timeout: float = 20.0, cpu_seconds: int = 15) -> None:
        self._timeout = timeout
        self._cpu_seconds = cpu_seconds
        self._turn = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def jpeg(self, content: bytes, *, frame: int = 0, width: int = WIDEST, window: Window | None = None) -> bytes:
        """Raise ImagingError if it cannot be decoded, or takes too long or too much memory."""
        order = {"frame": frame, "width": width, "window": window, "size": len(content), "cpu": self._cpu_seconds}
        head = json.dumps(order).encode()
        with self._turn:
            child = self._alive()
            watchdog = threading.Timer(self._timeout, child.kill)
            watchdog.start()
            try:
                mark, body = _ask(child, struct.pack(">I", len(head)) + head, content)
            except (OSError, EOFError):
                late = not watchdog.is_alive()
                self._discard()
                raise ImagingError("decoding took too long" if late else "decoding failed and its process was replaced") from None
            finally:
                watchdog.cancel()
        if mark != b"+":
            raise ImagingError(body.decode("utf-8", "replace"))
        return body

    def close(self) -> None:
        with self._turn:
            self._discard()

    @property
    def process_id(self) -> int | None:
        return self._child.pid if self._child else None

    def _alive(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._discard()
            self._child = subprocess.Popen(
                [sys.executable, "-m", "hub.imaging.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )
        return self._child

    def _discard(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        for stream in (child.stdin, child.stdout):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()
        child.wait()


def _environment() -> dict[str, str]:
    """No secrets of the hub's environment, and one thread a library: address space is limited."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LANG") if name in os.environ}
    return {**kept, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def _ask(child: subprocess.Popen[bytes], head: bytes, content: bytes) -> tuple[bytes, bytes]:
    assert child.stdin is not None  # noqa: S101
    assert child.stdout is not None  # noqa: S101
    child.stdin.write(head)
    child.stdin.write(content)
    child.stdin.flush()
    mark = _exactly(child.stdout, 5)
    return mark[:1], _exactly(child.stdout, struct.unpack(">I", mark[1:])[0])


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


_shared: dict[str, Any] = {}
_sharing = threading.Lock()


def shared_renderer() -> FrameRenderer:
    """This process's renderer, started at the first picture."""
    with _sharing:
        if "renderer" not in _shared:
            _shared["renderer"] = FrameRenderer()
            atexit.register(_shared["renderer"].close)
        renderer: FrameRenderer = _shared["renderer"]
        return renderer


def key_image(
    dicom: bytes | Path,
    *,
    frame: int = 0,
    width: int = WIDEST,
    window: Window | None = None,
    cache: Path | None = None,
    sha256: str = "",
    renderer: FrameRenderer | None = None,
) -> bytes:
    """A JPEG of at most 200 kB of one frame (from 0); `window` is centre and width in the units after rescaling.

    With `cache`, the picture is read from there or left there; `sha256` saves hashing when the caller knows it.
    Raise ImagingError if there is none.
    """
    width = max(16, min(width, WIDEST))
    kept = _cached(dicom, frame, width, window, cache, sha256) if cache else None
    if kept is not None and kept.is_file():
        return kept.read_bytes()
    jpeg = (renderer or shared_renderer()).jpeg(_content(dicom), frame=frame, width=width, window=window)
    if kept is not None:
        _leave(kept, jpeg)
    return jpeg


def _content(dicom: bytes | Path) -> bytes:
    if isinstance(dicom, bytes):
        return dicom
    try:
        return dicom.read_bytes()
    except OSError as error:
        raise ImagingError(f"the stored object cannot be read: {error.strerror}") from None


def _cached(dicom: bytes | Path, frame: int, width: int, window: Window | None, cache: Path, sha256: str) -> Path:
    name = sha256 or hashlib.sha256(_content(dicom)).hexdigest()
    asked = hashlib.sha256(json.dumps([name, frame, width, window]).encode()).hexdigest()
    return cache / asked[:2] / f"{asked}.jpg"


def _leave(path: Path, jpeg: bytes) -> None:
    """Written aside and renamed: no reader sees half a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.part")
    part.write_bytes(jpeg)
    part.replace(path)
