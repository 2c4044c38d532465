"""Which mapper made a resource, in which version, with which of the facility's own maps: what Provenance says of it.

A mapper's number goes up by hand when what it makes of the same record changes; the maps of a channel (ConceptMaps, tables, zone,
character set) are named by a digest of what they say, so two channels with the same habits have the same one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from mappers.base import MappingContext

VERSIONS = {"hl7v2": "2", "row": "2", "cda": "2", "hl7v3": "1", "dicom": "1", "ecg": "1"}
_DIGITS = 12
_MOST_KEPT = 256
_kept: dict[int, tuple[MappingContext, str]] = {}  # the context is held, so that its id stays its own


def version_of(kind: str, context: MappingContext) -> str:
    """ "hl7v2/1+3f2a9c1b04de": mapper, its version, and the digest of what its context says."""
    mapper = kind.partition("/")[0]
    return f"{mapper}/{VERSIONS.get(mapper, '0')}+{_digest(context)}"


def _digest(context: MappingContext) -> str:
    known = _kept.get(id(context))
    if known is None:
        said = {each.name: _plain(getattr(context, each.name)) for each in fields(context) if each.name != "explain"}
        digest = hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:_DIGITS]
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        known = _kept[id(context)] = (context, digest)
    return known[1]


def _plain(value: Any) -> Any:
    """The same for equal contents, whatever order they were read in."""
    if isinstance(value, Mapping):
        return sorted(([str(name), _plain(each)] for name, each in value.items()), key=lambda pair: pair[0])
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value if isinstance(value, (str, int, bool)) or value is None else str(value)
