"""References between the entries of a transaction, conditional ones, and those that name this server by its own address.

https://hl7.org/fhir/R4/bundle.html#references, https://hl7.org/fhir/R4/references.html#literal
"""

from __future__ import annotations

import re
from typing import Any

from profiles.validation import known_type

_LINKS = frozenset({"reference", "url", "uri", "valueUri", "valueUrl", "valueCanonical"})
_server_of = re.compile(r"(https?://.+)/[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}").fullmatch
_own = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}(/_history/[A-Za-z0-9\-.]{1,64})?").fullmatch
_IN_NARRATIVE = re.compile(r"""(?<=[\s<])((?:href|src)\s*=\s*)(["'])([^"']+)\2""")


class References:
    """What the bundle's own names become."""

    def __init__(self, base: str = "") -> None:
        """`base`: this server's own address; a reference below it means the same as a relative one, and is kept as that."""
        self._base = f"{base}/" if base else ""
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
                    changed = self._text(name, content, server)
                else:
                    changed = self._replaced(content, server) if isinstance(content, (dict, list)) else None
                if changed is not None:
                    changes[name] = changed
            return {**value, **changes} if changes else None
        changed_items = [self._replaced(item, server) if isinstance(item, (dict, list)) else None for item in value]
        if all(item is None for item in changed_items):
            return None
        return [new if new is not None else old for old, new in zip(value, changed_items, strict=True)]

    def _text(self, name: str, content: str, server: str) -> str | None:
        if name in _LINKS:
            found = self._address(content, server)
            return self._relative(content) if found is None and name == "reference" else found
        if name != "div" or not self._known:
            return None
        return _IN_NARRATIVE.sub(lambda link: f"{link[1]}{link[2]}{self._address(link[3], server) or link[3]}{link[2]}", content)

    def _relative(self, reference: str) -> str | None:
        own = reference[len(self._base) :] if self._base and reference.startswith(self._base) else ""
        return own if _own(own) else None

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
