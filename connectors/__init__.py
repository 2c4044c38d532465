"""Connectors speak a protocol and know nothing of FHIR: bytes in, acknowledgement out."""
