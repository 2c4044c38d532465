"""A mapper that does what its record says: how a worker process meets the worst. Imported by the worker of one test."""

from __future__ import annotations

import os
from pathlib import Path

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
    if record.content.startswith(b"while "):
        name, path = record.content[6:].decode().split(" ", 1)
        while Path(path).exists():
            pass
        return Mapped((basic(name),))
    if record.content.startswith(b"part "):
        return Mapped((part(record.content[5:].decode()),))
    return Mapped((basic(record.content.decode().replace(" ", "-")),))


def part(number: str) -> Change:
    """One instance of a study, as a DICOM file states it."""
    instance = {"uid": f"1.2.3.{number}", "sopClass": {"system": "urn:ietf:rfc:3986", "code": "urn:oid:1.2.840.10008.5.1.4.1.1.2"}}
    series = {
        "uid": "1.2.3",
        "modality": {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"},
        "instance": [instance],
    }
    study = {"resourceType": "ImagingStudy", "id": "study", "status": "available", "subject": {"reference": "Patient/p"}}
    return Change({**study, "series": [series]}, "union")


def basic(id: str) -> Change:
    return Change({"resourceType": "Basic", "id": id, "code": {"text": "test"}})
