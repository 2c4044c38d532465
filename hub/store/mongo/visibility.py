"""A reader's Scope: as far as it can be said in a query, and for the rest on the documents that were found.

Whom a facility treats is a list that is part of the query while it is short; a longer one is asked for the patients found.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from hub.store.mongo import people
from hub.store.mongo.documents import Document
from hub.store.mongo.reading import Reading
from hub.store.port import Scope
from hub.store.visible import shown

MOST_LISTED = 2_000  # patients named in a query


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
        if not scope.facility:
            return shared[0] if shared else None
        if self._treated is None:
            return {}
        treated: list[Document] = [{"p": {"$in": self._treated}}] if self._treated else []
        return {"$or": [{"f": scope.facility}, *shared, *treated]}

    @property
    def exact(self) -> bool:
        """`of_type` says all; nothing found by it needs to be looked at again."""
        return self._scope.everything or not self._scope.facility or self._treated is not None

    def kept(self, resource_type: str, documents: Sequence[Document]) -> list[Document]:
        """Those that are visible, of documents with `f` and `p`."""
        scope = self._scope

        def treated(patients: set[str]) -> set[str]:
            return people.treated_of(self._reading, scope.facility, patients, scope.now)

        return shown(documents, lambda document: (resource_type, document["f"], document["p"]), scope, treated)

    @cached_property
    def _treated(self) -> list[str] | None:
        return people.treated_by(self._reading, self._scope.facility, self._scope.now, most=self._most_listed)
