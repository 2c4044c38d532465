"""Chinese text that a database holds under a character set that it is not: GBK bytes in a latin1 or US7ASCII database.

Old HIS were set up so, and every client of theirs must know. A channel's `stored_as` says it, its `charset` what the bytes
really are.

latin1   each byte comes as a letter of its own (MySQL latin1, SQL Server with a Latin collation, PostgreSQL SQL_ASCII)
bytes    the bytes themselves are asked for (Oracle US7ASCII, by UTL_RAW.CAST_TO_RAW)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import sqlalchemy as sa

StoredAs = Literal["", "latin1", "bytes"]
USUAL = "gb18030"
# MySQL's latin1 is Windows-1252, with the five bytes that it lacks as C1 controls
BYTE_OF = {bytes([byte]).decode("cp1252", "ignore") or chr(byte): byte for byte in range(256)} | {chr(b): b for b in range(256)}
TEXT = (sa.types.String,)
NATIONAL = (sa.types.Unicode, sa.types.UnicodeText, sa.types.Text)


def as_bytes(
    dialect: str, column: sa.ColumnElement[Any], type_: sa.types.TypeEngine[Any] | None, stored: StoredAs
) -> sa.ColumnElement[Any]:
    """A text column as it must be asked for. Oracle would replace every byte above 127 on its way to the client."""
    if stored == "bytes" and dialect == "oracle" and isinstance(type_, TEXT) and not isinstance(type_, NATIONAL):
        return sa.func.utl_raw.cast_to_raw(column)
    return column


def repaired(row: Mapping[str, Any], texts: frozenset[str], stored: StoredAs, charset: str) -> dict[str, Any]:
    """`texts`: names of the text columns. What does not decode stays as the driver gave it: nothing is guessed."""
    if not stored:
        return dict(row)
    really = charset or USUAL
    return {name: _decoded(value, stored, really) if name in texts else value for name, value in row.items()}


def _decoded(value: Any, stored: StoredAs, charset: str) -> Any:
    raw: bytes | None = None
    if stored == "bytes" and isinstance(value, (bytes, bytearray, memoryview)):
        raw = bytes(value)
    elif stored == "latin1" and isinstance(value, str) and all(letter in BYTE_OF for letter in value):
        raw = bytes(BYTE_OF[letter] for letter in value)
    if raw is None:
        return value
    try:
        return raw.decode(charset)
    except UnicodeDecodeError:
        return value if stored == "latin1" else raw.decode("latin-1")
