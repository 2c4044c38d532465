"""One accepted association: its negotiation, the messages that come over it, their answers.

States of https://dicom.nema.org/medical/dicom/current/output/chtml/part08/sect_9.2.html, as the acceptor goes through them: wait
for the request, answer it, take messages until release, abort or silence. One thread reads; with an asynchronous window
(PS3.7 D.3.3.3) up to that many messages are being kept while the next one comes in.
"""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

from connectors.dicom import command as dimse
from connectors.dicom import pdu
from connectors.dicom.command import BadCommand, Command
from connectors.dicom.pdu import AssociateRequest, BadPdu, Proposed

log = logging.getLogger(__name__)

Answer = tuple[int, str]
"""DIMSE status, and an error comment that names no patient."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end."""

    calling: str
    called: str
    address: str
    certified: str = ""  # the facility that the client certificate is bound to


@dataclass(frozen=True, slots=True)
class Message:
    """A request and its data set as the sender encoded it."""

    command: Command
    transfer_syntax: str
    body: bytearray
    context: int


@dataclass(frozen=True, slots=True)
class Limits:
    max_pdu: int
    max_instance_bytes: int
    window: int  # messages that may wait for their answer at one time
    artim_timeout: float  # s
    network_timeout: float
    dimse_timeout: float


class Service(Protocol):
    """What an association does with what it gets."""

    def admit(self, request: AssociateRequest, peer: Peer) -> tuple[int, int, int] | None:
        """Why the association is rejected; None if it is not."""

    def ended(self, peer: Peer) -> None:
        """An admitted association is over."""

    def transfer_syntax(self, proposed: Proposed) -> str | None:
        """The one to use of those proposed; "" where the abstract syntax is not served, None where no transfer syntax is."""

    def store(self, message: Message, peer: Peer) -> Answer: ...

    def too_large(self) -> None: ...


class Closed(Exception):
    """The connection has ended, or was silent for too long."""


