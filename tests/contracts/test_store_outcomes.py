"""What became of records is read from both ends, on every store."""

from __future__ import annotations

from hub.store.port import Outcome


def test_dead_letters_are_read_backwards_from_where_the_page_before_ended(store):
    outcomes = [Outcome(number, "done" if number % 5 else "dead", source="ab"[number % 2]) for number in range(1, 61)]
    store.write(lambda transaction: [transaction.record_outcome(outcome) for outcome in outcomes]).result()

    def numbers(**asked: object) -> list[int]:
        return [outcome.seq for outcome in store.outcomes(**asked)]

    assert numbers(state="dead", newest=True, before=50, limit=2) == [45, 40]
    assert numbers(state="dead", source="a", newest=True, before=40, limit=9) == [30, 20, 10]
    assert numbers(before=4) == [1, 2, 3]
    assert numbers(after=57, before=60) == [58, 59]
    assert numbers(newest=True, before=3) == [2, 1]
    assert numbers(before=1) == []
