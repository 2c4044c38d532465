"""A reader's Scope: as far as it can be said in a query, and for the rest on the documents that were found.

Whose record is open to a reader is a list that is part of the query while it is short; a longer one is asked for what was found.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

from hub.store.compartments import RESTRICTED
from hub.store.mongo import people
from hub.store.mongo.documents import Document
from hub.store.mongo.reading import Reading
from hub.store.port import Scope
from hub.store.visible import shown

MOST_LISTED = 2_000  # compartments named in a query


class Visibility:
    def __init__(self, reading: Reading, scope: Scope, *, most_listed: int = MOST_LISTED) -> None:
        self._reading = reading
        self._scope = scope
        self._most_listed = most_listed

    @property
    def everything(self) -> bool:
        return self._scope.everything

    def of_type(self, resource_type: str) -> Document | None:
        """What every visible document of the type fulfils, and perhaps others too; None: nothing of it is visible."""
        scope = self._scope
        if scope.everything:
            return {}
        if scope.types is not None and resource_type not in scope.types:
            return None
        shared: list[Document] = [{"p": ""}] if resource_type in scope.shared_types else []
        ways = [*shared, *self._own]
        if scope.facility:
            if self._opened is None:
                return {}
            ways += [{"f": scope.facility}, *([{"p": {"$in": self._opened}}] if self._opened else [])]
        if not ways:
            return None
        seen = ways[0] if len(ways) == 1 else {"$or": ways}
        return seen if scope.cleared or ways == shared else {"$and": [seen, {"p": {"$not": {"$regex": f"^{RESTRICTED}"}}}]}

    @property
    def exact(self) -> bool:
        """`of_type` says all; nothing found by it needs to be looked at again."""
        return self._scope.everything or not self._scope.facility or self._opened is not None

    def kept(self, resource_type: str, documents: Sequence[Document]) -> list[Document]:
        """Those that are visible, of documents with `f` and `p`."""

        def opened(compartments: set[str]) -> set[str]:
            return people.opened(self._reading, self._scope, compartments)

        return shown(documents, lambda document: (resource_type, document["f"], document["p"]), self._scope, opened)

    @cached_property
    def _opened(self) -> list[str] | None:
        return people.opened_to(self._reading, self._scope, most=self._most_listed)

    @cached_property
    def _own(self) -> list[Document]:
        """Every compartment of the reader's own, restricted ones too."""
        if not self._scope.patient:
            return []
        ids = people.one_person(self._reading, self._scope.patient)
        restricted = "|".join(map(re.escape, ids))
        return [{"p": {"$in": list(ids)}}, {"p": {"$regex": f"^{RESTRICTED}[^{RESTRICTED}]*{RESTRICTED}({restricted})$"}}]
