"""Clinical documents (CDA R2; WS/T 500) → FHIR."""

from mappers.cda.mapper import map_document

__all__ = ["map_document"]
