"""When a message was stated: what settles which of two statements is the later one; and the zone of its times."""

from __future__ import annotations

from datetime import datetime

from mappers.datatypes import instant, read_moment, zone_of
from mappers.hl7v2.message import Message


def stated_at(message: Message, zone: str) -> datetime | None:
    """EVN-2 of an ADT, else MSH-7."""
    event = message.first("EVN")
    for segment, field in ((event, 2), (message.header, 7)):
        if segment is not None and (moment := instant(segment.value(field), zone)):
            return moment
    return None


def stated_zone(message: Message, configured: str) -> str:
    """The offset of MSH-7 is that of every time of the message that has none (HL7 v2.5.1 2.15.9.7); without one the channel's zone.

    Where the two agree the channel's is used: a zone by name knows its summers.
    """
    text = message.header.value(7)
    moment, at = read_moment(text), instant(text, configured)
    if moment is None or at is None or not moment.offset or at.astimezone(zone_of(configured)).utcoffset() == at.utcoffset():
        return configured
    return moment.offset
