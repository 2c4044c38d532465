"""FHIR of another server ↔ FHIR of ours: ids, references and marks of ownership."""
