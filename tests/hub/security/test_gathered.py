"""Reads that are gathered are all answered, whoever comes while the last question is being answered."""

from __future__ import annotations

import asyncio
import time

import pytest

from hub.security.gathered import Gathered
from hub.store.port import Key
from hub.store.sqlite import SqliteStore
from tests.contracts.resources import patient, save

ROUNDS = 10


@pytest.fixture
def gathered(tmp_path):
    store = SqliteStore(tmp_path)
    save(store, patient(1), "p1")
    yield Gathered(store)
    store.close()


def test_who_asks_again_when_nobody_else_does_is_answered(gathered):
    async def ask(times: int) -> None:
        for _ in range(times):
            assert await gathered.version(Key("Patient", "p1")) is not None

    async def once_a_turn_later() -> None:
        await asyncio.sleep(0)
        await ask(1)

    async def busy() -> None:
        """Both questions are answered while the loop does something else, so both tasks end in one turn of it."""
        for _ in range(4):
            await asyncio.sleep(0)
        time.sleep(0.02)

    async def rounds() -> None:
        for _ in range(ROUNDS):
            await asyncio.wait_for(asyncio.gather(ask(2), once_a_turn_later(), busy()), 10)

    asyncio.run(rounds())
