"""DICOM Storage SCP: C-STORE → a record of kind "dicom", acknowledged when its bytes are synced; C-ECHO → success.

Statuses: https://dicom.nema.org/medical/dicom/current/output/chtml/part04/sect_GG.4.html and part07/chapter_C.html

The bytes are kept as the sender encoded them: only a preamble and the file meta information are put before them, and only
the header is looked at. What no reader can make sense of is refused, so the sender's own queue shows it.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt
from pynetdicom.presentation import AllStoragePresentationContexts
from pynetdicom.sop_class import Verification

from connectors.base import Intake, JournalUnavailable, SourceRecord, SourceUnavailable
from connectors.dicom.config import DicomConfig
from mappers.dicom.header import UID, HeaderError, read_header

log = logging.getLogger(__name__)

SUCCESS: Final = 0x0000
OUT_OF_RESOURCES: Final = 0xA700
CLASS_MISMATCH: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000

_SOP_CLASS_UID, _SOP_INSTANCE_UID, _SERIES_INSTANCE_UID = 0x00080016, 0x00080018, 0x0020000E


class _Contexts(list[Any]):
    """Every storage class in every transfer syntax. Negotiation only reads them, so associations share one list: the library's
    deep copy for each of them took 150 ms.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> _Contexts:
        return self


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
        self.counts: Counter[str] = Counter()  # "stored", "refused", "unavailable", "too-large"
        self._config = config
        self._intake = intake
        self._facility = facility
        self._hints = dict(hints)
        self._clock = clock
        self._server: Any = None
        self._received: dict[int, int] = {}  # bytes of the message that an association is sending
        self._in_flight = 0
        self._idle = threading.Condition()

    def check(self) -> None:
        """Raise SourceUnavailable if the port cannot be bound."""
        if self._server is not None:
            return
        try:
            with socket.create_server((self._config.host, self._config.port)):
                pass
        except OSError as error:
            raise SourceUnavailable(f"{self.source}: port {self._config.port} cannot be bound: {error.strerror}") from None

    def start(self) -> None:
        entity = self._application_entity()
        handlers = [
            (evt.EVT_CONN_OPEN, self._opened),
            (evt.EVT_CONN_CLOSE, self._closed),
            (evt.EVT_PDU_RECV, self._measure),
            (evt.EVT_C_ECHO, lambda _event: SUCCESS),
            (evt.EVT_C_STORE, self._store),
        ]
        try:
            self._server = entity.start_server((self._config.host, self._config.port), block=False, evt_handlers=handlers)
        except OSError as error:
            raise SourceUnavailable(f"{self.source}: port {self._config.port} cannot be bound: {error.strerror}") from None
        self._server.contexts = _Contexts(self._server.contexts)
        self._server.socket.listen(self._config.max_associations)
        self.port = self._server.socket.getsockname()[1]

    def stop(self) -> None:
        """Accept no more, let stores in flight be answered, then end the associations."""
        if self._server is None:
            return
        active = self._server.active_associations
        self._server.shutdown()  # nobody new from here on
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0, timeout=self._config.stop_timeout)
        for association in active:
            association.abort()
        self._server = None

    def _application_entity(self) -> Any:
        config = self._config
        entity = AE(ae_title=config.ae_title)
        entity.maximum_pdu_size = config.max_pdu
        entity.maximum_associations = config.max_associations
        entity.network_timeout = config.network_timeout
        entity.acse_timeout = config.artim_timeout
        entity.dimse_timeout = config.dimse_timeout
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(context.abstract_syntax, ALL_TRANSFER_SYNTAXES)
        entity.add_supported_context(Verification)
        if config.known_only:
            entity.require_calling_aet = list(config.ae_titles)
        return entity

    def _opened(self, event: Any) -> None:
        """Nagle's algorithm against delayed acknowledgements costs 40 ms an instance."""
        connection = event.assoc.dul.socket.socket
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _closed(self, event: Any) -> None:
        self._received.pop(id(event.assoc), None)

    def _measure(self, event: Any) -> None:
        """A message larger than the limit loses its connection before it fills the memory."""
        values = getattr(event.pdu, "presentation_data_value_items", None)
        if values is None:
            return
        size = self._received.get(id(event.assoc), 0) + sum(len(item.presentation_data_value) for item in values)
        self._received[id(event.assoc)] = size
        if size > self._config.max_instance_bytes:
            self.counts["too-large"] += 1
            log.warning("%s: an instance of more than %d bytes, connection closed", self.source, self._config.max_instance_bytes)
            event.assoc.dul.socket.close()

    def _store(self, event: Any) -> int:
        with self._idle:
            self._in_flight += 1
        self._received.pop(id(event.assoc), None)
        try:
            return self._keep(event)
        finally:
            with self._idle:
                self._in_flight -= 1
                self._idle.notify_all()

    def _keep(self, event: Any) -> int:
        content: bytes = event.encoded_dataset()
        status, reason = _sense(content, event.request)
        if status != SUCCESS:
            return self._refuse(status, reason)
        calling = _title(event.assoc.requestor.ae_title)
        record = SourceRecord(
            source=self.source,
            facility=self._facility or self._config.ae_titles.get(calling, calling),
            kind="dicom",
            key=str(event.request.AffectedSOPInstanceUID),
            content=content,
            received_at=self._clock(),
            hints={**self._hints, "peer": calling, "transfer_syntax": str(event.context.transfer_syntax)},
        )
        try:
            self._intake(record)
        except JournalUnavailable:
            self.counts["unavailable"] += 1
            log.warning("%s: the journal takes nothing; the sender is told to try again", self.source)
            return OUT_OF_RESOURCES
        self.counts["stored"] += 1
        return SUCCESS

    def _refuse(self, status: int, reason: str) -> int:
        self.counts["refused"] += 1
        log.warning("%s: refused with %04X: %s", self.source, status, reason)
        return status


def _title(value: Any) -> str:
    return (value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)).strip()


def _sense(content: bytes, request: Any) -> tuple[int, str]:
    """Whether the data set is one, and the one that the command announces."""
    announced = str(request.AffectedSOPInstanceUID or "")
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
    if header.uid(_SOP_CLASS_UID) != str(request.AffectedSOPClassUID or ""):
        return CLASS_MISMATCH, "SOP Class UID is not the one that the command names"
    return SUCCESS, ""
