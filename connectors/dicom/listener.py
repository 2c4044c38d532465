"""DICOM Storage SCP: C-STORE → a record of kind "dicom", acknowledged when its bytes are synced; C-ECHO → success.

Statuses: https://dicom.nema.org/medical/dicom/current/output/chtml/part04/sect_GG.4.html and part07/chapter_C.html

The bytes are kept as the sender encoded them: only a preamble and the file meta information are put before them, and only the
header is looked at. What no reader can make sense of is refused, so the sender's own queue shows it. The upper layer is our own
(association.py): a general library's reactor polls, which was most of the time that an instance took.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import Final

from pydicom._uid_dict import UID_dictionary

from connectors import tls
from connectors.base import Intake, JournalUnavailable, SourceRecord
from connectors.dicom import command as dimse
from connectors.dicom import pdu
from connectors.dicom.association import Answer, Association, Limits, Message, Peer, reset, without_delay
from connectors.dicom.command import file_head
from connectors.dicom.config import DicomConfig
from connectors.dicom.pdu import AssociateRequest, Proposed
from connectors.ports import bound
from mappers.dicom.header import UID, HeaderError, read_header

log = logging.getLogger(__name__)

SUCCESS: Final = 0x0000
OUT_OF_RESOURCES: Final = 0xA700
CLASS_MISMATCH: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000

VERIFICATION: Final = "1.2.840.10008.1.1"
_NO_STORAGE = ("Storage Commitment", "Media Storage")
STORAGE_CLASSES: Final = frozenset(
    uid
    for uid, (name, kind, *_) in UID_dictionary.items()
    if kind == "SOP Class" and "Storage" in name and not name.startswith(_NO_STORAGE)
)
"""Every storage class of the standard, retired ones too."""
_KNOWN_SYNTAXES = frozenset(uid for uid, (_, kind, *_) in UID_dictionary.items() if kind == "Transfer Syntax")

_SOP_CLASS_UID, _SOP_INSTANCE_UID, _SERIES_INSTANCE_UID = 0x00080016, 0x00080018, 0x0020000E


class DicomListener:
    """One listening AE. Each association has a thread of its own: a stuck sender holds up nobody else."""

    def __init__(
        self,
        config: DicomConfig,
        intake: Intake,
        *,
        source: str,
        facility: str,
        hints: Mapping[str, str],
        clock: Callable[[], datetime],
    ) -> None:
        self.source = source
        self.port = config.port
        self.counts: Counter[str] = Counter()  # "stored", "refused", "unavailable", "too-large", "rejected"
        self._config = config
        self._intake = intake
        self._facility = facility
        self._hints = dict(hints)
        self._clock = clock
        self._server: socket.socket | None = None
        self._context: ssl.SSLContext | None = None
        self._accepting: threading.Thread | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._open: dict[socket.socket, str] = {}  # connection → the address it came from
        self._associated: Counter[str] = Counter()  # address → admitted associations
        self._in_flight = 0
        self._idle = threading.Condition()

    # -- as a listening connector

    def check(self) -> None:
        """Raise SourceUnavailable if the port cannot be bound or the TLS files cannot be used."""
        if self._server is not None:
            return
        self._tls()
        bound(self._config.host, self._config.port).close()

    def _tls(self) -> ssl.SSLContext | None:
        return tls.listening(self._config.tls) if self._config.tls else None

    def start(self) -> None:
        self._context = self._tls()
        self._server = bound(self._config.host, self._config.port)
        self._server.listen(max(128, self._config.max_associations))
        self.port = self._server.getsockname()[1]
        self._executor = ThreadPoolExecutor(max_workers=max(8, self._config.window), thread_name_prefix=f"{self.source}-keep")
        self._accepting = threading.Thread(target=self._accept, args=(self._server,), name=f"{self.source}-accept", daemon=True)
        self._accepting.start()

    def stop(self) -> None:
        """Accept no more, let stores in flight be answered, then end the associations."""
        if self._server is None:
            return
        server, self._server = self._server, None
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept()
        server.close()
        if self._accepting:
            self._accepting.join(self._config.stop_timeout + 1)
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0, timeout=self._config.stop_timeout)
            left = list(self._open)
        for connection in left:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if self._executor:
            self._executor.shutdown(wait=False)

    def _accept(self, server: socket.socket) -> None:
        while self._server is server:
            try:
                connection, address = server.accept()
            except OSError:
                return  # closed by stop
            if self._server is not server or not self._has_room(str(address[0])):
                reset(connection)
                continue
            with self._idle:
                self._open[connection] = str(address[0])
            threading.Thread(target=self._serve, args=(connection, str(address[0])), name=self.source, daemon=True).start()

    def _has_room(self, address: str) -> bool:
        """Some more than associations are let in: those too many are told so by a rejection, not by a reset."""
        with self._idle:
            of_peer = sum(one == address for one in self._open.values())
            return len(self._open) < self._config.max_associations + 16 and of_peer < self._config.max_associations_per_peer + 8

    def _serve(self, connection: socket.socket, address: str) -> None:
        raw = connection
        try:
            without_delay(connection)
            certified = ""
            if self._context is not None:
                connection.settimeout(self._config.artim_timeout)
                connection = self._context.wrap_socket(connection, server_side=True)
                certified = self._certified(connection)
            config, executor = self._config, self._executor
            if executor is None:
                return
            window = config.window if self._context is None else 1  # a TLS connection is not read and written by two threads
            limits = Limits(
                config.max_pdu, config.max_instance_bytes, window,
                config.artim_timeout, config.network_timeout, config.dimse_timeout,
            )  # fmt: skip
            Association(connection, Peer("", "", address, certified), self, limits, executor).run()
        except (OSError, ssl.SSLError) as error:
            log.info("%s: a connection ended: %s", self.source, type(error).__name__)
        except Exception:
            log.exception("%s: an association failed", self.source)
        finally:
            with self._idle:
                self._open.pop(raw, None)
                self._idle.notify_all()
            connection.close()

    def _certified(self, connection: ssl.SSLSocket) -> str:
        """The facility that the sender's certificate is bound to."""
        if not self._config.certificates:
            return ""
        return tls.facility_of(connection.getpeercert() or {}, connection.getpeercert(True) or b"", self._config.certificates)

    # -- as the service of an association

    def admit(self, request: AssociateRequest, peer: Peer) -> tuple[int, int, int] | None:
        with self._idle:
            refused = self._refused(request, peer)
            self._associated[peer.address] += refused is None
        if refused:
            self.counts["rejected"] += 1
            log.warning("%s: association of %r rejected: %s", self.source, request.calling, refused)
        return refused

    def _refused(self, request: AssociateRequest, peer: Peer) -> tuple[int, int, int] | None:
        config = self._config
        if config.called_only and request.called not in (config.ae_title, *config.called_ae_titles):
            return pdu.REJECT_CALLED
        if (config.known_only and request.calling not in config.ae_titles) or (config.certificates and not peer.certified):
            return pdu.REJECT_CALLING
        full = self._associated.total() >= config.max_associations
        crowded = self._associated[peer.address] >= config.max_associations_per_peer
        return pdu.REJECT_CONGESTION if full or crowded else None

    def ended(self, peer: Peer) -> None:
        with self._idle:
            self._associated[peer.address] -= 1
            self._associated += Counter()  # forgets addresses that have none left

    def transfer_syntax(self, proposed: Proposed) -> str | None:
        """The first that the standard names, for the sender knows best; a private one where it proposes nothing else."""
        if not self._serves(proposed.abstract_syntax):
            return ""
        usable = [syntax for syntax in proposed.transfer_syntaxes if UID.fullmatch(syntax)]
        return next((syntax for syntax in usable if syntax in _KNOWN_SYNTAXES), next(iter(usable), None))

    def _serves(self, abstract_syntax: str) -> bool:
        if abstract_syntax == VERIFICATION or abstract_syntax in STORAGE_CLASSES:
            return True
        return bool(UID.fullmatch(abstract_syntax)) and (abstract_syntax in self._config.sop_classes or self._config.any_sop_class)

    def too_large(self) -> None:
        self.counts["too-large"] += 1
        log.warning("%s: an instance of more than %d bytes, association aborted", self.source, self._config.max_instance_bytes)

    def store(self, message: Message, peer: Peer) -> Answer:
        with self._idle:
            self._in_flight += 1
        try:
            return self._keep(message, peer)
        finally:
            with self._idle:
                self._in_flight -= 1
                self._idle.notify_all()

    def _keep(self, message: Message, peer: Peer) -> Answer:
        announced = message.command.text(dimse.AFFECTED_INSTANCE)
        sop_class = message.command.text(dimse.AFFECTED_CLASS)
        content = b"".join((file_head(sop_class, announced, message.transfer_syntax), message.body))
        message.body.clear()
        status, reason = _sense(content, announced, sop_class)
        if status != SUCCESS:
            self.counts["refused"] += 1
            log.warning("%s: refused with %04X: %s", self.source, status, reason)
            return status, reason
        record = SourceRecord(
            source=self.source,
            facility=self._facility_of(peer),
            kind="dicom",
            key=announced,
            content=content,
            received_at=self._clock(),
            hints={**self._hints, "peer": peer.calling, "transfer_syntax": message.transfer_syntax},
        )
        try:
            self._intake(record)
        except JournalUnavailable:
            self.counts["unavailable"] += 1
            log.warning("%s: the journal takes nothing; the sender is told to try again", self.source)
            return OUT_OF_RESOURCES, "nothing can be kept now, try again"
        except Exception:
            self.counts["unavailable"] += 1
            log.exception("%s: an instance could not be handed over", self.source)
            return OUT_OF_RESOURCES, "nothing can be kept now, try again"
        self.counts["stored"] += 1
        return SUCCESS, ""

    def _facility_of(self, peer: Peer) -> str:
        """What is proved goes before what is configured, and that before what a sender says of itself."""
        config = self._config
        named = config.ae_titles.get(peer.calling) or config.called_ae_titles.get(peer.called) or peer.calling
        return peer.certified or self._facility or named


def _sense(content: bytes, announced: str, sop_class: str) -> Answer:
    """Whether the data set is one, and the one that the command announces."""
    if not UID.fullmatch(announced):
        return CANNOT_UNDERSTAND, "Affected SOP Instance UID is no UID"
    try:
        header = read_header(content, deep=False, until=_SERIES_INSTANCE_UID)
    except HeaderError as error:
        return CANNOT_UNDERSTAND, str(error)
    if not header.elements:
        return CANNOT_UNDERSTAND, "no element can be read"
    if header.uid(_SOP_INSTANCE_UID) != announced:
        return CANNOT_UNDERSTAND, "SOP Instance UID is not the one that the command names"
    if header.uid(_SOP_CLASS_UID) != sop_class:
        return CLASS_MISMATCH, "SOP Class UID is not the one that the command names"
    return SUCCESS, ""
