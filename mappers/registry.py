"""What kind of bytes → the function that maps them. A kind may carry its own name behind a slash: row/v_patient."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import cast

from connectors.base import SourceRecord
from mappers.base import CannotMap, Mapped, Mapper, MappingContext

MAPPERS = {
    "hl7v2": "mappers.hl7v2:map_message",
    "row": "mappers.rows:map_row",
    "cda": "mappers.cda:map_document",
    "dicom": "mappers.dicom.mapper:map_instance",
    "ecg": "mappers.ecg.mapper:map_ecg",
    "document": "mappers.document:map_document_file",
    "fhir": "mappers.fhir:map_resource",
    "hl7v3": "mappers.hl7v3:map_message",
}


@cache
def mapper_of(kind: str) -> Mapper:
    """Raise CannotMap for a kind that nothing maps. Imported when first needed: a hub without DICOM loads none of it."""
    name = MAPPERS.get(kind.partition("/")[0])
    if name is None:
        raise CannotMap(f"no mapper for the kind {kind}")
    module, _, function = name.partition(":")
    return cast(Mapper, getattr(import_module(module), function))


def map_record(record: SourceRecord, context: MappingContext) -> Mapped:
    return mapper_of(record.kind)(record, context)
