"""An ORU^R01 over MLLP, and what its acknowledgement says. HL7 v2.5.1 chapter 2.9, table 0008."""

from __future__ import annotations

import time

from connectors.base import SourceUnavailable
from connectors.hl7v2_mllp.client import MllpClient
from connectors.ports import connected
from connectors.tls import calling
from hub.outbox.config import MllpOptions
from hub.outbox.lanes import Consignment, Verdict
from hub.outbox.messages import left_out, oru_of
from hub.outbox.parcels import Parcel
from hub.settings import Destination
from hub.store.blobs import BlobStore
from hub.store.port import ResourceStore
from mappers.base import CannotMap

IDLE_SECONDS = 20.0  # a connection that was not used for so long is opened anew


class MllpSender:
    """A connection is kept between messages that follow one another closely; receivers close one that is idle."""

    def __init__(
        self,
        options: MllpOptions,
        destination: Destination,
        store: ResourceStore,  # noqa: ARG002
        blobs: BlobStore,  # noqa: ARG002
    ) -> None:
        self._options = options
        self._destination = destination
        self._seconds = destination.timeout_seconds
        self._tls = calling(options.ca_file, options.certificate_file, options.key_file) if options.tls else None
        self._client = MllpClient(options.host, options.port, timeout=self._seconds, tls=self._tls)
        self._used = 0.0

    def check(self) -> None:
        with connected(self._options.host, self._options.port, min(10.0, self._seconds)) as connection:
            if self._tls is None:
                return
            try:
                self._tls.wrap_socket(connection, server_hostname=self._options.host).close()
            except OSError as error:
                raise SourceUnavailable(f"{self._options.host}:{self._options.port}: TLS: {type(error).__name__}") from None

    def send(self, consignment: Consignment, parcel: Parcel) -> Verdict:
        try:
            message = oru_of(consignment, parcel, self._options, self._destination)
        except CannotMap as error:
            return Verdict("refused", str(error))
        if time.monotonic() - self._used > IDLE_SECONDS:
            self._client.close()
        try:
            told = self._client.deliver(message.content)
        except SourceUnavailable as error:
            return Verdict("unreachable", str(error))
        self._used = time.monotonic()
        if told.accepted:
            return Verdict("acknowledged", left_out=left_out(message))
        code = told.code if told.code.isalnum() and len(told.code) <= 8 else "no code"  # its text may name a patient
        return Verdict("failed" if told.worth_repeating else "refused", f"answered {code}")

    def close(self) -> None:
        self._client.close()
