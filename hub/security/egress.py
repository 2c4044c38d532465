"""What the hub may call by itself: one check for every address that somebody else stated.

https to any public address; http, and addresses inside a network, only where county.toml says so:

    [egress]
    allow = ["his.county.example", "10.20.0.0/16", "192.168.7.4:8080"]      # beyond public https: subscriptions
    imports = ["nas.county.example"]      # where $import may fetch files; nothing else, public or not

The name is resolved here, every address it has is checked, and the connection goes to the checked one, so that a name which
changes its address in between gains nothing. Redirects are answers, never followed; proxies of the environment are not asked.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from hub.errors import HubError, Kind

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
PORTS = {"http": 80, "https": 443}
LONGEST_URL = 2048
CONNECT_SECONDS = 10.0
ANSWER_BYTES = 64 * 1024  # of an answer's body: nothing in it is needed

METADATA = frozenset(map(ipaddress.ip_address, ("169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254")))
"""Where clouds tell a machine its own secrets: never, whatever network is allowed."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GIVEN_OUT = ipaddress.ip_network("2000::/3")  # https://www.iana.org/assignments/ipv6-address-space


class NotAllowedOut(HubError):
    """An address that the hub does not call."""

    kind = Kind.BUSINESS_RULE


@dataclass(frozen=True, slots=True)
class Target:
    """An address as it was written."""

    scheme: str
    host: str
    port: int
    path: str  # with the query

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    retry_after: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes


class TooLong(Exception):
    """An answer of more bytes than were asked for."""


