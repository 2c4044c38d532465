"""The ledger of a message: each stated field is mapped, kept by decision, or named as unmapped; the three add up to all.

A field counts as mapped when a part of the mapper read it and could use it (`Draft.refuse` takes that back); where it went is
said by `destinations`. It is kept when it carries the message (MSH, envelopes) or only counts segments (Set ID). What is left is
unmapped: it stays in the raw record, and a segment of which nothing was read is named as an issue.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal, NamedTuple

from mappers.base import Line
from mappers.hl7v2.destinations import destination
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import ENVELOPE, Segment

CARRIES = {"EVN": 1 << 6}  # bit n: what field n of a segment of the transport says of the patient all the same
SET_ID = 1 << 1
State = Literal["mapped", "kept", "unmapped"]

# Segments that carry the message and not the patient
TRANSPORT = ENVELOPE | {"MSH", "EVN", "SFT", "UAC", "MSA", "DSC", "ADD", "ARV"}
# Segments whose first field only counts them
COUNTED = frozenset(
    {
        *("PID", "PV1", "OBR", "OBX", "NTE", "SPM", "DG1", "AL1", "IAM", "NK1", "TQ1", "IN1", "GT1", "PR1"),
        *("FT1", "AIS", "AIG", "AIL", "AIP", "TXA", "RGS", "RMI", "IAR", "DB1"),
    }
)


class States(NamedTuple):
    """The stated fields of a segment by what became of them: bit n is field n."""

    mapped: int
    kept: int
    unmapped: int


def _states(segment: Segment) -> States:
    stated = segment.stated_bits()
    transport = segment.name in TRANSPORT
    mapped = stated & segment.read & ~segment.refused
    if transport:
        mapped &= CARRIES.get(segment.name, 0)
    elif segment.name in COUNTED:
        mapped &= ~SET_ID
    rest = stated & ~mapped
    kept = rest if transport else rest & (segment.ignored | (SET_ID if segment.name in COUNTED else 0))
    return States(mapped, kept, rest & ~kept)


def close(draft: Draft) -> dict[str, int]:
    """The counts, once the map is done; segments of which nothing was read become issues."""
    mapped = kept = unmapped = 0
    unread: Counter[str] = Counter()
    for segment in draft.message:
        states = _states(segment)
        mapped += states.mapped.bit_count()
        kept += states.kept.bit_count()
        unmapped += states.unmapped.bit_count()
        if states.unmapped and not states.mapped and not segment.read & segment.refused:
            unread[segment.name[:8]] += 1
    for name, count in unread.items():
        where = name if name.isascii() and name.isalnum() else "a line without a segment name"
        draft.note("not-mapped", where, f"{count} segment{'s' if count > 1 else ''}: kept in the raw record", "information")
    return {"mapped": mapped, "kept": kept, "unmapped": unmapped}


def lines(draft: Draft) -> Iterator[Line]:
    """The same, field by field, in the order of the message."""
    for segment in draft.message:
        states = _states(segment)
        for number in segment.stated():
            bit = 1 << number
            state: State = "mapped" if states.mapped & bit else "kept" if states.kept & bit else "unmapped"
            yield Line(f"{segment.where}-{number}", state, _where_to(draft, segment, number) if state == "mapped" else "")


def _where_to(draft: Draft, segment: Segment, number: int) -> str:
    """The element, and what of a field that is read by components nobody read."""
    to = draft.declared.get((segment.name, number)) or destination(draft.message.code, segment.name, number)
    unread = segment.unread_parts(number)
    return f"{to}; not read: {', '.join(f'{segment.name}-{number}.{part}' for part in unread)}" if unread else to
