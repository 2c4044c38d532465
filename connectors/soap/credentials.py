"""Whether a caller may call: its address, HTTP Basic, or a WS-Security UsernameToken in the envelope's header.

https://docs.oasis-open.org/wss-m/wss/v1.1.1/os/wss-UsernameTokenProfile-v1.1.1-os.html. A digest is taken once and within five
minutes of its making, so that a call which was overheard cannot be repeated.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape

from connectors.soap.config import SoapConfig
from connectors.xml import Element, attribute, child

FRESH = timedelta(minutes=5)
MOST_NONCES = 100_000


class Guard:
    def __init__(self, config: SoapConfig, clock: Callable[[], datetime]) -> None:
        self._config = config
        self._clock = clock
        self._networks = tuple(ipaddress.ip_network(each, strict=False) for each in config.allow)
        self._nonces: OrderedDict[str, datetime] = OrderedDict()
        self._lock = threading.Lock()

    def admits(self, address: str) -> bool:
        if not self._networks:
            return True
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)

    def basic(self, authorization: str) -> bool:
        """True where another means is asked for. Raise LookupError where the secret cannot be had."""
        if self._config.auth != "basic":
            return True
        scheme, _, encoded = authorization.partition(" ")
        try:
            user, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            return False
        return scheme.lower() == "basic" and self._same(user, password)

    def token(self, header: Element | None) -> bool:
        """True where another means is asked for."""
        if self._config.auth != "username_token":
            return True
        token = child(header, "Security", "UsernameToken")
        user, password = (_text(child(token, name)) for name in ("Username", "Password"))
        if not attribute(child(token, "Password"), "Type").endswith("#PasswordDigest"):
            return self._same(user, password)
        nonce, created = _text(child(token, "Nonce")), _text(child(token, "Created"))
        return self._fresh(nonce, created) and self._same(user, password, nonce, created)

    def _same(self, user: str, password: str, nonce: str = "", created: str = "") -> bool:
        secret = self._config.secret()
        expected = _digest(nonce, created, secret) if nonce else secret
        right_user = hmac.compare_digest(user.encode(), self._config.user.encode())
        return hmac.compare_digest(password.encode(), expected.encode()) and right_user

    def _fresh(self, nonce: str, created: str) -> bool:
        now = self._clock()
        try:
            at = datetime.fromisoformat(created)
        except ValueError:
            return False
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        if not nonce or abs(now - at) > FRESH:
            return False
        with self._lock:
            while self._nonces and (len(self._nonces) >= MOST_NONCES or now - next(iter(self._nonces.values())) > 2 * FRESH):
                self._nonces.popitem(last=False)
            if nonce in self._nonces:
                return False
            self._nonces[nonce] = now
            return True


def _digest(nonce: str, created: str, secret: str) -> str:
    """Base64(SHA-1(nonce + created + password)): SHA-1 is what the profile prescribes."""
    try:
        raw = base64.b64decode(nonce, validate=True)
    except (binascii.Error, ValueError):
        return "\0"
    return base64.b64encode(hashlib.sha1(raw + created.encode() + secret.encode(), usedforsecurity=False).digest()).decode()


def username_token(user: str, secret: str, *, nonce: bytes, created: datetime) -> str:
    """The header that a client sends."""
    encoded, stamp = base64.b64encode(nonce).decode(), created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ws = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
    return (
        f'<wsse:Security xmlns:wsse="{ws}wssecurity-secext-1.0.xsd" xmlns:wsu="{ws}wssecurity-utility-1.0.xsd"><wsse:UsernameToken>'
        f"<wsse:Username>{escape(user)}</wsse:Username>"
        f'<wsse:Password Type="{ws}username-token-profile-1.0#PasswordDigest">{_digest(encoded, stamp, secret)}</wsse:Password>'
        f"<wsse:Nonce>{encoded}</wsse:Nonce><wsu:Created>{stamp}</wsu:Created></wsse:UsernameToken></wsse:Security>"
    )


def _text(element: Element | None) -> str:
    return (element.text or "").strip() if element is not None else ""
