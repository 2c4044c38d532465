"""One request to the FHIR API, as its interaction sees it: who calls, what of, and what was sent."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from hub import fhir_json
from hub.api.negotiation import RESOURCE_BYTES, body_of, check_json
from hub.api.references import References
from hub.api.validity import conforming
from hub.errors import Invalid, NotFound
from hub.security.access import Access
from hub.security.writes import ANY_VERSION
from hub.store.port import Key
from profiles.validation import known_type

if TYPE_CHECKING:
    from hub.app import Hub

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
UNSERVED = "this operation is not served here: metadata lists those that are"
LARGE = 64 * 1024  # bodies above this are parsed and checked beside the event loop


@dataclass(frozen=True, slots=True)
class Call:
    request: Request
    hub: Hub
    access: Access

    @property
    def type(self) -> str:
        """Raise NotFound for what is no resource type."""
        kind: str = self.request.path_params["type"]
        if not known_type(kind):
            raise NotFound(UNSERVED if kind[:1] == "$" else "this is no resource type of FHIR R4")
        return kind

    @property
    def key(self) -> Key:
        """Raise NotFound for what can be no id."""
        id = self.request.path_params["id"]
        if id[:1] == "$" and self.type:
            raise NotFound(UNSERVED)
        if not ID.fullmatch(id):
            raise NotFound(f"no {self.type} with this id")
        return Key(self.type, id)

    @property
    def base(self) -> str:
        """The server's own FHIR address, as the client named it."""
        scope = self.request.scope
        root = scope.get("app_root_path", scope.get("root_path", ""))
        return _address(scope["scheme"], self.request.headers.get("host"), tuple(scope.get("server") or ()), root)

    def prefers(self, name: str) -> str:
        """A preference of the Prefer header: `return`, `handling`; "" where none is stated."""
        for part in re.split(r"[;,]", self.request.headers.get("prefer", "")):
            key, _, value = part.strip().partition("=")
            if key.lower() == name:
                return value.strip().strip('"')
        return ""

    @property
    def if_match(self) -> int | None:
        return version_of(self.request.headers.get("if-match"))

    @property
    def if_none(self) -> bool:
        return only_where_nothing_is(self.request.headers.get("if-none-match"))

    async def resource(self, limit: int = RESOURCE_BYTES) -> dict[str, Any]:
        """The JSON sent, checked as county.toml says for the API. Raise NotValid."""
        check_json(self.request)
        body = await body_of(self.request, limit)
        resource: dict[str, Any] = await beside(len(body), lambda: self._conforming(body))
        return resource

    def _conforming(self, body: bytes) -> dict[str, Any]:
        resource = fhir_json.parse(body)
        if self.base.encode() in body:
            resource = References(self.base).applied(resource, "")
        return conforming(self, resource, self.hub.county.validation.api)


@lru_cache(maxsize=256)
def _address(scheme: str, host: str | None, server: tuple[Any, ...], root: str) -> str:
    """A client names one, some two; to put it together takes longer than to read a resource."""
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    named = {"type": "http", "scheme": scheme, "server": server or None, "headers": headers, "root_path": root, "path": "/"}
    return f"{str(Request(named).base_url).rstrip('/')}/fhir"


async def beside(size: int, work: Any) -> Any:
    """Run small work here and large work in a thread, so that nobody else's answer waits for it."""
    return work() if size <= LARGE else await asyncio.to_thread(work)


def version_of(etag: object) -> int | None:
    """W/"3" → 3, * → ANY_VERSION. Raise Invalid for what is no version of ours."""
    if etag is None:
        return None
    if isinstance(etag, str) and etag.strip() == "*":
        return ANY_VERSION
    match = re.fullmatch(r'\s*(?:W/)?"(\d{1,12})"\s*', etag) if isinstance(etag, str) else None
    if match is None:
        raise Invalid('If-Match states a version so: W/"3"; or *: any that is there')
    return int(match[1])


def only_where_nothing_is(if_none_match: str | None) -> bool:
    """If-None-Match: * on a write. Raise Invalid for another value, which says nothing there."""
    if if_none_match is not None and if_none_match.strip() != "*":
        raise Invalid("If-None-Match of a write is *: only where nothing is yet")
    return if_none_match is not None
