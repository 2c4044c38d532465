"""What a channel of county.toml says of its facility's habits → the MappingContext that its mapper gets."""

from __future__ import annotations

from pathlib import Path

from hub.errors import Invalid
from hub.settings import Channel, Validation
from mappers.base import MappingContext
from mappers.rows.tables import BadTable, load_tables, merged_tables, tables_of
from profiles.catalogue import load_concept_maps

USUAL = Validation()


def context_of(channel: Channel, beside: Path | None, validation: Validation = USUAL) -> MappingContext:
    """`beside`: the folder of county.toml; `validation` holds for a channel that says nothing of it.

    Raise Invalid naming the channel and the map or declared table that is not there or cannot be read.
    """
    try:
        maps = load_concept_maps(channel.maps, beside)
    except Invalid as error:
        raise Invalid(f"channel {channel.name}: maps: {error.message}") from None
    try:
        tables = merged_tables([load_tables((beside or Path()) / name) for name in channel.tables])
        tables_of(tables)
    except BadTable as error:
        raise Invalid(f"channel {channel.name}: tables: {error}") from None
    level = channel.validation or validation.channels
    return MappingContext(zone=channel.zone, charset=channel.charset, concept_maps=maps, tables=tables, strict=level == "strict")
