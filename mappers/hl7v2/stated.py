"""When a message was stated: what settles which of two statements is the later one."""

from __future__ import annotations

from datetime import datetime

from mappers.datatypes import instant
from mappers.hl7v2.message import Message


def stated_at(message: Message, zone: str) -> datetime | None:
    """EVN-2 of an ADT, else MSH-7."""
    event = message.first("EVN")
    for segment, field in ((event, 2), (message.header, 7)):
        if segment is not None and (moment := instant(segment.value(field), zone)):
            return moment
    return None
