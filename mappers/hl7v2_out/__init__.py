"""FHIR → HL7 v2: what the hub reports back to systems that speak it."""
