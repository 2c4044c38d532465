"""What sends to a destination, by its kind; each kind is loaded when county.toml names one."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from connectors.base import SourceDenied, SourceUnavailable
from hub.errors import Invalid
from hub.outbox.config import options_of
from hub.outbox.lanes import Consignment, Verdict
from hub.outbox.parcels import Parcel
from hub.settings import Destination
from hub.store.blobs import BlobStore
from hub.store.port import ResourceStore

KINDS = {
    "mllp": "hub.outbox.to_mllp:MllpSender",
    "dicom": "hub.outbox.to_dicom:DicomSender",
    "fhir": "hub.outbox.to_fhir:FhirSender",
    "folder": "hub.outbox.to_folder:FolderSender",
}


class Sender(Protocol):
    """Called from one thread at a time."""

    def check(self) -> None:
        """Raise SourceDenied or SourceUnavailable if nothing could be sent now."""

    def send(self, consignment: Consignment, parcel: Parcel) -> Verdict: ...

    def close(self) -> None: ...


def sender_of(destination: Destination, store: ResourceStore, blobs: BlobStore) -> Sender:
    """Raise Invalid naming the option that is wrong."""
    options = options_of(destination)
    module, _, name = KINDS[destination.kind].partition(":")
    try:
        return cast(Sender, getattr(import_module(module), name)(options, destination, store, blobs))
    except (SourceDenied, SourceUnavailable) as error:
        raise Invalid(f"destination {destination.name}: {error}") from None
