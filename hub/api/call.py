"""One request to the FHIR API, as its interaction sees it: who calls, what of, and what was sent."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from hub import fhir_json
from hub.api.negotiation import RESOURCE_BYTES, body_of, check_json
from hub.api.references import References
from hub.api.validity import Check, note
from hub.errors import Invalid, NotFound
from hub.security.access import Access
from hub.security.precondition import Precondition, precondition
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
    def condition(self) -> Precondition:
        """Of a write to what may be there. Raise Invalid."""
        headers = self.request.headers
        check_heeded("PUT", headers)
        return precondition(headers.get("if-match"), headers.get("if-none-match"))

    async def resource(self, limit: int = RESOURCE_BYTES) -> dict[str, Any]:
        """The JSON sent, checked as county.toml says for the API. Raise NotValid."""
        check_json(self.request)
        body = await body_of(self.request, limit)
        resource: dict[str, Any] = await beside(len(body), lambda: self._parsed(body))
        return resource

    def _parsed(self, body: bytes) -> dict[str, Any]:
        resource = fhir_json.parse(body)
        if self.base.encode() in body or b"\\/" in body:  # an address may be written with \/ for /
            resource = self.settled(resource)
        return self.checked(resource)

    async def learn(self) -> None:
        """What SearchParameters say by now: whoever wrote one can use it at once, others within a second."""
        await asyncio.to_thread(self.hub.searchable.look)
        self.hub.jobs.wake()

    @property
    def check(self) -> Check:
        """Of what comes in one at a time."""
        return Check(self, self.hub.county.validation.api)

    def settled(self, resource: dict[str, Any]) -> dict[str, Any]:
        """With references below this server's own address as relative ones: they mean the same."""
        settled: dict[str, Any] = References(self.base).applied(resource)
        return settled

    def checked(self, resource: dict[str, Any]) -> dict[str, Any]:
        """The same, once what it is let through with is noted. Raise NotValid."""
        note(self.request, self.check(resource))
        return resource


@lru_cache(maxsize=256)
def _address(scheme: str, host: str | None, server: tuple[Any, ...], root: str) -> str:
    """A client names one, some two; to put it together takes longer than to read a resource."""
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    named = {"type": "http", "scheme": scheme, "server": server or None, "headers": headers, "root_path": root, "path": "/"}
    return f"{str(Request(named).base_url).rstrip('/')}/fhir"


async def beside(size: int, work: Any) -> Any:
    """Run small work here and large work in a thread, so that nobody else's answer waits for it."""
    return work() if size <= LARGE else await asyncio.to_thread(work)


OF_A_CREATE = {"if-none-exist": "If-None-Exist", "ifNoneExist": "ifNoneExist"}
OF_WHAT_IS_THERE = {"if-match": "If-Match", "if-none-match": "If-None-Match", "ifMatch": "ifMatch", "ifNoneMatch": "ifNoneMatch"}


def check_heeded(method: str, stated: Mapping[str, str]) -> None:
    """A condition that a write would not look at is refused: who states it relies on it. Raise Invalid."""
    unheeded = OF_WHAT_IS_THERE if method == "POST" else OF_A_CREATE
    for name, said in unheeded.items():
        if name in stated:
            of = "a create" if unheeded is OF_A_CREATE else "a write to what is there already"
            raise Invalid(f"{said} is a condition of {of}, and this is none")
