"""The one way out for connectors that speak HTTP: a port that the hub gives them, which calls only what they were built for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from connectors.base import SourceDenied


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)  # names in small letters
    body: bytes = b""


class Http(Protocol):
    def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", *, seconds: float, limit: int
    ) -> HttpAnswer:
        """Redirects are answers. Raise SourceUnavailable if there is none in time or it has more than `limit` bytes,
        SourceDenied for an address that may not be called."""

    def fetch(self, url: str, headers: Mapping[str, str], take: Callable[[bytes], None], *, seconds: float) -> HttpAnswer:
        """GET; `take` gets the content of a 200 piece by piece. Raise as `ask` does."""


class Outward(Protocol):
    def __call__(self, bases: tuple[str, ...], trust: Path | None = None) -> Http:
        """Base URLs from configuration → a port that calls their hosts and no others.

        `trust`: a file of certificates that sign those of the servers, instead of the public authorities'.
        """


def nowhere(bases: tuple[str, ...], trust: Path | None = None) -> Http:  # noqa: ARG001
    """For whoever builds a connector and gives it no port. Raise SourceDenied."""
    raise SourceDenied("no way out was given to the connector")