class Association:
    def __init__(self, connection: socket.socket, peer: Peer, service: Service, limits: Limits, executor: Executor) -> None:
        self._connection = connection
        self._peer = peer
        self._service = service
        self._limits = limits
        self._executor = executor
        self._syntaxes: dict[int, str] = {}
        self._sending = threading.Lock()
        self._window = threading.Semaphore(1)
        self._asynchronous = False
        self._buffer = bytearray(limits.max_pdu + pdu.HEADER.size)

    def run(self) -> None:
        """Until it is released, aborted or silent. The connection is the caller's to close."""
        try:
            if self._negotiate():
                self._serve_admitted()
        except BadPdu as reason:
            log.warning("association of %r aborted: %s", self._peer.calling or self._peer.address, reason)
            self._abort(pdu.INVALID_PARAMETER)
        except (Closed, OSError):
            self._abort(0)

    def _abort(self, reason: int) -> None:
        try:
            self._send(pdu.abortion(reason))
        except OSError:
            return

    # -- negotiation

    def _negotiate(self) -> bool:
        kind, body = self._pdu(self._limits.artim_timeout, self._limits.artim_timeout, pdu.MAX_ASSOCIATE)
        if kind != pdu.ASSOCIATE_RQ:
            self._abort(pdu.UNEXPECTED_PDU)
            return False
        request = pdu.read_request(bytes(body))
        self._peer = Peer(request.calling, request.called, self._peer.address, self._peer.certified)
        if refused := _unusable(request) or self._service.admit(request, self._peer):
            self._send(pdu.rejection(*refused))
            return False
        try:
            self._accept(request, bytes(body[4:36]))
        except OSError:
            self._service.ended(self._peer)
            raise
        return True

    def _accept(self, request: AssociateRequest, titles: bytes) -> None:
        answered = tuple(self._answered(proposed) for proposed in request.contexts)
        window = min(request.invoked or self._limits.window, self._limits.window) if request.asked_window else 1
        self._window, self._asynchronous = threading.Semaphore(window), window > 1
        self._send(pdu.acceptance(request, answered, max_length=self._limits.max_pdu, window=window, titles=titles))

    def _answered(self, proposed: Proposed) -> pdu.Answered:
        chosen = self._service.transfer_syntax(proposed)
        if chosen:
            self._syntaxes[proposed.id] = chosen
            return pdu.Answered(proposed.id, pdu.ACCEPTED, chosen)
        result = pdu.NO_TRANSFER_SYNTAX if chosen is None else pdu.NO_ABSTRACT_SYNTAX
        return pdu.Answered(proposed.id, result, next(iter(proposed.transfer_syntaxes), ""))

    # -- messages

    def _serve_admitted(self) -> None:
        try:
            self._serve()
        finally:
            self._service.ended(self._peer)

    def _serve(self) -> None:
        while (message := self._message()) is not None:
            self._window.acquire()  # released with the answer
            if self._asynchronous:
                self._executor.submit(self._handle, message)
            else:
                self._handle(message)
            del message

    def _message(self) -> Message | None:
        """The next request whole; None at a release."""
        command_bytes, body = bytearray(), bytearray()
        command: Command | None = None
        context = 0
        while True:
            begun = command is not None or bool(command_bytes)
            patience = self._limits.dimse_timeout if begun else self._limits.network_timeout
            kind, data = self._pdu(patience, self._limits.dimse_timeout, self._limits.max_pdu)
            if kind == pdu.RELEASE_RQ:
                self._send(pdu.release_reply())
                return None
            if kind != pdu.P_DATA:
                if kind != pdu.ABORT:
                    self._abort(pdu.UNEXPECTED_PDU)
                return None
            for fragment in pdu.fragments(data):
                if begun and fragment.context != context:
                    raise BadPdu("fragments of two messages mixed")
                context, begun = fragment.context, True
                part, limit = (command_bytes, dimse.MAX_COMMAND) if fragment.command else (body, self._limits.max_instance_bytes)
                if len(part) + len(fragment.data) > limit:
                    if not fragment.command:
                        self._service.too_large()
                    raise BadPdu(f"a message of more than {limit} bytes")
                part += fragment.data
                if not fragment.last:
                    continue
                if fragment.command:
                    command = self._command(bytes(command_bytes), context)
                if not fragment.command or (command is not None and command.number(dimse.DATA_SET_TYPE) == dimse.NO_DATA_SET):
                    if command is None:
                        raise BadPdu("a data set without a command")
                    return Message(command, self._syntaxes[context], body, context)

    def _command(self, data: bytes, context: int) -> Command:
        if context not in self._syntaxes:
            raise BadPdu("a presentation context that was not accepted")
        try:
            return dimse.read_command(data)
        except BadCommand as reason:
            raise BadPdu(str(reason)) from None

    def _handle(self, message: Message) -> None:
        try:
            status, comment = self._outcome(message)
            if status is not None:
                answer = dimse.response(message.command, status, comment)
                self._send(pdu.command_data(message.context, answer))
        except OSError:
            self._connection.close()
        finally:
            self._window.release()

    def _outcome(self, message: Message) -> tuple[int | None, str]:
        field = message.command.number(dimse.COMMAND_FIELD)
        if field == dimse.C_STORE:
            try:
                return self._service.store(message, self._peer)
            except Exception:  # never a success, never a hanging sender
                log.exception("a C-STORE failed")
                return 0x0110, "processing failure"
        if field == dimse.C_ECHO:
            return 0x0000, ""
        if field == dimse.C_CANCEL:
            return None, ""
        return 0x0211, "only C-STORE and C-ECHO are served"  # unrecognized operation

    # -- bytes

    def _send(self, data: bytes) -> None:
        with self._sending:
            self._connection.settimeout(self._limits.dimse_timeout)
            self._connection.sendall(data)

    def _pdu(self, patience: float, within: float, limit: int) -> tuple[int, memoryview]:
        """Kind and body of the next PDU. `patience`: seconds until it begins; `within`: until it has come whole."""
        head = self._take(memoryview(bytearray(pdu.HEADER.size)), time.monotonic() + patience)
        kind, length = pdu.HEADER.unpack(head)
        if not pdu.ASSOCIATE_RQ <= kind <= pdu.ABORT:
            raise BadPdu("no PDU of the upper layer")
        if length > limit:
            raise BadPdu(f"a PDU of {length} bytes; the limit is {limit}")
        if length > len(self._buffer):
            self._buffer = bytearray(length)
        return kind, self._take(memoryview(self._buffer)[:length], time.monotonic() + within)

    def _take(self, into: memoryview, deadline: float) -> memoryview:
        at = 0
        while at < len(into):
            left = deadline - time.monotonic()
            if left <= 0:
                raise Closed
            self._connection.settimeout(left)
            try:
                count = self._connection.recv_into(into[at:])
            except TimeoutError:
                raise Closed from None
            if not count:
                raise Closed
            at += count
        return into


def _unusable(request: AssociateRequest) -> tuple[int, int, int] | None:
    if not request.version & 1:
        return pdu.REJECT_PROTOCOL
    return None if request.application_context == pdu.APPLICATION_CONTEXT else pdu.REJECT_CONTEXT


def without_delay(connection: socket.socket) -> None:
    """Nagle's algorithm against delayed acknowledgements costs 40 ms an instance."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def reset(connection: socket.socket) -> None:
    """Close at once: no time for a stranger that we have no room for."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
