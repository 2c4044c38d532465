"""A mapper that does what its record says: how a worker process meets the worst. Imported by the worker of one test."""

from __future__ import annotations

import os

from connectors.base import SourceRecord
from mappers.base import CannotMap, Change, Mapped, MappingContext
from mappers.registry import MAPPERS

MAPPERS["poison"] = f"{__name__}:map_poison"


def map_poison(record: SourceRecord, context: MappingContext) -> Mapped:
    match record.content:
        case b"raise":
            raise ValueError("张三 is in this message and must not be in the reason")
        case b"refuse":
            raise CannotMap("nothing of it can be used")
        case b"loop":
            while True:
                pass
        case b"die":
            os._exit(7)
        case b"eat":
            return Mapped((Change({"resourceType": "Basic", "id": "x", "text": "x" * (1 << 40)}),))
        case b"invalid":
            return Mapped((Change({"resourceType": "Patient", "id": "bad", "gender": ["female"]}), basic("good")))
    return Mapped((basic(record.content.decode()),))


def basic(id: str) -> Change:
    return Change({"resourceType": "Basic", "id": id, "code": {"text": "test"}})
