"""To another FHIR server: one transaction a record, or the record alone. https://hl7.org/fhir/R4/http.html"""

from __future__ import annotations

from connectors.base import SourceDenied, SourceUnavailable
from connectors.fhir_rest.client import FhirClient
from connectors.http_client import retry_after
from hub import fhir_json
from hub.outbox.config import FhirOptions
from hub.outbox.lanes import Consignment, Verdict
from hub.outbox.parcels import Parcel
from hub.security.outward import HttpOutward
from hub.settings import Destination
from hub.store.blobs import BlobStore
from hub.store.port import ResourceStore
from mappers.fhir.outgoing import stripped, transaction_of

ANSWER_BYTES = 4 * 1024 * 1024
AGAIN_LATER = frozenset({401, 403, 407, 408, 409, 423, 425, 429})  # beside 5xx; who we are may be mended there or here


class FhirSender:
    def __init__(
        self,
        options: FhirOptions,
        destination: Destination,
        store: ResourceStore,  # noqa: ARG002
        blobs: BlobStore,  # noqa: ARG002
    ) -> None:
        self._whole = options.whole
        http = HttpOutward((options.base_url, options.token_url), options.ca_file)
        self._client = FhirClient(options.base_url, options, http, seconds=destination.timeout_seconds)

    def check(self) -> None:
        self._client.check()

    def send(self, consignment: Consignment, parcel: Parcel) -> Verdict:
        name = f"{parcel.focus['resourceType']}/{parcel.focus['id']}"
        headers = {"x-request-id": consignment.control_id}
        try:
            if self._whole:
                bundle = transaction_of(parcel.focus, parcel.around, parcel.documents, withdrawn=parcel.withdrawn)
                answer = self._client.ask("POST", "", fhir_json.dump(bundle), limit=ANSWER_BYTES, headers=headers)
            elif parcel.withdrawn:
                answer = self._client.ask("DELETE", name, limit=ANSWER_BYTES, headers=headers)
            else:
                body = fhir_json.dump(stripped(parcel.focus, parcel.documents))
                answer = self._client.ask("PUT", name, body, limit=ANSWER_BYTES, headers=headers)
        except SourceUnavailable as error:
            return Verdict("unreachable", str(error))
        except SourceDenied as error:
            return Verdict("unreachable", str(error))
        if 200 <= answer.status < 300 or (parcel.withdrawn and answer.status in (404, 410)):
            return Verdict("acknowledged")
        problem = f"HTTP {answer.status}"
        if answer.status in AGAIN_LATER or answer.status >= 500:
            unreachable = answer.status in (401, 403, 407, 429, 502, 503, 504)
            return Verdict("unreachable" if unreachable else "failed", problem, wait=retry_after(answer) or 0.0)
        return Verdict("refused", problem)

    def close(self) -> None:
        """Each call has a connection of its own."""
