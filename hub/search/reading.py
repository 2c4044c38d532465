"""What all readers of a search's parameters share: the limits, the errors, and what is known beside the text.

A message names parameters and never repeats a value: a value may be a patient's name.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hub.errors import HubError, Invalid, Kind
from hub.search.dates import DEFAULT_ZONE

MAX_PARAMETERS = 100
MAX_VALUES = 1000  # of one parameter
MAX_LENGTH = 65_536  # characters of all names and values
MAX_COUNT = 1000
DEFAULT_COUNT = 20
MAX_HOPS = 8  # of one chain
MAX_DEPTH = 20  # of parentheses in a filter
MAX_ASKED = 20_000  # values of all criteria, those counted that a chain to several types repeats
MAX_WAYS = 400  # that chains without a type may lead
MAX_TRIED = 5_000  # types looked at for such ways
MAX_SORTS = 10
MAX_INCLUDES = 50  # kinds
MAX_INCLUDED = 1000  # resources beside one page
BY_NAME_ALONE = frozenset({"AuditEvent"})  # no part of "every type": else every page of an administrator would grow the next


NARROW_IT = (
    "narrow it by a patient, a code, a date or an identifier; _text, _content, :contains and :not, alone, look at every resource"
)


class NotUnderstood(Invalid):
    """An unknown or unsupported parameter: the one error that lenient handling turns into leaving the parameter out."""


class DoesNotFit(Invalid):
    """A parameter that is there, asked in a way that it cannot be: of several types that a chain may lead to, this is none."""


def not_supported(what: str) -> NotUnderstood:
    return NotUnderstood(f"{what} is not supported by this server", kind=Kind.NOT_SUPPORTED)


def too_costly(what: str) -> HubError:
    return HubError(what, kind=Kind.TOO_COSTLY)


def shown(name: str) -> str:
    """A parameter's name in a message: short, and without control characters."""
    return repr(name[:64])


@dataclass(slots=True)
class Budget:
    """How much one search may ask, all told."""

    values: int = MAX_ASKED
    ways: int = MAX_WAYS
    tried: int = MAX_TRIED

    def spend(self, values: int = 0, *, ways: int = 0, tried: int = 0) -> None:
        self.values -= values
        self.ways -= ways
        self.tried -= tried
        if min(self.values, self.ways, self.tried) < 0:
            raise too_costly("the search asks too much at once: name the types of its chains, or give fewer values")


@dataclass(frozen=True, slots=True)
class Context:
    """`now` (UTC ms) is for `ap`; `base` is this server's own address, in references."""

    now: int
    zone: str = DEFAULT_ZONE
    base: str = ""
    budget: Budget = field(default_factory=Budget)
