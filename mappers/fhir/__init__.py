"""FHIR of another server ↔ FHIR of ours: ids, references and marks of ownership."""

from mappers.fhir.incoming import map_resource

__all__ = ["map_resource"]
