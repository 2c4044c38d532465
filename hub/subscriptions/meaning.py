"""What criteria stand for: value sets, hierarchies and Lists, asked beside the writes and kept with the registration.

A change is matched in its own transaction, which must not wait for a terminology. So what `code:in=…` or `_list=…` means is worked
out when the Subscription is written, as its owner may see it, and again every few seconds by whoever delivers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from hub.errors import NotFound
from hub.search.query import Condition, SearchQuery
from hub.search.reading import not_supported
from hub.search.resolve import MAX_RESOLVED, Concepts, Resolver
from hub.security.reads import Reads
from hub.subscriptions.criteria import Trigger

READ = ("url", "entry", "partOf")  # what a resolver looks at in a ValueSet, a List, a Location


class Meaning:
    """Answers by question. With `reads` new questions are asked, as that caller may; without, they have no answer."""

    def __init__(self, known: Mapping[str, Any] | None = None, reads: Reads | None = None) -> None:
        self.known = dict(known or {})
        self._reads = reads

    def resolved(self, type: str, conditions: Iterable[Condition]) -> tuple[Condition, ...]:
        """Conditions that need no terminology. Raise NotFound, Invalid, TooCostly."""
        return Resolver(self, self).resolved(SearchQuery(type, tuple(conditions))).criteria

    # -- what hub.search.resolve asks
    def expand(self, url: str) -> Iterable[tuple[str, str]]:
        return ((system, code) for system, code in self._concepts("expand", lambda concepts: concepts.expand(url), url))

    def descendants(self, system: str, code: str) -> Iterable[str]:
        found: list[str] = self._concepts("descendants", lambda concepts: concepts.descendants(system, code), system, code)
        return found

    def ancestors(self, system: str, code: str) -> Iterable[str]:
        found: list[str] = self._concepts("ancestors", lambda concepts: concepts.ancestors(system, code), system, code)
        return found

    def resource(self, type: str, id: str) -> dict[str, Any]:
        def part(reads: Reads) -> dict[str, Any]:
            resource = reads.resource(type, id)
            return {name: resource[name] for name in READ if name in resource}

        found: dict[str, Any] = self._answer(("resource", type, id), part)
        return found

    def matching(self, type: str, conditions: Sequence[Condition], limit: int) -> list[dict[str, Any]]:  # noqa: ARG002
        raise not_supported("a chain along a canonical reference in a Subscription")

    def referring(self, type: str, code: str, ids: Sequence[str], limit: int) -> list[str]:
        asked = ("referring", type, code, *ids)
        found: list[str] = self._answer(asked, lambda reads: sorted(reads.referring(type, code, ids, limit)))
        return found

    def _concepts(self, verb: str, ask: Callable[[Concepts], Iterable[Any]], *words: str) -> Any:
        def some(reads: Reads) -> list[Any]:
            if reads.concepts is None:
                raise not_supported("a value set or a hierarchy of codes")
            return sorted(islice(ask(reads.concepts), MAX_RESOLVED + 1))  # one more than a query may hold: it is refused there

        return self._answer((verb, *words), some)

    def _answer(self, question: tuple[str, ...], ask: Callable[[Reads], Any]) -> Any:
        name = "\n".join(question)
        if name not in self.known:
            if self._reads is None:
                raise NotFound("what the criteria stand for is not worked out yet")
            self.known[name] = msgspec.to_builtins(ask(self._reads))
        return self.known[name]


def meaning_of(triggers: Iterable[Trigger], reads: Reads) -> dict[str, Any]:
    """All that a subscription's criteria stand for now. Raise NotFound, Invalid, TooCostly."""
    meaning = Meaning(reads=reads)
    for trigger in triggers:
        meaning.resolved(trigger.type, trigger.filters)
    return meaning.known
