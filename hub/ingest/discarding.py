"""Dead records that a person gives up for good, with a reason: no count, list or alarm of dead ones names them any more.

The bytes stay in the journal; the reason stands in the outcome and, with who gave it, in the audit. It can be taken back. A replay
passes them by, unless one is asked for by its number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from hub.ingest.inspect import checked_reason
from hub.security.access import Access
from hub.security.door import Door
from hub.store.port import ResourceStore, Transaction

TOGETHER = 200  # outcomes of one transaction
Decision = Literal["discard", "restore"]


async def decide(door: Door, store: ResourceStore, access: Access, decision: Decision, numbers: Sequence[int], reason: str) -> int:
    """How many are discarded, or dead again, now; others of these numbers stay as they are. Raise Invalid without a reason."""
    words = checked_reason(reason)
    asked = f"{decision}={len(numbers)}&reason={words}"
    await door.note(access, action="E", interaction="operation", type="journal", query=asked)
    return await asyncio.to_thread(_changed, store, decision, numbers, words)


def _changed(store: ResourceStore, decision: Decision, numbers: Sequence[int], words: str) -> int:
    changed = 0
    for start in range(0, len(numbers), TOGETHER):
        some = numbers[start : start + TOGETHER]
        changed += store.write(partial(_change_some, decision=decision, numbers=some, words=words)).result()
    return changed


def _change_some(transaction: Transaction, *, decision: Decision, numbers: Sequence[int], words: str) -> int:
    return sum(_change(transaction, decision, seq, words) for seq in numbers)


def _change(transaction: Transaction, decision: Decision, seq: int, words: str) -> bool:
    outcome = transaction.outcome(seq)
    if outcome is None or outcome.state != ("dead" if decision == "discard" else "discarded"):
        return False
    given_up = decision == "discard"
    transaction.record_outcome(replace(outcome, state="discarded" if given_up else "dead", note=words if given_up else ""))
    return True
