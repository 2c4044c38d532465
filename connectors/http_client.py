"""Calls of one HTTP server: who we are, what its answers mean, and nothing outside its base.

| Answer | What follows |
|---|---|
| 401, 403 | SourceDenied; a token of OAuth2 is asked for anew once |
| 408, 425, 429, 5xx | tried again as Retry-After asks, then at growing distances; then SourceUnavailable |
| 3xx | SourceDenied: a server that sends us elsewhere is not the one that was configured |
| any other | the caller's |
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec

from connectors.base import SourceDenied, SourceUnavailable
from connectors.credentials import Credentials
from connectors.http import Http, HttpAnswer

JSON = "application/json"
TRIES = 5
LONGEST_WAIT = 60.0  # seconds: whoever asks for more is asked again at the next poll
TOKEN_BYTES = 1 << 20
EARLY = 30.0  # seconds before its end at which a token is not used any more
DENIED = (401, 403)
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


def retry_after(answer: HttpAnswer) -> float | None:
    """Seconds. https://www.rfc-editor.org/rfc/rfc9110#field.retry-after"""
    stated = answer.headers.get("retry-after", "").strip()
    if stated.isascii() and stated.isdigit():
        return float(stated[:9])
    try:
        at = parsedate_to_datetime(stated)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


class HttpClient:
    """Safe to call from several threads."""

    media = JSON  # what is asked for and sent, unless the caller states another type

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        http: Http,
        *,
        seconds: float = 60.0,
        monotonic: Callable[[], float] = time.monotonic,
        wait: Callable[[float], Any] = time.sleep,
    ) -> None:
        """`seconds`: for one answer. `wait`: what passes time between two tries."""
        self._base = base_url.rstrip("/") + "/"
        self._credentials = credentials
        self._http = http
        self._seconds = seconds
        self._monotonic = monotonic
        self._wait = wait
        self._token = ("", 0.0)
        self._lock = threading.Lock()

    @property
    def base(self) -> str:
        return self._base

    @property
    def host(self) -> str:
        return urlsplit(self._base).netloc

    # -- one call, whatever the answer
    def ask(self, method: str, path: str, body: bytes = b"", *, limit: int, headers: Mapping[str, str] | None = None) -> HttpAnswer:
        """`path` is relative to the base, or a URL within it. Raise SourceDenied or SourceUnavailable without an answer."""
        url = self.within(path)
        stated = {"accept": self.media, **({"content-type": self.media} if body else {}), **(headers or {})}
        answer = self._http.ask(method, url, {**stated, **self._authorization()}, body, seconds=self._seconds, limit=limit)
        if answer.status == 401 and self._credentials.auth == "oauth2":
            self._token = ("", 0.0)
            answer = self._http.ask(method, url, {**stated, **self._authorization()}, body, seconds=self._seconds, limit=limit)
        return answer

    def fetch(self, url: str, take: Callable[[bytes], None], *, seconds: float, accept: str) -> HttpAnswer:
        """A file of the server, piece by piece."""
        headers = {"accept": accept, **self._authorization()}
        return self._http.fetch(self.within(url), headers, take, seconds=seconds)

    def within(self, path: str) -> str:
        """Raise SourceDenied for a URL that is not below the base: a link may lead anywhere."""
        url = urljoin(self._base, path)
        base, stated = urlsplit(self._base), urlsplit(url)
        same = (stated.scheme, stated.netloc) == (base.scheme, base.netloc)
        if not same or not (stated.path + "/").startswith(base.path) or "/../" in stated.path + "/" or "%2e" in stated.path.lower():
            raise SourceDenied(f"{base.netloc} gave a link that leads out of the configured base")
        return url if path else self._base.rstrip("/")

    # -- until it is an answer
    def patiently(self, work: Callable[[], HttpAnswer]) -> HttpAnswer:
        """Tried again where the trouble passes. Raise SourceDenied, SourceUnavailable."""
        for attempt in range(TRIES):
            answer = work()
            if answer.status in DENIED:
                raise SourceDenied(f"{self.host} refuses us: HTTP {answer.status}")
            if 300 <= answer.status < 400 and answer.status != 304:
                raise SourceDenied(f"{self.host} sends us elsewhere: HTTP {answer.status}")
            if answer.status not in PASSING:
                return answer
            asked = retry_after(answer)
            if attempt == TRIES - 1 or (asked or 0) > LONGEST_WAIT:
                break
            self._wait(asked if asked is not None else min(2.0**attempt, 30.0))
        raise SourceUnavailable(f"{self.host}: HTTP {answer.status}")

    def pause(self, seconds: float) -> None:
        self._wait(seconds)

    # -- who we are
    def _authorization(self) -> dict[str, str]:
        means = self._credentials
        if means.auth == "none":
            return {}
        if means.auth == "oauth2":
            return {"authorization": f"Bearer {self._access_token()}"}
        secret = self._secret()
        if means.auth == "bearer":
            return {"authorization": f"Bearer {secret}"}
        pair = base64.b64encode(f"{means.user}:{secret}".encode()).decode()
        return {"authorization": f"Basic {pair}"}

    def _secret(self) -> str:
        try:
            return self._credentials.secret()
        except LookupError as error:
            raise SourceDenied(str(error)) from None

    def _access_token(self) -> str:
        """OAuth2 client credentials: https://www.rfc-editor.org/rfc/rfc6749#section-4.4"""
        with self._lock:
            token, until = self._token
            if token and self._monotonic() < until:
                return token
            means = self._credentials
            asked = {"grant_type": "client_credentials", **({"scope": means.scope} if means.scope else {})}
            pair = base64.b64encode(f"{means.user}:{self._secret()}".encode()).decode()
            headers = {
                "accept": JSON,
                "authorization": f"Basic {pair}",
                "content-type": "application/x-www-form-urlencoded",
            }
            body = urlencode(asked).encode()
            answer = self._http.ask("POST", means.token_url, headers, body, seconds=self._seconds, limit=TOKEN_BYTES)
            if answer.status != 200:
                kind = SourceUnavailable if answer.status in PASSING else SourceDenied
                raise kind(f"the token server: HTTP {answer.status}")
            found = read_json(answer.body, "the token server")
            given, lasts = found.get("access_token"), found.get("expires_in", 300)
            if not isinstance(given, str) or not given or not given.isascii():
                raise SourceDenied("the token server gave no access_token")
            seconds = float(lasts) if isinstance(lasts, int | float) else 300.0
            self._token = (given, self._monotonic() + max(1.0, seconds - EARLY))
            return given


def read_json(content: bytes, host: str) -> dict[str, Any]:
    """Raise SourceUnavailable: what is no JSON object is no answer."""
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SourceUnavailable(f"{host}: the answer is no JSON object") from None
