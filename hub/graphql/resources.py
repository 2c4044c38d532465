"""Where a query gets its resources: through one caller's Reads, so that the policy holds on every hop.

https://hl7.org/fhir/R4/graphql.html
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlencode

from hub import fhir_json
from hub.errors import Gone, Invalid, NotFound
from hub.graphql.limits import Spent
from hub.search.parameters import registry
from hub.search.parse import parse_search
from hub.search.query import SearchQuery
from hub.security.reads import Reads
from hub.store.port import Key, SearchPage

DEFAULT_COUNT = 50
MAX_COUNT = 500
START = "-"
LOCAL = re.compile(r"(?P<type>[A-Za-z]{1,64})/(?P<id>[A-Za-z0-9\-.]{1,64})(?:/_history/(?P<version>\d{1,12}))?")
NOT_TAKEN = frozenset({"_include", "_revinclude", "_summary", "_elements", "_format", "_pretty", "_count", "_cursor"})
REFERENCE = "a list within a resource needs _reference, the search parameter that leads to it; others have none"
Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Site:
    """`seal` and `unseal` bind a cursor to its caller and its search."""

    base: str
    zone: str
    now: int
    seal: Callable[[str, str], tuple[str, str]]
    unseal: Callable[[str, str, str], str]


@dataclass(frozen=True, slots=True)
class Found:
    resources: tuple[Resource, ...]
    total: int | None
    count: int
    first: str  # cursors
    next: str | None


class Source:
    def __init__(self, reads: Reads, spent: Spent, site: Site) -> None:
        self._reads = reads
        self._spent = spent
        self._site = site
        self._read: dict[tuple[Key, int | None], Resource | None] = {}

    @property
    def types(self) -> frozenset[str] | None:
        """That the caller may read; None: all."""
        return self._reads.scope.types

    def one(self, key: Key, version: int | None = None) -> Resource:
        """Raise NotFound for unknown and foreign alike."""
        self._spent.read(1)
        found = self._reads.read(key) if version is None else self._reads.vread(key, version)
        resource = fhir_json.load(found.body)
        self._read[key, version] = resource
        return resource

    def referenced(self, reference: str) -> Resource | None:
        """What a literal reference to this server leads to; None where it leads to nothing that the caller may see."""
        found = LOCAL.fullmatch(reference.removeprefix(self._site.base + "/"))
        if found is None:
            return None
        key, version = Key(found["type"], found["id"]), int(found["version"]) if found["version"] else None
        if (key, version) not in self._read:
            try:
                self.one(key, version)
            except (NotFound, Gone):
                self._read[key, version] = None
        return self._read[key, version]

    def listed(self, type: str, arguments: Mapping[str, Any], owner: str = "", *, total: bool = False) -> Found:
        """A search: `owner` is the "Type/id" that `_reference` has to name."""
        pairs = self._pairs(type, arguments, owner)
        count = _count(arguments.get("_count"))
        about = f"$graphql/{type}?{urlencode(pairs)}"
        parsed = parse_search(type, pairs, now=self._site.now, zone=self._site.zone, base=self._site.base)
        counting: Literal["none", "accurate"] = "accurate" if total else "none"
        query = replace(parsed.query, count=count, total=counting, after=self._position(about, arguments.get("_cursor")))
        page = self._page(query)
        resources = tuple(fhir_json.load(version.body) for version in page.matches)
        following = self._cursor(about, page.next) if page.next is not None else None
        return Found(resources, page.total, count, self._cursor(about, START), following)

    def _page(self, query: SearchQuery) -> SearchPage:
        self._spent.search()
        page = self._reads.search(query)
        self._spent.read(len(page.matches))
        return page

    def _pairs(self, type: str, arguments: Mapping[str, Any], owner: str) -> list[tuple[str, str]]:
        spelled = {code.replace("-", "_"): code for code in registry().of(type)}
        pairs = []
        for name, value in arguments.items():
            if name == "_reference":
                continue
            if name in ("_count", "_cursor"):
                continue
            if name in NOT_TAKEN:
                raise Invalid(f"{name} is not an argument here: a query says itself what it wants")
            pairs.append((spelled.get(name, name), _text(value)))
        reference = arguments.get("_reference")
        if bool(owner) != isinstance(reference, str):
            raise Invalid(REFERENCE)
        if isinstance(reference, str):
            code = spelled.get(reference, reference)
            if (parameter := registry().get(type, code)) is not None and parameter.type != "reference":
                raise Invalid("_reference is a search parameter that leads to a resource: this one does not")
            pairs.append((code, owner))
        return pairs

    def _cursor(self, about: str, position: str) -> str:
        return base64.urlsafe_b64encode(json.dumps(self._site.seal(about, position)).encode()).decode()

    def _position(self, about: str, cursor: Any) -> str | None:
        """Raise Invalid for a cursor of another search or another caller."""
        if cursor in (None, ""):
            return None
        try:
            sealed, signature = json.loads(base64.urlsafe_b64decode(str(cursor).encode()))
            position = self._site.unseal(about, str(sealed), str(signature))
        except (ValueError, TypeError, binascii.Error):
            raise Invalid("this _cursor was not given for this search") from None
        return None if position == START else position


def _count(stated: Any) -> int:
    if stated is None:
        return DEFAULT_COUNT
    if isinstance(stated, bool) or not isinstance(stated, int) or stated < 0:
        raise Invalid("_count is a number that is not negative")
    return min(stated, MAX_COUNT)


def _text(value: Any) -> str:
    """A list states alternatives, as a comma does in a search."""
    if isinstance(value, list):
        return ",".join(_text(each) for each in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, dict):
        raise Invalid("a search parameter has a text, a number or a list of them")
    return str(value)
