"""Calls of one FHIR server, and whether it is one."""

from __future__ import annotations

from connectors.base import SourceDenied, SourceUnavailable
from connectors.http_client import HttpClient, read_json

FHIR_JSON = "application/fhir+json"
METADATA_BYTES = 64 << 20
RELEASE = "4.0"


class FhirClient(HttpClient):
    media = FHIR_JSON

    def content(self, path: str, *, limit: int) -> bytes:
        """GET of FHIR JSON. Raise SourceDenied, SourceUnavailable."""
        answer = self.patiently(lambda: self.ask("GET", path, limit=limit))
        if answer.status != 200:
            raise SourceUnavailable(f"{self.host}: HTTP {answer.status}")
        return answer.body

    def check(self) -> None:
        """It answers, takes us, and speaks R4. Raise SourceDenied or SourceUnavailable saying which of these failed."""
        statement = read_json(self.content("metadata", limit=METADATA_BYTES), self.host)
        if statement.get("resourceType") != "CapabilityStatement":
            raise SourceUnavailable(f"{self.host}: metadata is no CapabilityStatement")
        version = str(statement.get("fhirVersion", ""))
        if not version.startswith(RELEASE):
            raise SourceDenied(f"{self.host} speaks FHIR {version or 'of an unstated release'}; this connector reads R4 (4.0.1)")
