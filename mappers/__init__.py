"""Mappers are pure: a source record in, FHIR R4 resources and issues out. No clock, no network, no store."""
