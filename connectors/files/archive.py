"""A zip archive → its files, in memory and within limits: nothing of it is ever written where its names point to."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from zipfile import BadZipFile, ZipFile, ZipInfo

from connectors.files.folder import Refused

RATIO = 200  # what compresses better than this is no report
SMALL = 1024 * 1024  # of which the ratio does not matter
ENCRYPTED = 0x1


def entries(content: bytes, *, max_bytes: int, max_entries: int) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of each file in it. Raise Refused for the whole: too many, too large, a bomb, a password, damage."""
    try:
        archive = ZipFile(BytesIO(content))
    except (BadZipFile, ValueError, NotImplementedError):
        raise Refused("its archive cannot be read") from None
    with archive:
        infos = [info for info in archive.infolist() if not info.filename.endswith("/")]
        if len(infos) > max_entries:
            raise Refused(f"it holds {len(infos)} files; the limit is {max_entries} (max_entries)")
        if sum(info.file_size for info in infos) > max_bytes:
            raise Refused(f"it is larger unpacked than the limit of {max_bytes} bytes (max_bytes)")
        if any(info.flag_bits & ENCRYPTED for info in infos):
            raise Refused("it is protected by a password")
        if any(info.file_size > SMALL and info.file_size > RATIO * max(1, info.compress_size) for info in infos):
            raise Refused(f"a file in it unpacks to more than {RATIO} times its size")
        seen: Counter[str] = Counter()
        for info in infos:
            name = _name(info)
            seen[name] += 1
            yield (f"{name}.{seen[name]}" if seen[name] > 1 else name), _bytes(archive, info)


def _bytes(archive: ZipFile, info: ZipInfo) -> bytes:
    """No more than it states: a header may lie about what follows."""
    try:
        with archive.open(info) as file:
            content = file.read(info.file_size + 1)
    except (BadZipFile, RuntimeError, OSError, EOFError, ValueError, zlib.error) as error:
        raise Refused(f"a file in it cannot be unpacked ({type(error).__name__})") from None
    if len(content) != info.file_size:
        raise Refused("a file in it is not as large as it states")
    return content


def _name(info: ZipInfo) -> str:
    """Without the flag for UTF-8 a Chinese Windows wrote GBK, which zipfile reads as cp437."""
    name = info.filename
    if not info.flag_bits & 0x800:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("gb18030")
    return "/".join(step for step in name.replace("\\", "/").split("/") if step not in ("", ".", "..")) or "file"
