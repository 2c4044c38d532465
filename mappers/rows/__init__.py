"""Database rows → FHIR, by tables that are declared in TOML."""

from mappers.rows.engine import map_row
from mappers.rows.examples import ExampleResult, run_table_tests

__all__ = ["ExampleResult", "map_row", "run_table_tests"]
