"""Who calls at order time: a token of the hub, or a CDS client that signs its requests itself.

https://cds-hooks.hl7.org/2.0/#trusting-cds-clients: a JWT (RFC 7519) by which the client says who it is, for this address and for
five minutes, once. Its public keys lie beside county.toml; none is fetched from where a token says.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
from starlette.requests import Request

from hub.api.auth import NoToken, caller, hub_of
from hub.errors import Invalid
from hub.security.access import Access
from hub.settings import RecognitionClient

ALGORITHMS = ("ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
CLAIMS = ("iss", "aud", "exp", "iat", "jti")
LEEWAY_SECONDS = 60  # between the client's clock and ours
LONGEST_SECONDS = 3600  # a token for longer is none of this kind
REMEMBERED = 20_000  # tokens that were used


class Callers:
    """Of one process: a token that was used here is not taken here again."""

    def __init__(self, clients: Mapping[str, tuple[RecognitionClient, jwt.PyJWKSet]]) -> None:
        self._clients = clients
        self._used: OrderedDict[tuple[str, str], float] = OrderedDict()

    @classmethod
    def of(cls, clients: tuple[RecognitionClient, ...], beside: Path) -> Callers:
        """Raise Invalid naming the key file that cannot be read."""
        return cls({client.issuer: (client, _keys(beside / client.jwks)) for client in clients})

    async def access(self, request: Request, now: int) -> Access:
        """Raise NoToken (401). `now` in UTC ms."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token.count(".") == 2:
            return self._signed(token.strip(), request, now)
        return await caller(request)

    def _signed(self, token: str, request: Request, now: int) -> Access:
        try:
            client, claims = self._verified(token, _addresses(request), now / 1000)
        except (jwt.PyJWTError, ValueError, TypeError):
            raise NoToken("the client's token does not hold: issuer, key, audience (this address) or time") from None
        self._once(str(claims["iss"]), str(claims["jti"]), float(claims["exp"]), now / 1000)
        host = request.client.host if request.client else ""
        return Access(name=str(claims["iss"])[:200], role="clinician", facility=client.facility, address=host)

    def _verified(self, token: str, addresses: list[str], now: float) -> tuple[RecognitionClient, dict[str, Any]]:
        issuer = str(jwt.decode(token, options={"verify_signature": False}).get("iss"))
        if issuer not in self._clients:
            raise jwt.InvalidIssuerError
        client, keys = self._clients[issuer]
        key = keys[jwt.get_unverified_header(token).get("kid", "")]
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=list(ALGORITHMS),
            audience=addresses,
            issuer=issuer,
            options={"require": list(CLAIMS), "verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
        if not _in_time(float(claims["iat"]), float(claims["exp"]), now):
            raise jwt.ExpiredSignatureError
        return client, claims

    def _once(self, issuer: str, id: str, expires: float, now: float) -> None:
        """Raise NoToken for one that came before."""
        while self._used and (len(self._used) >= REMEMBERED or next(iter(self._used.values())) < now - LEEWAY_SECONDS):
            self._used.popitem(last=False)
        if (issuer, id) in self._used:
            raise NoToken("the client's token was used before: sign each request anew")
        self._used[issuer, id] = expires


def _addresses(request: Request) -> list[str]:
    """Of this service: as the request has it, and as clients know it where a proxy stands before the hub."""
    base = hub_of(request).county.recognition.base
    return [str(request.url.replace(query="")), *([base.rstrip("/") + request.url.path] if base else [])]


def _in_time(issued: float, expires: float, now: float) -> bool:
    """By the hub's clock, as everything else."""
    return issued - LEEWAY_SECONDS <= now < expires + LEEWAY_SECONDS and expires - issued <= LONGEST_SECONDS


def _keys(path: Path) -> jwt.PyJWKSet:
    try:
        return jwt.PyJWKSet.from_dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, AttributeError, TypeError, jwt.PyJWTError) as error:
        raise Invalid(f"{path}: not a JWK Set with public keys ({type(error).__name__})") from None
