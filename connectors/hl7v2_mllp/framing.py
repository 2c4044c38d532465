"""MLLP blocks out of a byte stream: 0x0B … 0x1C, followed by CR, LF or nothing.

HL7 Transport Specification: MLLP, Release 2. Bytes may come in any pieces. What stands before a block is skipped and counted;
the block behind it is kept.
"""

from __future__ import annotations

START, END = 0x0B, 0x1C
_TERMINATORS = b"\r\n"
_RESTART = b"\x0bMSH"


class FrameTooLarge(Exception):
    """A block grew over the cap; `head` is its beginning, enough to answer."""

    def __init__(self, head: bytes, size: int) -> None:
        super().__init__(f"a block of more than {size} bytes")
        self.head = head


class FrameReader:
    """Feed it what the socket gave; it returns the blocks that are complete."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._block: bytearray | None = None
        self.begun = 0  # blocks so far
        self.skipped = 0  # bytes outside of any block
        self.broken: list[bytes] = []  # blocks that a new block interrupted, for the listener to refuse

    @property
    def inside(self) -> bool:
        """Whether a block has begun and not ended."""
        return self._block is not None

    @property
    def size(self) -> int:
        """Bytes of the block that has begun and not ended."""
        return len(self._block or b"")

    def take(self) -> bytes:
        """What came of the block that has begun; it is given up."""
        block, self._block = bytes(self._block or b""), None
        return block

    def feed(self, data: bytes) -> list[bytes]:
        """Raise FrameTooLarge once a block is over the cap."""
        blocks: list[bytes] = []
        position = 0
        while position < len(data):
            position = self._begin(data, position) if self._block is None else self._continue(data, position, blocks)
        return blocks

    def _begin(self, data: bytes, position: int) -> int:
        start = data.find(START, position)
        outside = data[position : start if start >= 0 else len(data)]
        self.skipped += len(outside.strip(_TERMINATORS))
        if start < 0:
            return len(data)
        self._block = bytearray()
        self.begun += 1
        return start + 1

    def _continue(self, data: bytes, position: int, blocks: list[bytes]) -> int:
        block = self._block
        assert block is not None  # noqa: S101
        end = data.find(END, position)
        block += data[position : end if end >= 0 else len(data)]
        if len(block) > self._max_bytes:
            self._block = None
            raise FrameTooLarge(bytes(block[:8192]), self._max_bytes)
        if end < 0:
            return len(data)
        self._block = None
        *broken, whole = bytes(block).split(_RESTART)
        if broken:  # a sender that gave up in the middle of a block and began again
            self.broken += [piece if n == 0 else b"MSH" + piece for n, piece in enumerate(broken)]
            whole = b"MSH" + whole
        blocks.append(whole)
        return end + 1


def frame(content: bytes) -> bytes:
    return b"\x0b" + content + b"\x1c\r"
