"""What many connections received → the journal, a group at a time, so that they share its syncs and none waits for a flood.

Whoever sends more than its share goes after the others of the same moment, as if it had come later; nobody waits for ever.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import NamedTuple

from connectors.base import Intake, JournalUnavailable, SourceRecord

log = logging.getLogger(__name__)

GROUP = 64  # records of one hand-over
SHARE = 50  # messages of the last second or so with which nobody is put back
LATER = 0.02  # seconds by which each further one puts a hand-over back …
LATEST = 2.0  # … up to so many
ALONE = 64 * 1024  # a body that the journal syncs by itself

UNWRITTEN = "the journal cannot be written: send it again later"
NOT_KEPT = "the message was not kept: send it again later"


class _Waiting(NamedTuple):
    due: float
    number: int
    records: Sequence[SourceRecord]
    kept: asyncio.Future[str]


class HandOver:
    """Of one listener, in its event loop: `keep` waits until the records are synced."""

    def __init__(self, source: str, intake: Intake, workers: int) -> None:
        self._source = source
        self._intake = intake
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=f"mllp-{source}")
        self._free = workers
        self._waiting: list[_Waiting] = []
        self._numbers = count()
        self._running: set[asyncio.Task[None]] = set()

    async def keep(self, records: Sequence[SourceRecord], recent: float = 0) -> str:
        """Why they could not be kept, as the sender is told; "" once they are synced. `recent`: how many it has sent lately."""
        loop = asyncio.get_running_loop()
        kept: asyncio.Future[str] = loop.create_future()
        back = min(LATEST, LATER * max(0.0, recent - SHARE))
        waiting = _Waiting(loop.time() + back, next(self._numbers), records, kept)
        heapq.heappush(self._waiting, waiting)
        self._next()
        return await kept

    def close(self) -> None:
        self._pool.shutdown(wait=False)

    def _next(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            task = asyncio.get_running_loop().create_task(self._write(self._group()))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    def _group(self) -> list[_Waiting]:
        group = [heapq.heappop(self._waiting)]
        size = len(group[0].records)
        while self._waiting and not _large(group[-1]) and not _large(self._waiting[0]):
            size += len(self._waiting[0].records)
            if size > GROUP:
                break
            group.append(heapq.heappop(self._waiting))
        return group

    async def _write(self, group: Sequence[_Waiting]) -> None:
        try:
            problem = await self._hand([record for each in group for record in each.records])
            for each in group:
                alone = problem == NOT_KEPT and len(group) > 1  # one of them is to blame, the others are not
                answer = await self._hand(each.records) if alone else problem
                if not each.kept.done():
                    each.kept.set_result(answer)
        finally:
            self._free += 1
            self._next()

    async def _hand(self, records: Sequence[SourceRecord]) -> str:
        try:
            await asyncio.get_running_loop().run_in_executor(self._pool, lambda: self._intake(*records))
        except JournalUnavailable:
            return UNWRITTEN
        except Exception as error:  # an answer is owed whatever happens; never a positive one
            log.error("%s: intake failed: %s", self._source, type(error).__name__)  # noqa: TRY400 - a traceback may hold content
            return NOT_KEPT
        return ""


def _large(waiting: _Waiting) -> bool:
    return any(len(record.content) > ALONE for record in waiting.records)
