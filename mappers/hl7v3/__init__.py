"""HL7 V3 messages of 互联互通 platforms → FHIR."""

from mappers.hl7v3.mapper import map_message

__all__ = ["map_message"]
