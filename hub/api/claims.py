"""What the routes promise: each is an interaction of the standard, an operation, or part of a search.

`metadata` and the OpenAPI document are both made from this reading of the one table that routes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from hub.recognition.router import router as recognition

Level = Literal["system", "type", "instance"]
Addresses = Iterable[tuple[str, str]]  # method and address of each route

ONE, ALL = "/fhir/{type}/{id}", "/fhir/{type}"
INTERACTIONS: dict[tuple[str, str], tuple[str, ...]] = {
    ("GET", ONE): ("read",),
    ("GET", f"{ONE}/_history/{{version}}"): ("vread",),
    ("PUT", ONE): ("update",),
    ("PATCH", ONE): ("patch",),
    ("DELETE", ONE): ("delete",),
    ("GET", f"{ONE}/_history"): ("history-instance",),
    ("GET", f"{ALL}/_history"): ("history-type",),
    ("POST", ALL): ("create",),
    ("GET", ALL): ("search-type",),
    ("GET", "/fhir"): ("search-system",),
    ("GET", "/fhir/_history"): ("history-system",),
    ("POST", "/fhir"): ("transaction", "batch"),
}
"""https://hl7.org/fhir/R4/valueset-type-restful-interaction.html, https://hl7.org/fhir/R4/valueset-system-restful-interaction.html"""

TYPE_LEVEL = ("read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type")
SYSTEM_LEVEL = ("transaction", "batch", "search-system", "history-system")
WRITING = frozenset({"create", "update", "patch", "delete"})

CONDITIONAL = {("PUT", ALL): "conditionalUpdate", ("PATCH", ALL): "conditionalPatch", ("DELETE", ALL): "conditionalDelete"}
OTHER_WAYS = {
    ("POST", "/fhir/_search"): "search-system",
    ("POST", f"{ALL}/_search"): "search-type",
    ("GET", f"{ONE}/{{kind:compartment}}"): "compartment",
    ("POST", f"{ONE}/{{kind:compartment}}/_search"): "compartment",
}
"""Of interactions that another route already states, or that a CapabilityStatement has a word of its own for."""

CORE = "http://hl7.org/fhir/OperationDefinition/"
BULK = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription-"
ANY_TYPE = frozenset({"meta", "meta-add", "meta-delete", "validate", "graphql", "graph", "convert"})
OF_GUIDES = {
    ("Patient", "summary"): "http://hl7.org/fhir/uv/ips/OperationDefinition/summary",
    ("", "closure"): f"{CORE}ConceptMap-closure",
    ("", "export"): f"{BULK}export",
    ("Patient", "export"): f"{BULK}patient-export",
    ("Group", "export"): f"{BULK}group-export",
    ("Subscription", "status"): f"{BACKPORT}status",
    ("Subscription", "events"): f"{BACKPORT}events",
    ("Subscription", "get-ws-binding-token"): f"{BACKPORT}get-ws-binding-token",
}
CHANGING = frozenset({"meta-add", "meta-delete"})
"""Operations that write the resource they are called on."""
OURS = frozenset(
    {"reindex", "job", "recognizable-results", "import", "break-glass", "review", "access-log"}
    | {"link", "unlink", "split", "postpone", "merge", "undo", "doubts"}  # R4 has no $merge; ours has the parameters of R5's
)


@dataclass(frozen=True, slots=True)
class Operation:
    name: str
    type: str  # "" of all types, or of none
    level: Level
    method: str
    address: str

    @property
    def definition(self) -> str:
        """The canonical URL of its OperationDefinition."""
        if (url := OF_GUIDES.get((self.type, self.name))) is not None:
            return url
        if self.name in OURS:
            return f"urn:hub:operation:{self.name}"
        return f"{CORE}{'Resource' if self.name in ANY_TYPE else self.type}-{self.name}"


_operation = re.compile(r"/fhir(?P<type>/[^/$]+)?(?P<id>/[^/$]+)?/\$(?P<name>[a-z][a-z-]*)(?:/.*)?").fullmatch


def plain(address: str) -> str:
    """One spelling for each address: the base has no slash at its end."""
    return address.rstrip("/")


def operation_of(method: str, address: str) -> Operation | None:
    found = _operation(address)
    if found is None:
        return None
    type = (found["type"] or "").removeprefix("/")
    level: Level = "instance" if found["id"] else "type" if type else "system"
    return Operation(found["name"], "" if type == "{type}" else type, level, method, address)


def operations(addresses: Addresses) -> Iterator[Operation]:
    for method, address in addresses:
        operation = operation_of(method, address)
        if operation is not None:
            yield operation


def interactions(addresses: Addresses) -> frozenset[str]:
    stated = {(method, plain(address)) for method, address in addresses}
    return frozenset(code for address, codes in INTERACTIONS.items() if address in stated for code in codes)


@cache
def beside() -> tuple[tuple[str, str], ...]:
    """Operations that other packages bring, each with a router of its own."""
    routes: list[Any] = list(recognition.routes)
    return tuple((method, f"/fhir{route.path}") for route in routes for method in sorted(route.methods - {"HEAD"}))
