"""What a criterion asks of any store's index, whatever the store's language."""

from __future__ import annotations

from hub.errors import HubError, Kind
from hub.search.query import Criterion, ReferenceValue

LAST = "\U0010ffff"  # sorts behind every text that continues a prefix


def refuse_unless(criterion: Criterion, *known: str) -> None:
    """Raise HubError for a modifier that no store knows for this type of value."""
    if criterion.modifier not in known:
        raise HubError(f"{criterion.code}:{criterion.modifier} is not supported", kind=Kind.NOT_SUPPORTED)


def type_asked(criterion: Criterion, value: ReferenceValue) -> str:
    """Of what is referred to: as the value says (Patient/1), or the modifier (subject:Patient=1); "" for any."""
    kind = value.type or (criterion.modifier if criterion.modifier[:1].isupper() else "")
    if not kind:
        refuse_unless(criterion, "")
    return kind
