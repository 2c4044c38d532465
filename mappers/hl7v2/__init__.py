"""HL7 v2 → FHIR R4: `map_message` is the mapper of records of kind "hl7v2"."""

from mappers.hl7v2.messages import map_message

__all__ = ["map_message"]
