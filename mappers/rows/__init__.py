"""Database rows → FHIR, by tables that are declared in TOML."""

from mappers.rows.engine import map_row

__all__ = ["map_row"]
