"""The hub: intake, store, FHIR API, identity, recognition and pages of a county medical community."""

__version__ = "0.3.0"
