"""A Storage SCU: what the demo's PACS and ECG cart send with, and the tests. Data sets go out byte for byte as they are."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

from connectors.base import SourceUnavailable

NO_ANSWER = -1
MAX_PROPOSED = 128  # presentation contexts that one association can propose


def send(
    host: str,
    port: int,
    objects: Sequence[Path | str | bytes | Dataset],
    calling_ae: str = "SENDER",
    *,
    called_ae: str = "YITONG",
    timeout: float = 60.0,
) -> list[int]:
    """C-STORE each object (a file, its bytes or a data set) in one association; the statuses, -1 where none came.

    Raise SourceUnavailable if the association is not accepted.
    """
    datasets = [_dataset(one) for one in objects]
    kinds = list(dict.fromkeys((ds.SOPClassUID, ds.file_meta.TransferSyntaxUID) for ds in datasets))[:MAX_PROPOSED]
    entity = _entity(calling_ae, timeout)
    for sop_class, syntax in kinds:
        entity.add_requested_context(sop_class, syntax)
    association = _associate(entity, host, port, called_ae)
    try:
        return [_status(association.send_c_store(ds)) if association.is_established else NO_ANSWER for ds in datasets]
    finally:
        association.release()


def echo(host: str, port: int, calling_ae: str = "SENDER", *, called_ae: str = "YITONG", timeout: float = 10.0) -> int:
    """C-ECHO; its status. Raise SourceUnavailable if the association is not accepted."""
    entity = _entity(calling_ae, timeout)
    entity.add_requested_context(Verification)
    association = _associate(entity, host, port, called_ae)
    try:
        return _status(association.send_c_echo())
    finally:
        association.release()


def _entity(calling_ae: str, timeout: float) -> Any:
    entity = AE(ae_title=calling_ae)
    entity.maximum_pdu_size = 131072
    entity.network_timeout = entity.acse_timeout = entity.dimse_timeout = entity.connection_timeout = timeout
    return entity


def _associate(entity: Any, host: str, port: int, called_ae: str) -> Any:
    association = entity.associate(host, port, ae_title=called_ae, evt_handlers=[(evt.EVT_CONN_OPEN, no_delay)])
    if not association.is_established:
        raise SourceUnavailable(f"no DICOM association with {host}:{port}")
    give_answers_back(association)
    return association


def give_answers_back(association: Any) -> None:
    """pynetdicom's reactor says that it is paused a moment before it is, and may then take the answer that the sender waits for.

    It drops what it takes, so on a busy machine an answer was waited for in vain. Here it puts it back.
    """
    serve = association._serve_request

    def serve_or_give_back(message: Any, context: int) -> None:
        if message.is_valid_request:
            serve(message, context)
        else:
            association.dimse.msg_queue.put((context, message))

    association._serve_request = serve_or_give_back


def no_delay(event: Any) -> None:
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _dataset(one: Path | str | bytes | Dataset) -> Dataset:
    if isinstance(one, Dataset):
        return one
    return dcmread(BytesIO(one) if isinstance(one, bytes) else one)


def _status(answer: Any) -> int:
    return int(answer.Status) if "Status" in answer else NO_ANSWER


def file_bytes(dataset: Dataset) -> bytes:
    """A data set as a Part 10 file."""
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()
