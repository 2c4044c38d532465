"""Values as TOML writes them, and a table added to the end of a file whose comments stay. https://toml.io/en/v1.0.0"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hub.errors import Invalid
from hub.settings import County, load_county

_BARE = re.compile(r"[A-Za-z0-9_\-]+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def text_of(value: Any) -> str:
    """A string, number, truth value, list or table on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return '"' + "".join(_character(character) for character in value) + '"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(str(name))} = {text_of(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(text_of, value)) + "]"
    raise TypeError(type(value).__name__)


def table_of(name: str, values: Mapping[str, Any]) -> str:
    """`[[name]]` with a line a value."""
    return "\n".join([f"[[{name}]]", *(f"{_key(key)} = {text_of(value)}" for key, value in values.items())]) + "\n"


def append_table(path: Path, name: str, values: Mapping[str, Any], comment: str = "") -> County:
    """The file with the table at its end; replaced only by a text that is read back without a complaint.

    Raise Invalid naming what is wrong; then the file is as it was.
    """
    before = path.read_bytes() if path.exists() else b""
    newline = "\r\n" if b"\r\n" in before else "\n"
    told = f"# {comment}\n" if comment else ""
    added = (("\n" if before else "") + told + table_of(name, values)).replace("\n", newline).encode()
    gap = b"" if not before or before.endswith(b"\n") else newline.encode()
    return _replaced(path, before + gap + added)


def _replaced(path: Path, content: bytes) -> County:
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o640
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).chmod(mode)
        try:
            county = load_county(Path(aside))
        except Invalid as error:
            raise Invalid(error.message.replace(aside, str(path))) from None
        Path(aside).replace(path)
        return county
    finally:
        Path(aside).unlink(missing_ok=True)


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return f"\\u{ord(character):04X}" if ord(character) < 0x20 or character == "\x7f" else character


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else text_of(name)
