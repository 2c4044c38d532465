"""What a connector or a destination calls by HTTP: the hosts that county.toml names for it, through hub.security.egress."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx

from connectors.base import SourceDenied, SourceUnavailable
from connectors.http import HttpAnswer
from hub.security.egress import Egress, NotAllowedOut, TooLong, target_of

T = TypeVar("T")


class HttpOutward:
    """`bases`: URLs whose hosts and ports are called, and no others. Raise SourceDenied for one that is no URL."""

    def __init__(self, bases: tuple[str, ...], trust: Path | None = None) -> None:
        try:
            targets = [target_of(base) for base in bases if base]
        except NotAllowedOut as error:
            raise SourceDenied(error.message) from None
        self._egress = Egress(tuple(f"{target.host}:{target.port}" for target in targets), public=False, trust=trust)

    def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", *, seconds: float, limit: int
    ) -> HttpAnswer:
        reply = _answered(lambda: self._egress.ask(method, url, headers, body, seconds=seconds, limit=limit), url)
        return HttpAnswer(reply.status, reply.headers, reply.body)

    def fetch(self, url: str, headers: Mapping[str, str], take: Callable[[bytes], None], *, seconds: float) -> HttpAnswer:
        answer = _answered(lambda: self._egress.fetch(url, headers, take, idle=min(60.0, seconds), seconds=seconds), url)
        return HttpAnswer(answer.status, {"retry-after": answer.retry_after} if answer.retry_after else {})


def _answered(work: Callable[[], Coroutine[Any, Any, T]], url: str) -> T:
    """No path and no query leaves this function: they may name patients."""
    where = httpx.URL(url).host if url.isascii() else "the host"
    try:
        return asyncio.run(work())
    except NotAllowedOut as error:
        raise SourceDenied(f"{where}: {error.message}") from None
    except TooLong:
        raise SourceUnavailable(f"{where}: the answer is too long") from None
    except (OSError, TimeoutError, httpx.HTTPError) as error:
        raise SourceUnavailable(f"{where}: {type(error).__name__}") from None
