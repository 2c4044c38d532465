"""By which weights and thresholds a hub decides, kept in its store: every process on it, and every hub, decides alike.

What county.toml says is written there at the start. Where it says something else than before, every Patient is settled anew, by a
job.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import msgspec

from hub.identity.weights import Weights, load_weights
from hub.settings import IdentitySettings

SHELF, KEY = "identity", "matching"
RULES = 2  # to be counted up when hub.identity.rules, facts or blocks answer otherwise


@dataclass(frozen=True, slots=True)
class Matching:
    weights: Weights
    link: float = IdentitySettings().link  # bits from which two Patients are one person
    doubt: float = IdentitySettings().doubt  # bits from which a person must look


class Shelves(Protocol):
    """A store, or a transaction of one."""

    def item(self, shelf: str, key: str) -> bytes | None: ...


STANDARD = Matching(load_weights())


def written(settings: IdentitySettings) -> bytes:
    """The settings as the store keeps them. Raise Invalid for weights that are none."""
    weights = load_weights(settings.weights)
    return msgspec.json.encode({"rules": RULES, "link": settings.link, "doubt": settings.doubt, "weights": weights.tables()})


def matching_in(shelves: Shelves) -> Matching:
    kept = shelves.item(SHELF, KEY)
    return STANDARD if kept is None else _read(kept)


@lru_cache(maxsize=8)
def _read(kept: bytes) -> Matching:
    values = msgspec.json.decode(kept)
    return Matching(Weights(values["weights"]), float(values["link"]), float(values["doubt"]))
