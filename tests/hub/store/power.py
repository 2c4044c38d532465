"""A disk whose power can be cut: what SQLite wrote and did not sync may be lost, in part or torn.

SQLite works on ordinary files through this VFS; beside them the disk keeps, for each file, what is durable and what was done since
its last sync. An image of the disk after a power cut is the durable part with none, all, a random subset or an ordered beginning of
the rest, writes torn at sectors. https://www.sqlite.org/atomiccommit.html says what SQLite assumes of a disk.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import apsw

SECTOR = 512
NAME = "power-cut"


class Write(NamedTuple):
    offset: int
    data: bytes


class Truncate(NamedTuple):
    size: int


class Delete(NamedTuple):
    pass


Operation = Write | Truncate | Delete
Content = bytearray | None  # None: there is no such file


def done(content: Content, operation: Operation) -> Content:
    match operation:
        case Delete():
            return None
        case Truncate(size):
            content = content if content is not None else bytearray()
            del content[size:]
            return content
        case Write(offset, data):
            content = content if content is not None else bytearray()
            content.extend(bytes(max(0, offset - len(content))))
            content[offset : offset + len(data)] = data
            return content


@dataclass
class File:
    durable: Content
    since: list[Operation] = field(default_factory=list)

    def sync(self) -> None:
        for operation in self.since:
            self.durable = done(self.durable, operation)
        self.since.clear()

    def forget_deleted(self) -> None:
        """The folder was synced: what was deleted in it stays so."""
        if Delete() in self.since:
            self.durable = None
            while self.since.pop(0) != Delete() or Delete() in self.since:
                pass

    def after(self, survivors: Callable[[list[Operation]], list[Operation]]) -> bytes | None:
        content = None if self.durable is None else bytearray(self.durable)
        for operation in survivors(list(self.since)):
            content = done(content, operation)
        return None if content is None else bytes(content)


# -- what of the operations since the last sync is on the disk after the cut


def torn(dice: random.Random, operation: Operation) -> list[Operation]:
    """Some sectors of a write; of the first and the last one, the bytes that belong to the write."""
    if not isinstance(operation, Write):
        return [operation]
    parts: list[Operation] = []
    position = operation.offset
    end = position + len(operation.data)
    while position < end:
        stop = min((position // SECTOR + 1) * SECTOR, end)
        if dice.random() < 0.5:
            parts.append(Write(position, operation.data[position - operation.offset : stop - operation.offset]))
        position = stop
    return parts


def subset(dice: random.Random, operations: list[Operation]) -> list[Operation]:
    """Each one whole, torn or lost, whatever came before it."""
    kept: list[Operation] = []
    for operation in operations:
        fate = dice.random()
        kept += [operation] if fate < 0.4 else torn(dice, operation) if fate < 0.6 else []
    return kept


def beginning(dice: random.Random, operations: list[Operation]) -> list[Operation]:
    """In order up to some point, and there torn."""
    if not operations:
        return []
    end = dice.randrange(len(operations))
    return [*operations[:end], *torn(dice, operations[end])]


CUTS: dict[str, Callable[[random.Random, list[Operation]], list[Operation]]] = {
    "none": lambda _, operations: [],
    "all": lambda _, operations: operations,
    "subset": subset,
    "beginning": beginning,
}

Image = dict[str, bytes]  # file name → content


class Disk:
    """`at_operation` is told the number of each operation before it is done."""

    def __init__(self, folder: Path, at_operation: Callable[[int], None]) -> None:
        self._folder = folder
        self._files: dict[str, File] = {}
        self._lock = threading.RLock()
        self._at_operation = at_operation
        self._operations = 0

    def holds(self, path: str | None) -> bool:
        return path is not None and path.startswith(str(self._folder)) and not path.endswith("-shm")

    def open(self, path: str) -> None:
        with self._lock:
            if path not in self._files:
                file = Path(path)
                self._files[path] = File(bytearray(file.read_bytes()) if file.is_file() else None)

    def do(self, path: str, operation: Operation) -> None:
        with self._lock:
            self._count()
            self._files[path].since.append(operation)

    def sync(self, path: str) -> None:
        with self._lock:
            self._count()
            if self._files[path].durable is None and path.endswith(("-wal", "-journal")):
                for file in self._files.values():  # with a new log or journal SQLite syncs its folder
                    file.forget_deleted()
            self._files[path].sync()

    def image(self, cut: str, dice: random.Random) -> Image:
        with self._lock:
            found = {path: file.after(lambda rest: CUTS[cut](dice, rest)) for path, file in self._files.items()}
        return {Path(path).name: content for path, content in found.items() if content is not None}

    def _count(self) -> None:
        self._operations += 1
        self._at_operation(self._operations)


class PowerCut(apsw.VFS):
    """Registered under NAME until `unregister`."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(NAME, "unix")
        self.disk = disk

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if path is None or not self.disk.holds(path):
            return apsw.VFSFile("unix", name, flags)
        self.disk.open(path)
        return _Open(self.disk, path, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        if self.disk.holds(filename):
            self.disk.open(filename)
            self.disk.do(filename, Delete())
            if syncdir:
                self.disk.sync(filename)
        super().xDelete(filename, syncdir)


class _Open(apsw.VFSFile):
    def __init__(self, disk: Disk, path: str, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        self._disk = disk
        self._path = path

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.do(self._path, Write(offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._disk.do(self._path, Truncate(newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._disk.sync(self._path)
