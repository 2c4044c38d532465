"""Values that stand in one resource after the other: codes, references, quantities. What was right once is right again.

Two thirds of the objects in a laboratory report are of these, and checking them took most of the time of a validation. An element
remembers which of its values had nothing wrong; what is wrong is looked at anew, for its issue names the place.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

REPEATED = frozenset({"Coding", "Quantity", "Reference"})
"""Types of which no invariant looks beyond the value, but for references into the resource itself: those have no key."""
MOST = 4096  # values an element; then it begins anew
LONGEST = 128


def repeated_key(value: dict[str, Any]) -> tuple[tuple[str, str | Decimal], ...] | None:
    """None for a value to be looked at each time: not plain, long, or one whose rightness depends on where it stands.

    Text and Decimal alone, as no value of one is equal to one of the other: true is equal to 1.
    """
    for each in value.values():
        if type(each) is str:
            if len(each) > LONGEST or each[:1] == "#" or "?" in each:
                return None
        elif type(each) is not Decimal or not each.is_finite():
            return None
    return tuple(value.items())


def remember(passed: set[Any], key: object) -> None:
    if len(passed) >= MOST:
        passed.clear()
    passed.add(key)
