"""Associations with one PACS as Query/Retrieve SCU: opened when first needed, kept for a look, opened anew when broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import Verification

from connectors.base import SourceDenied, SourceUnavailable
from connectors.dicom.command import file_head
from connectors.dicom.pull import Taken
from connectors.dicom.sender import give_answers_back, no_delay
from connectors.dicom_query.config import DicomQueryConfig
from connectors.ports import connected

FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"
GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"
SERVICES = {FIND: "C-FIND", MOVE: "C-MOVE", GET: "C-GET"}

# Each in a presentation context of its own, so that what is kept compressed comes as it is kept
SYNTAXES: Final = (
    "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202",
)  # fmt: skip
MAX_CLASSES: Final = 127 // len(SYNTAXES)  # presentation contexts of one association are 128, one is the query's

# A-ASSOCIATE-RJ (source, reason) → whose fault it is, in words
_REJECTED = {
    (1, 3): "it does not know the AE title that we call ourselves (calling_ae)",
    (1, 7): "it has another AE title (called_ae)",
    (3, 1): "it is busy",
    (3, 2): "it has as many associations as it takes",
}
OUT_OF_RESOURCES = 0xA700
TRIES = 2  # pynetdicom may see a connection closed before it reads the rejection that came first

Answers = Iterator[tuple[Dataset, Dataset | None]]


class Session:
    def __init__(self, config: DicomQueryConfig) -> None:
        self._config = config
        self._open: dict[tuple[str, ...], Any] = {}
        self._keep: Callable[[Taken], None] = lambda _: None
        self._limit = 0

    def close(self) -> None:
        for association in self._open.values():
            if association.is_established:
                association.release()
        self._open.clear()

    def echo(self) -> None:
        association = self._associated((Verification,))
        status = association.send_c_echo()
        if "Status" not in status or status.Status != 0x0000:
            raise SourceUnavailable(f"{self._where} does not answer C-ECHO")

    def offers(self, *services: str) -> None:
        """Raise SourceDenied for a service that is not offered to us."""
        for service in services:
            self._associated((service,))

    def find(self, query: Dataset) -> Answers:
        yield from self._associated((FIND,)).send_c_find(query, FIND)

    def move(self, query: Dataset, to: str) -> Answers:
        yield from self._associated((MOVE,)).send_c_move(query, to, MOVE)

    def get(self, query: Dataset, classes: frozenset[str], keep: Callable[[Taken], None], limit: int) -> Answers:
        """`keep` gets each instance as it comes. The classes are those that the series was said to hold."""
        self._keep, self._limit = keep, limit
        wanted = sorted(classes)
        for at in range(0, max(len(wanted), 1), MAX_CLASSES):
            yield from self._associated((GET, *wanted[at : at + MAX_CLASSES])).send_c_get(query, GET)

    # -- associations

    @property
    def _where(self) -> str:
        return f"{self._config.called_ae} at {self._config.host}:{self._config.port}"

    def _associated(self, classes: tuple[str, ...]) -> Any:
        association = self._open.get(classes)
        if association is not None and association.is_established:
            return association
        self._reach()
        association = self._associate(classes)
        self._open[classes] = association
        return association

    def _reach(self) -> None:
        """A connection that fails says why; pynetdicom's own does not."""
        try:
            connected(self._config.host, self._config.port, self._config.seconds).close()
        except SourceUnavailable as reason:
            raise SourceUnavailable(f"{self._config.called_ae}: {reason}") from None

    def _associate(self, classes: tuple[str, ...]) -> Any:
        service, *storage = classes
        entity = AE(ae_title=self._config.calling_ae)
        entity.maximum_pdu_size = 131072
        entity.network_timeout = entity.acse_timeout = entity.dimse_timeout = entity.connection_timeout = self._config.seconds
        entity.add_requested_context(service)
        for sop_class in storage:
            for syntax in SYNTAXES:
                entity.add_requested_context(sop_class, syntax)
        handlers = [(evt.EVT_CONN_OPEN, no_delay), (evt.EVT_C_STORE, self._stored)]
        roles = [build_role(sop_class, scp_role=True) for sop_class in storage]
        for _ in range(TRIES):
            association = entity.associate(
                self._config.host, self._config.port, ae_title=self._config.called_ae, ext_neg=roles, evt_handlers=handlers
            )
            if association.is_established or association.is_rejected or association.rejected_contexts:
                break
        if not association.is_established:
            raise self._refused(association, service)
        give_answers_back(association)
        if service not in {context.abstract_syntax for context in association.accepted_contexts}:
            association.release()
            raise SourceDenied(f"{self._where} does not offer us {SERVICES.get(service, 'C-ECHO')}")
        return association

    def _refused(self, association: Any, service: str) -> Exception:
        if association.is_rejected:
            primitive = association.acceptor.primitive
            key = (getattr(primitive, "result_source", 0), getattr(primitive, "diagnostic", 0))
            reason = _REJECTED.get(key, f"source {key[0]}, reason {key[1]}")
            kind = SourceUnavailable if key[0] == 3 else SourceDenied
            return kind(f"{self._where} rejects the association: {reason}")
        if association.rejected_contexts:
            return SourceDenied(f"{self._where} does not offer us {SERVICES.get(service, 'C-ECHO')}")
        return SourceUnavailable(f"{self._where}: no association")

    def _stored(self, event: Any) -> int:
        """An instance that C-GET brings, its data set as it was sent."""
        body = event.request.DataSet.getvalue()
        if len(body) > self._limit:
            return OUT_OF_RESOURCES
        uid, sop_class = str(event.request.AffectedSOPInstanceUID), str(event.request.AffectedSOPClassUID)
        syntax = str(event.context.transfer_syntax)
        hints = {"peer": self._config.called_ae, "transfer_syntax": syntax}
        self._keep(Taken(uid, file_head(sop_class, uid, syntax) + body, hints))
        return 0x0000
