"""A sender: one connection, one message and its answer at a time."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from connectors.base import SourceUnavailable
from connectors.hl7v2_mllp.framing import FrameReader, FrameTooLarge, frame
from connectors.hl7v2_mllp.header import Header, read_header, segment

Connect = Callable[[tuple[str, int], float], socket.socket]


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """MSA and ERR of an answer. HL7 v2.5.1 2.15.8, 2.15.5."""

    code: str  # MSA-1: AA AE AR CA CE CR
    control_id: str  # MSA-2: of the message that it answers
    text: str = ""  # MSA-3, or what ERR says: for a log of the receiver's words, it may name anything

    @property
    def accepted(self) -> bool:
        return self.code in {"AA", "CA"}

    @property
    def worth_repeating(self) -> bool:
        """The receiver's trouble, not the message's."""
        return self.code in {"AE", "CE"}


class MllpClient:
    """Send messages to an MLLP listener. Connects when first used, again after a failure; not for use by several threads."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        timeout: float = 30.0,
        max_answer_bytes: int = 1024 * 1024,
        tls: ssl.SSLContext | None = None,
        connect: Connect = socket.create_connection,
    ) -> None:
        """`timeout`: seconds for connecting, and for a whole answer. `tls`: see connectors.tls.calling.

        `connect`: opens the TCP connection; whoever takes the address from a configuration passes one that checks it.
        """
        self._address = (host, port)
        self._timeout = timeout
        self._max_answer_bytes = max_answer_bytes
        self._tls = tls
        self._open = connect
        self._socket: socket.socket | None = None

    def deliver(self, message: bytes) -> Acknowledgement:
        """What the receiver says of this very message.

        Raise SourceUnavailable when there is no answer in time, or one that is none or answers another message: then nothing is
        certain, and the connection is closed, so that a late answer is never taken for that of the next message.
        """
        answer = self.send(message)
        sent, told = read_header(message), acknowledgement_of(answer)
        problem = "what is no acknowledgement" if told is None else ""
        if told is not None and sent is not None and told.control_id.encode("utf-8", "surrogateescape") != sent[10]:
            problem = "an answer to another message"
        if problem or told is None:
            self.close()
            raise SourceUnavailable(f"{self._address[0]}:{self._address[1]} sent {problem}")
        return told

    def send(self, message: bytes) -> bytes:
        """The answer to one message, unframed. Raise SourceUnavailable when there is none in time; then nothing is certain."""
        try:
            connection = self._connect()
            connection.sendall(frame(message))
            return self._answer(connection)
        except (OSError, FrameTooLarge) as error:
            self.close()
            raise SourceUnavailable(f"no answer from {self._address[0]}:{self._address[1]}: {type(error).__name__}") from error

    def _connect(self) -> socket.socket:
        if self._socket is None:
            connection = self._open(self._address, self._timeout)
            try:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._socket = self._tls.wrap_socket(connection, server_hostname=self._address[0]) if self._tls else connection
            except BaseException:
                connection.close()
                raise
        return self._socket

    def _answer(self, connection: socket.socket) -> bytes:
        reader = FrameReader(self._max_answer_bytes)
        until = time.monotonic() + self._timeout
        try:
            while left := max(0.0, until - time.monotonic()):
                connection.settimeout(left)
                data = connection.recv(65536)
                if not data:
                    raise ConnectionResetError
                if blocks := reader.feed(data):
                    return blocks[0]
            raise TimeoutError
        finally:
            connection.settimeout(self._timeout)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> MllpClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def acknowledgement_of(answer: bytes) -> Acknowledgement | None:
    """None: the bytes are no answer to a message."""
    header = read_header(answer)
    fields = segment(answer, b"MSA", header) if header else None
    if header is None or fields is None or not fields[1]:
        return None
    text = fields[3] or _error(answer, header)
    return Acknowledgement(
        fields[1].decode("ascii", "replace"), fields[2].decode("utf-8", "surrogateescape"), text.decode("utf-8", "replace")
    )


def _error(answer: bytes, header: Header) -> bytes:
    """ERR-8, the user message, or ERR-7, or the text of the code in ERR-3."""
    fields = segment(answer, b"ERR", header)
    return (fields[8] or fields[7] or fields.part(3, 2)) if fields else b""
