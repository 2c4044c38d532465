"""What a sender's fields say, remembered: a laboratory writes the same items, units, limits and names into every message.

Profiled over reports of twenty results, nearly all the time went into reading these few fields anew for each. A part of the mapper
that depends on nothing but some raw fields of one segment and on the facility's habits is done once a wording; what it noted, read
and refused is done again for each segment that says the same, so ledger and issues are those of a mapper without a memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from mappers.base import Issue, MappingContext
from mappers.hl7v2.delimiters import Delimiters
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Message, Segment

Said = TypeVar("Said")

MOST_SENDERS = 16
MOST_WORDINGS = 2048  # of one sender; then it begins anew
LONGEST = 400  # characters of the fields together: what is longer is prose, which nobody repeats


class _Told(NamedTuple):
    """An outcome, and what came of it beside: bits of the fields read and refused, issues."""

    value: Any
    read: int
    refused: int
    issues: tuple[Issue, ...]
    at: str  # the segment that the issues name


Wording = dict[str, _Told]
"""What a segment's fields say: each part of the mapper has its own outcome."""
Memory = dict[tuple[str | None, ...], Wording]


class _Sender(NamedTuple):
    context: MappingContext  # held, so that its id stays its own
    memory: Memory


_senders: dict[tuple[str, int, Delimiters, str], _Sender] = {}


def memory_of(message: Message, facility: str, context: MappingContext) -> Memory | None:
    """What was learnt of messages that are read alike. None where every reading is to be traced."""
    if context.explain:
        return None
    key = (facility, id(context), message.delimiters, message.charset)
    sender = _senders.get(key)
    if sender is None:
        if len(_senders) >= MOST_SENDERS:
            _senders.clear()
        sender = _senders[key] = _Sender(context, {})
    return sender.memory


def wording_of(draft: Draft, key: tuple[str | None, ...]) -> Wording:
    """Of raw fields, and of whatever else its parts depend on."""
    memory = draft.memory
    if memory is None:
        return {}
    wording = memory.get(key)
    if wording is None:
        wording = {}
        if sum([len(each) for each in key if each]) <= LONGEST:
            if len(memory) >= MOST_WORDINGS:
                memory.clear()
            memory[key] = wording
    return wording


def remembered(draft: Draft, segment: Segment, wording: Wording, part: str, make: Callable[[], Said]) -> Said:
    """What `make` gives. It must depend on nothing but the wording and the sender's habits, and note issues of this segment only.

    What comes back is shared and is not to be changed, as no part of the mapper changes what another has put into a resource.
    """
    told = wording.get(part)
    if told is None:
        told = wording[part] = _made(draft, segment, make)
    else:
        segment.read |= told.read
        segment.refused |= told.refused
        if told.issues:
            where = segment.where
            if where != told.at:
                told = wording[part] = _moved(told, where)
            draft.issues += told.issues
    return told.value  # type: ignore[no-any-return]


def _made(draft: Draft, segment: Segment, make: Callable[[], Any]) -> _Told:
    read, refused, before = segment.read, segment.refused, len(draft.issues)
    segment.read = segment.refused = 0
    value = make()
    told = _Told(value, segment.read, segment.refused, tuple(draft.issues[before:]), segment.where)
    segment.read |= read
    segment.refused |= refused
    return told


def _moved(told: _Told, where: str) -> _Told:
    """The same said of a segment that stands elsewhere. Most stand where they stood in the message before."""
    own = len(told.at)
    issues = tuple(
        Issue(each.code, where + each.where[own:], each.detail, each.severity, each.system, each.value, each.display)
        for each in told.issues
    )
    return told._replace(issues=issues, at=where)
