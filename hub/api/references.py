"""References between the entries of a transaction, conditional ones, and those that name this server by its own address.

https://hl7.org/fhir/R4/bundle.html#references, https://hl7.org/fhir/R4/references.html#literal
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from profiles.structures import members
from profiles.validation import known_type

LINKS = frozenset({"uri", "url"})
"""Elements of these types are links into the bundle; a canonical is none, and a uuid or an oid could not hold an address."""
_server_of = re.compile(r"(https?://.+)/[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}").fullmatch
_own = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}(/_history/[A-Za-z0-9\-.]{1,64})?").fullmatch
_IN_NARRATIVE = re.compile(r"""(?<=[\s<])((?:href|src)\s*=\s*)(["'])([^"']+)\2""")


@lru_cache(maxsize=4096)  # what is sent may call itself anything
def _kinds(kind: str) -> dict[str, str]:
    """The types of those of its elements that may hold a link somewhere; most texts of a resource are looked at no closer."""
    known = ((name, member.type) for name, member in members(kind).items())
    return {name: found for name, found in known if found in LINKS or found[:1].isupper()}


class References:
    """What the bundle's own names become. https://hl7.org/fhir/R4/http.html#trules"""

    def __init__(self, base: str) -> None:
        """`base`: this server's own address; a reference below it means the same as a relative one, and is kept as that."""
        self._base = f"{base}/"
        self._known: dict[str, str] = {}
        self.conditional: dict[str, str] = {}

    def add(self, full_url: str, address: str) -> None:
        if full_url:
            self._known[full_url] = address

    def applied(self, content: Any, full_url: str = "") -> Any:
        """A resource, or a patch, with every link into the bundle replaced; the one given stays as it is."""
        server = _server_of(full_url)
        changed = self._changed(content, "", server[1] if server else "")
        return content if changed is None else changed

    def _changed(self, value: Any, kind: str, server: str) -> Any:
        """A changed copy of what is of this type, or None if nothing in it changes."""
        if type(value) is list:
            items = [self._changed(item, kind, server) for item in value]
            if all(item is None for item in items):
                return None
            return [old if new is None else new for old, new in zip(value, items, strict=True)]
        if type(value) is str:
            return self._address(value, server) if kind in LINKS else None
        if type(value) is not dict:
            return None
        kinds = _kinds(str(value.get("resourceType", kind)))
        changes = {}
        for name, content in value.items():
            if type(content) is str:
                changed = self._text(name, content, kinds, server)
            elif type(content) is dict or type(content) is list:
                changed = self._changed(content, kinds.get(name, ""), server)
            else:
                continue
            if changed is not None:
                changes[name] = changed
        return {**value, **changes} if changes else None

    def _text(self, name: str, content: str, kinds: dict[str, str], server: str) -> str | None:
        if name == "reference":
            return self._address(content, server) or self._relative(content)
        if name == "div":
            return self._narrative(content, server)
        return self._address(content, server) if kinds.get(name) in LINKS else None

    def _narrative(self, div: str, server: str) -> str | None:
        if not self._known:
            return None
        return _IN_NARRATIVE.sub(lambda link: f"{link[1]}{link[2]}{self._address(link[3], server) or link[3]}{link[2]}", div)

    def _relative(self, reference: str) -> str | None:
        own = reference[len(self._base) :] if reference.startswith(self._base) else ""
        return own if _own(own) else None

    def _address(self, link: str, server: str) -> str | None:
        """Of a version that the bundle brings too: it gets a number of the hub's own, so the link is to the resource."""
        named = link.partition("/_history/")[0]
        for name in (link, named):
            found = self._known.get(name) or self.conditional.get(name) or (self._known.get(f"{server}/{name}") if server else None)
            if found is not None:
                return found
        return None


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