class Egress:
    """`allow`: hosts (also host:port), addresses and networks that county.toml names; `public`: all public ones by https, too."""

    def __init__(self, allow: tuple[str, ...] = (), *, public: bool = True, trust: Path | None = None) -> None:
        """`trust`: a file of certificates that sign those of the servers, instead of the public authorities'."""
        self._public = public
        self._trust = trust
        self._hosts = frozenset(each.lower() for each in allow)
        self._networks = tuple(network for network in map(_network, allow) if network is not None)

    def check(self, url: str) -> Target:
        """What can be said without asking for the name's address. Raise NotAllowedOut."""
        target = target_of(url)
        literal = _literal(target.host)
        if literal is not None:
            self._check_address(target, literal)
        elif not self._named(target) and not self._networks:
            self._check_unnamed(target)
        return target

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, *, seconds: float) -> Answer:
        """Raise NotAllowedOut, or OSError, TimeoutError and httpx.HTTPError if there was no answer."""
        async with asyncio.timeout(seconds):
            target = self.check(url)
            address = await self._resolved(target)
            async with self._asked("POST", target, address, headers, body, seconds) as answer:
                await _drained(answer)
                return Answer(answer.status_code, answer.headers.get("retry-after", ""))

    async def fetch(
        self, url: str, headers: Mapping[str, str], take: Callable[[bytes], None], *, idle: float, seconds: float
    ) -> Answer:
        """`take` gets the content of a 200 piece by piece; `idle`: seconds in which nothing may come. Raise as `post` does."""
        async with asyncio.timeout(seconds):
            target = self.check(url)
            address = await self._resolved(target)
            async with self._asked("GET", target, address, {**headers, "accept-encoding": "identity"}, b"", idle) as answer:
                if answer.headers.get("content-encoding", "identity") != "identity":
                    raise httpx.DecodingError("the content is encoded")
                if answer.status_code == httpx.codes.OK:
                    async for part in answer.stream:  # type: ignore[union-attr]
                        take(part)
                return Answer(answer.status_code, answer.headers.get("retry-after", ""))

    async def ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes, *, seconds: float, limit: int) -> Reply:
        """The whole answer. Raise TooLong past `limit` bytes of it, and as `post` does."""
        async with asyncio.timeout(seconds):
            target = self.check(url)
            address = await self._resolved(target)
            plain = {**headers, "accept-encoding": "identity"}
            async with self._asked(method, target, address, plain, body, seconds) as answer:
                content = bytearray()
                async for part in answer.stream:  # type: ignore[union-attr]
                    content += part
                    if len(content) > limit:
                        raise TooLong
                return Reply(answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, bytes(content))

    @asynccontextmanager
    async def _asked(
        self, method: str, target: Target, address: Address, headers: Mapping[str, str], body: bytes, seconds: float
    ) -> AsyncIterator[httpx.Response]:
        """To the checked address, under the name that was asked for: Host, and the certificate's."""
        pinned = f"[{address}]" if address.version == 6 else str(address)
        timeout = httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))
        extensions = {"timeout": timeout.as_dict(), "sni_hostname": target.host}
        request = httpx.Request(
            method,
            f"{target.scheme}://{pinned}:{target.port}{target.path}",
            headers={**headers, "host": target.authority},
            content=body,
            extensions=extensions,
        )
        async with httpx.AsyncHTTPTransport(verify=_certificates(self._trust), trust_env=False) as transport:
            answer = await transport.handle_async_request(request)
            try:
                yield answer
            finally:
                await answer.aclose()

    async def _resolved(self, target: Target) -> Address:
        """The address to connect to: all that the name has must be allowed."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]
        for address in addresses:
            self._check_address(target, address)
        if not addresses:
            raise NotAllowedOut("the host has no address")
        return addresses[0]

    def _check_address(self, target: Target, address: Address) -> None:
        within = _innermost(address)
        if within in METADATA:
            raise NotAllowedOut("the address is one where a machine is told its own secrets")
        allowed = self._named(target) or any(within in network for network in self._networks)
        if allowed:
            return
        if self._public and not _public(within):
            raise NotAllowedOut("the address lies inside a network: county.toml must allow it under [egress]")
        self._check_unnamed(target)

    def _check_unnamed(self, target: Target) -> None:
        if not self._public:
            raise NotAllowedOut("county.toml does not name the host under [egress] as one to fetch from")
        if target.scheme != "https":
            raise NotAllowedOut("the address must begin with https:// unless county.toml allows its host under [egress]")

    def _named(self, target: Target) -> bool:
        return not self._hosts.isdisjoint((target.host, f"{target.host}:{target.port}"))


def target_of(url: str) -> Target:
    """Raise NotAllowedOut for what is no plain http or https URL."""
    if len(url) > LONGEST_URL or not url.isascii() or any(each <= " " or each in '\\"<>^`{|}\x7f' for each in url):
        raise NotAllowedOut("the address is no URL")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip(".").lower(), parts.port
    except ValueError:
        raise NotAllowedOut("the address is no URL") from None
    if parts.scheme not in PORTS or not host or port == 0:
        raise NotAllowedOut("the address must be a https:// or http:// URL with a host")
    if "@" in parts.netloc or parts.fragment:
        raise NotAllowedOut("the address must hold neither credentials nor a fragment")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port or PORTS[parts.scheme], path)


@cache
def _certificates(trust: Path | None) -> ssl.SSLContext:
    """Read once: that takes longer than a call."""
    if trust is None:
        return httpx.create_ssl_context(trust_env=False)
    return ssl.create_default_context(cafile=trust)


async def _drained(answer: httpx.Response) -> None:
    """Read what little there may be; a long answer is cut off."""
    size = 0
    async for part in answer.stream:  # type: ignore[union-attr]
        size += len(part)
        if size > ANSWER_BYTES:
            return


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    with suppress(ValueError):
        return ipaddress.ip_network(text, strict=False)
    return None


def _literal(host: str) -> Address | None:
    """Also as resolvers read numbers: 127.1, 0x7f000001, 2130706433."""
    with suppress(ValueError):
        return ipaddress.ip_address(host.partition("%")[0])
    with suppress(OSError):
        return ipaddress.IPv4Address(socket.inet_aton(host))
    return None


def _innermost(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        for within in (address.ipv4_mapped, address.sixtofour, address.teredo[1] if address.teredo else None):
            if within is not None:
                return within
    return address


def _public(address: Address) -> bool:
    """What Python calls global leaves out ranges that were set aside later; of IPv6 only 2000::/3 was ever given to anybody."""
    if isinstance(address, ipaddress.IPv6Address) and address not in _GIVEN_OUT:
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved
