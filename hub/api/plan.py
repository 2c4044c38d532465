"""Bundle entries → steps: what each asks, in the order in which it is done. https://hl7.org/fhir/R4/http.html#trules"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote

from hub.api.call import ID, check_heeded
from hub.api.parameters import OF_THE_ANSWER, pairs_of, plain_criteria, refuse_criteria
from hub.api.shape import check_whole
from hub.errors import HubError, Invalid, Kind
from hub.security.precondition import Precondition, precondition
from hub.store.port import Key
from profiles.validation import known_type

T = TypeVar("T")

MAX_ENTRIES = 5000
ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}
WRITES = frozenset({"DELETE", "POST", "PUT", "PATCH"})
CONDITIONS = ("ifMatch", "ifNoneMatch", "ifModifiedSince", "ifNoneExist")


@dataclass(frozen=True, slots=True)
class Step:
    number: int  # of the entry
    method: str
    path: str  # below the server's own address, without the query
    query: str
    full_url: str
    resource: dict[str, Any] | None
    conditions: dict[str, str]  # of CONDITIONS, as the entry states them

    @property
    def expression(self) -> str:
        return f"Bundle.entry[{self.number}]"

    @property
    def type(self) -> str:
        return self.path.partition("/")[0]

    @property
    def id(self) -> str:
        """ "" for a create, a search, and whatever is asked by criteria."""
        return unquote(self.path.partition("/")[2])

    @property
    def key(self) -> Key:
        return Key(self.type, self.id)

    @property
    def condition(self) -> Precondition:
        """Raise Invalid."""
        check_heeded(self.method, self.conditions)
        return precondition(self.conditions.get("ifMatch"), self.conditions.get("ifNoneMatch"))

    @property
    def criteria(self) -> str | None:
        """Of a conditional create, update, patch or delete."""
        if self.method == "POST":
            return self.conditions.get("ifNoneExist")
        return self.query if self.method in WRITES and not self.id else None

    def wrong(self, said: str, where: str) -> Invalid:
        return Invalid(f"entry {self.number}: {said}", expression=(f"{self.expression}.{where}",))

    def named(self, error: HubError) -> HubError:
        """The error, naming this entry."""
        where = tuple(e if e.startswith("Bundle.") else f"{self.expression}.resource" for e in error.expression)
        return HubError(f"entry {self.number}: {error.message}", expression=where or (self.expression,), kind=error.reason)

    def doing(self, work: Callable[[], T]) -> T:
        """Whatever goes wrong names this entry."""
        try:
            return work()
        except HubError as error:
            raise self.named(error) from None


def entries_of(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    entries = bundle.get("entry", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Invalid("entry is an array of objects", expression=("Bundle.entry",))
    if len(entries) > MAX_ENTRIES:
        raise HubError(f"more than {MAX_ENTRIES} entries: send them in several bundles", kind=Kind.TOO_LONG)
    return entries


_path = re.compile(r"[^\s\x00-\x1f?#/][^\s\x00-\x1f?#]*").fullmatch


def step_of(number: int, entry: dict[str, Any], base: str) -> Step:
    """Raise Invalid, naming the entry, for a request that makes no sense."""
    where = f"Bundle.entry[{number}]"
    request, resource = entry.get("request"), entry.get("resource")
    if not isinstance(request, dict) or not isinstance(request.get("url"), str):
        raise Invalid(f"entry {number} needs request.method and request.url", expression=(f"{where}.request",))
    method = request.get("method")
    if not isinstance(method, str) or method not in ORDER:
        raise Invalid(f"entry {number}: the method is one of {', '.join(ORDER)}", expression=(f"{where}.request.method",))
    if not isinstance(resource, dict | None):
        raise Invalid(f"entry {number}: resource is an object", expression=(f"{where}.resource",))
    for name in CONDITIONS:
        if not isinstance(request.get(name), str | None):
            raise Invalid(f"entry {number}: {name} is a string", expression=(f"{where}.request.{name}",))
    path, _, query = _below(base, request["url"]).lstrip("/").partition("?")
    if "://" in path or not (_path(path) or (not path and query and method == "GET")):
        raise Invalid(f"entry {number}: the url is an address below {base}", expression=(f"{where}.request.url",))
    conditions = {name: request[name] for name in CONDITIONS if name in request}
    if "ifNoneExist" in conditions:
        conditions["ifNoneExist"] = plain_criteria(path, conditions["ifNoneExist"], base)
    return Step(number, method, path, _asked(query), str(entry.get("fullUrl", "")), resource, conditions)


def _below(base: str, url: str) -> str:
    return url[len(base) :] if url == base or url.startswith((f"{base}/", f"{base}?")) else url


def _asked(query: str) -> str:
    """Without the format: an entry's answer has that of the Bundle around it."""
    return "&".join(part for part in query.split("&") if part.partition("=")[0] not in OF_THE_ANSWER)


def check_write(step: Step) -> None:
    """Raise Invalid unless the step is a write that a transaction can carry out."""
    if "$" in step.path or step.path.endswith("_search"):
        said = f"entry {step.number}: an operation stands in a batch or alone, not in a transaction"
        raise HubError(said, kind=Kind.NOT_SUPPORTED, expression=(f"{step.expression}.request.url",))
    if not known_type(step.type) or step.path.endswith("/") or (step.id and not ID.fullmatch(step.id)):
        raise step.wrong("the url is Type, Type/id or Type?criteria", "request.url")
    if step.method == "POST" and step.id:
        raise step.wrong("a create names a type, no id", "request.url")
    if step.method != "POST" and not step.id and not step.query:
        raise step.wrong("the url is Type/id or Type?criteria", "request.url")
    if step.method == "POST" or step.id:
        step.doing(lambda: refuse_criteria(step.method, pairs_of(step.query)))
    step.doing(lambda: step.condition)
    if step.method in ("POST", "PUT"):
        _check_resource(step)
    elif step.method == "PATCH" and (step.resource or {}).get("resourceType") not in ("Binary", "Parameters"):
        raise step.wrong("a patch is Parameters, or a Binary that holds a JSON Patch", "resource")


def _check_resource(step: Step) -> None:
    if step.resource is None or step.resource.get("resourceType") != step.type:
        raise step.wrong("the entry needs a resource of the type that its url says", "resource")
    if step.method == "PUT" and step.id and step.resource.get("id") != step.id:
        raise step.wrong("the resource needs the id that the url says", "resource.id")
    if step.method == "PUT":
        step.doing(partial(check_whole, step.resource))


def check_identities(steps: list[Step]) -> None:
    """One identity twice in a transaction: refused whole, for either could win. https://hl7.org/fhir/R4/http.html#trules"""
    seen: dict[object, int] = {}
    for step in steps:
        for name in _identities(step):
            if name in seen:
                raise Invalid(f"entry {step.number} is the same resource as entry {seen[name]}", expression=(step.expression,))
            seen[name] = step.number


def _identities(step: Step) -> set[object]:
    names: set[object] = {step.key} if step.id and step.method != "POST" else set()
    if step.full_url and step.method in ("POST", "PUT"):
        names.add(step.full_url)
    if step.criteria is not None:
        names.add((step.type, tuple(sorted(parse_qsl(step.criteria, keep_blank_values=True)))))
    return names
