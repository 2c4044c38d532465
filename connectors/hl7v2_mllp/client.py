"""A sender: one connection, one message and its answer at a time."""

from __future__ import annotations

import socket
from types import TracebackType

from connectors.base import SourceUnavailable
from connectors.hl7v2_mllp.framing import FrameReader, frame


class MllpClient:
    """Send messages to an MLLP listener. Connects when first used, again after a failure; not for use by several threads."""

    def __init__(self, host: str, port: int, *, timeout: float = 30.0, max_answer_bytes: int = 1024 * 1024) -> None:
        self._address = (host, port)
        self._timeout = timeout
        self._max_answer_bytes = max_answer_bytes
        self._socket: socket.socket | None = None

    def send(self, message: bytes) -> bytes:
        """The answer to one message, unframed. Raise SourceUnavailable when there is none in time; then nothing is certain."""
        try:
            connection = self._connect()
            connection.sendall(frame(message))
            return self._answer(connection)
        except OSError as error:
            self.close()
            raise SourceUnavailable(f"no answer from {self._address[0]}:{self._address[1]}: {type(error).__name__}") from error

    def _connect(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=self._timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    def _answer(self, connection: socket.socket) -> bytes:
        reader = FrameReader(self._max_answer_bytes)
        while True:
            data = connection.recv(65536)
            if not data:
                raise ConnectionResetError
            if blocks := reader.feed(data):
                return blocks[0]

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> MllpClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
