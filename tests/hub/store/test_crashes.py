"""A sample of `make crash-campaign`: after any crash every acknowledged transaction is there, and none is there by half."""

from __future__ import annotations

import random

import pytest

from tests.hub.store.crashes import Tally, kills, power_cuts
from tests.hub.store.power import Delete, Disk, File, Truncate, Write, torn

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", [1, 2])
def test_a_power_cut_loses_nothing_acknowledged_and_leaves_no_half(seed):
    tally = Tally()
    power_cuts(seed, tally)
    assert tally.broken == []
    assert tally.facts["trials"] == 20


def test_kill_minus_nine_loses_nothing_acknowledged_and_leaves_no_half():
    tally = Tally()
    kills(3, tally)
    assert tally.broken == []
    assert tally.facts["kills"] == 10


def test_what_is_not_synced_is_not_durable():
    file = File(bytearray(b"aaaa"))
    file.since += [Write(2, b"bbbb"), Truncate(5)]
    assert file.after(lambda rest: []) == b"aaaa"
    assert file.after(lambda rest: rest) == b"aabbb"
    assert file.after(lambda rest: rest[1:]) == b"aaaa"
    file.sync()
    file.since.append(Delete())
    assert (file.after(lambda rest: []), file.after(lambda rest: rest)) == (b"aabbb", None)


def test_a_torn_write_is_torn_at_sectors():
    parts = torn(random.Random(1), Write(300, bytes(2000)))
    assert 0 < sum(len(part.data) for part in parts) < 2000
    assert all((part.offset % 512 == 0 or part.offset == 300) and len(part.data) <= 512 for part in parts)


class Lying(Disk):
    """Says that it synced."""

    def sync(self, path):
        self._count()


def test_the_trial_notices_a_disk_that_lies():
    tally = Tally()
    power_cuts(1, tally, transactions=20, moments=3, disk=Lying)
    assert any("lost" in complaint for complaint in tally.broken)
