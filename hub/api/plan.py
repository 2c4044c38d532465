"""Bundle entries → steps: what each asks, in the order in which it is done. https://hl7.org/fhir/R4/http.html#trules"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from hub.api.call import ID, version_of
from hub.errors import HubError, Invalid, Kind
from profiles.validate import known_type

MAX_ENTRIES = 5000
ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "GET": 3, "HEAD": 4}


@dataclass(frozen=True, slots=True)
class Step:
    number: int  # of the entry
    method: str
    type: str
    id: str  # "" for a create, a search or a conditional update
    query: str
    url: str  # as the entry states it
    full_url: str
    resource: dict[str, Any] | None
    if_match: int | None
    if_none_exist: str | None

    @property
    def expression(self) -> str:
        return f"Bundle.entry[{self.number}]"

    def named(self, error: HubError) -> HubError:
        """The error, naming this entry."""
        where = tuple(e if e.startswith("Bundle.") else f"{self.expression}.resource" for e in error.expression)
        return HubError(f"entry {self.number}: {error.message}", expression=where or (self.expression,), kind=error.reason)


def entries_of(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    entries = bundle.get("entry", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Invalid("entry is an array of objects", expression=("Bundle.entry",))
    if len(entries) > MAX_ENTRIES:
        raise HubError(f"more than {MAX_ENTRIES} entries: send them in several bundles", kind=Kind.TOO_LONG)
    return entries


def step_of(number: int, entry: dict[str, Any], base: str) -> Step:
    """Raise Invalid, naming the entry, for a request that makes no sense."""
    expression = f"Bundle.entry[{number}].request"
    request = entry.get("request")
    if not isinstance(request, dict) or not isinstance(request.get("url"), str):
        raise Invalid("an entry needs request.method and request.url", expression=(expression,))
    method, url, resource = request.get("method"), request["url"], entry.get("resource")
    if not isinstance(resource, dict | None) or not isinstance(request.get("ifNoneExist"), str | None):
        raise Invalid("resource is an object and ifNoneExist a string", expression=(f"Bundle.entry[{number}]",))
    if not isinstance(method, str) or method not in ORDER:
        raise Invalid("the method is one of GET, HEAD, POST, PUT, DELETE", expression=(f"{expression}.method",))
    path, _, query = url.removeprefix(f"{base}/").lstrip("/").partition("?")
    kind, _, id = unquote(path).partition("/")
    if not known_type(kind) or (method in ("PUT", "DELETE", "POST") and id and not ID.fullmatch(id)):
        raise Invalid("the url is Type, Type/id or Type?criteria", expression=(f"{expression}.url",))
    step = Step(
        number,
        method,
        kind,
        id,
        query,
        path,
        str(entry.get("fullUrl", "")),
        resource,
        version_of(request.get("ifMatch")),
        request.get("ifNoneExist"),
    )
    _check(step)
    return step


def _check(step: Step) -> None:
    if step.method not in ("POST", "PUT"):
        if step.method == "DELETE" and not step.id:
            raise Invalid("a delete names Type/id", expression=(f"{step.expression}.request.url",))
        return
    if step.resource is None or step.resource.get("resourceType") != step.type:
        raise Invalid("the entry needs a resource of the type that its url says", expression=(f"{step.expression}.resource",))
    if step.method == "POST" and step.id:
        raise Invalid("a create names a type, no id", expression=(f"{step.expression}.request.url",))
    if step.method == "PUT" and not step.id and not step.query:
        raise Invalid("an update names Type/id or Type?criteria", expression=(f"{step.expression}.request.url",))
    if step.method == "PUT" and step.id and step.resource.get("id") != step.id:
        raise Invalid("the resource needs the id that the url says", expression=(f"{step.expression}.resource.id",))


def check_identities(steps: list[Step]) -> None:
    """One identity twice in a transaction: refused whole, for either could win."""
    seen: dict[str, int] = {}
    for step in steps:
        names = {f"{step.type}/{step.id}"} if step.id and step.method in ("PUT", "DELETE") else set()
        if step.full_url and step.method in ("POST", "PUT"):
            names.add(step.full_url)
        if not step.id and step.query:
            names.add(f"{step.type}?{step.query}")
        for name in names:
            if name in seen:
                raise Invalid(f"the same resource as entry {seen[name]}", expression=(step.expression,))
        seen.update(dict.fromkeys(names, step.number))


_LINKS = frozenset({"reference", "url", "uri", "valueUri", "valueUrl", "valueCanonical"})
_server_of = re.compile(r"(https?://.+)/[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}").fullmatch


class References:
    """What the bundle's own names become. https://hl7.org/fhir/R4/bundle.html#references"""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self.conditional: dict[str, str] = {}

    def add(self, full_url: str, address: str) -> None:
        if full_url:
            self._known[full_url] = address

    def applied(self, resource: dict[str, Any], full_url: str) -> dict[str, Any]:
        """The resource with every reference into the bundle replaced; the one given stays as it is."""
        server = _server_of(full_url)
        result = self._replaced(resource, server[1] if server else "")
        return resource if result is None else result

    def _replaced(self, value: Any, server: str) -> Any:
        """A changed copy, or None if nothing in it changes."""
        if isinstance(value, dict):
            changes = {}
            for name, content in value.items():
                if isinstance(content, str):
                    changed = self._address(content, server) if name in _LINKS else None
                else:
                    changed = self._replaced(content, server) if isinstance(content, (dict, list)) else None
                if changed is not None:
                    changes[name] = changed
            return {**value, **changes} if changes else None
        changed_items = [self._replaced(item, server) if isinstance(item, (dict, list)) else None for item in value]
        if all(item is None for item in changed_items):
            return None
        return [new if new is not None else old for old, new in zip(value, changed_items, strict=True)]

    def _address(self, reference: str, server: str) -> str | None:
        found = self._known.get(reference) or self.conditional.get(reference)
        if found is None and server:
            found = self._known.get(f"{server}/{reference}")
        return found


def conditional_references(value: Any) -> set[str]:
    """`Patient?identifier=…` wherever a reference stands."""
    found: set[str] = set()
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            reference = item.get("reference")
            if isinstance(reference, str) and "?" in reference and known_type(reference.partition("?")[0]):
                found.add(reference)
            stack.extend(v for v in item.values() if isinstance(v, (dict, list)))
        elif isinstance(item, list):
            stack.extend(v for v in item if isinstance(v, (dict, list)))
    return found
