"""Doubts about pairs of Patients → what is asked: two persons are one question, however many Patients each has."""

from __future__ import annotations

from collections.abc import Mapping

from hub.identity.decisions import Decided
from hub.identity.pairs import Pair, in_order

CONTESTED = "kept-apart"  # a link that contradicts a decision is asked about beside it


def asked_once(doubts: Mapping[Pair, str], person: Mapping[str, str], decided: Decided) -> dict[Pair, str]:
    """Of two persons one pair, the first by id: whoever decides about it decides about all. None where somebody did already."""
    settled = {_persons(pair, person) for pair in decided.apart if pair[0] in person and pair[1] in person}
    first: dict[Pair, Pair] = {}
    for pair, reason in sorted(doubts.items()):
        two = _persons(pair, person)
        if two[0] != two[1] and (two not in settled or reason == CONTESTED):
            first.setdefault(two, pair)
    return {pair: doubts[pair] for pair in first.values()}


def _persons(pair: Pair, person: Mapping[str, str]) -> Pair:
    return in_order(person[pair[0]], person[pair[1]])
