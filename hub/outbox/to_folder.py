"""Files for systems that read a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from connectors.base import SourceDenied, SourceUnavailable
from hub import fhir_json
from hub.outbox.config import FolderOptions
from hub.outbox.lanes import Consignment, Verdict
from hub.outbox.messages import oru_of
from hub.outbox.parcels import PDF, Parcel, attachments_in, content_of
from hub.settings import Destination
from hub.store.blobs import BlobStore
from hub.store.port import ResourceStore
from mappers.base import CannotMap
from mappers.fhir.outgoing import transaction_of


class FolderSender:
    """One file a record and version, there whole or not at all: written aside, synced, renamed."""

    def __init__(
        self,
        options: FolderOptions,
        destination: Destination,
        store: ResourceStore,  # noqa: ARG002
        blobs: BlobStore,  # noqa: ARG002
    ) -> None:
        self._options = options
        self._destination = destination

    def check(self) -> None:
        folder = self._options.folder
        if not folder.is_dir():
            raise SourceUnavailable(f"{folder} is no folder")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SourceDenied(f"{folder}: we may not write there")

    def send(self, consignment: Consignment, parcel: Parcel) -> Verdict:
        try:
            files = dict(self._files(consignment, parcel))
        except CannotMap as error:
            return Verdict("refused", str(error))
        if not files:
            return Verdict("nothing", "the record has no PDF")
        try:
            for name, content in files.items():
                put_file(self._options.folder, name, content)
        except OSError as error:
            return Verdict("unreachable", f"the folder: {(error.strerror or 'cannot be written').lower()}")
        return Verdict("acknowledged")

    def _files(self, consignment: Consignment, parcel: Parcel) -> Iterator[tuple[str, bytes]]:
        name = f"{consignment.number:012}-{consignment.control_id}"  # names sort as they were sent
        match self._options.content:
            case "hl7v2":
                yield f"{name}.hl7", oru_of(consignment, parcel, self._options, self._destination).content
            case "fhir":
                bundle = transaction_of(parcel.focus, parcel.around, parcel.documents, withdrawn=parcel.withdrawn)
                yield f"{name}.json", fhir_json.dump(bundle)
            case "pdf":
                for place, attachment in enumerate(() if parcel.withdrawn else attachments_in(parcel.focus), 1):
                    content = content_of(attachment, parcel.documents)
                    if content is not None and str(attachment.get("contentType", "")).startswith(PDF):
                        yield f"{name}-{place}.pdf", content

    def close(self) -> None:
        """Nothing is held open."""


def put_file(folder: Path, name: str, content: bytes) -> None:
    """Raise OSError. The same name again replaces the file."""
    aside = folder / f".{name}.part"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o640)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(folder / name)
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
