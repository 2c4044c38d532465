"""$closure: a table of what lies below what, kept up with the codes that a client meets. https://hl7.org/fhir/R4/terminology-service.html#closure

A table belongs to the holder of a token and has a name. It is begun with no concepts; each call with new ones answers what they
add, and one with a version repeats what was added since. What is kept is which code came when: what lies below what is the code
system's matter, and once that has changed the table has to be begun anew.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from hub.clock import instant
from hub.errors import HubError, Invalid, Kind, NotFound
from hub.security.access import Access
from hub.store.port import ResourceStore, Transaction
from hub.terminology.asked import Asked
from hub.terminology.concepts import CodeSystem
from hub.terminology.lookup import concept
from hub.terminology.service import Terminology

NAMES = frozenset({"name", "concept", "version"})
SHELF = "closure"
MAX_TABLES = 100  # of one holder
MAX_CODES = 10_000  # of one table
_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}").fullmatch
Edge = tuple[str, str, str]  # system, code, a code above it


class Outdated(HubError):
    """The code system is another one now."""

    kind = Kind.PROCESSING


class Table(msgspec.Struct):
    """`codes`: system → code → the version of the table with which it came. `marks`: of which content of a code system they are."""

    version: int = 0
    codes: dict[str, dict[str, int]] = {}
    marks: dict[str, str] = {}


class Closures:
    """The tables of one holder."""

    def __init__(self, store: ResourceStore, terminology: Terminology, access: Access) -> None:
        self._store = store
        self._terminology = terminology
        self._owner = hashlib.sha256(f"{access.facility}\n{access.role}\n{access.name}".encode()).hexdigest()[:32]

    def answered(self, asked: Asked, now: int) -> dict[str, Any]:
        name = asked.needed("name")
        if not _name(name):
            raise Invalid("this is no name of a closure table: letters, digits, hyphens, dots and underscores, at most 64")
        concepts, since = asked.listed("concept"), asked.text("version")
        if concepts and since:
            raise Invalid("concepts are added, or what was added since a version is asked for: not both")
        if concepts:
            table, edges = self._added(name, concepts)
            return _map(name, f"Updates for Closure Table {name}", table, edges, now)
        if since:
            table, edges = self._repeated(name, since)
            return _map(name, f"Updates for Closure Table {name}", table, edges, now)
        return _map(name, f"Closure Table {name} Creation", self._begun(name), (), now)

    def _begun(self, name: str) -> Table:
        def work(transaction: Transaction) -> None:
            known = transaction.items(SHELF, prefix=self._place(""), limit=MAX_TABLES)
            if len(known) >= MAX_TABLES and self._place(name) not in dict(known):
                raise Invalid(f"more than {MAX_TABLES} closure tables", kind=Kind.TOO_COSTLY)
            transaction.put_item(SHELF, self._place(name), msgspec.json.encode(Table()))

        self._store.write(work).result()
        return Table()

    def _added(self, name: str, concepts: list[dict[str, Any]]) -> tuple[Table, list[Edge]]:
        """Code systems are read before the transaction, which others wait for."""
        systems: dict[str, tuple[CodeSystem, str]] = {}
        fresh: dict[str, dict[str, None]] = {}
        for coding in concepts:
            url, version = str(coding.get("system", "")), str(coding.get("version", ""))
            if url not in systems:
                systems[url] = self._system(url, version)
            loaded = systems[url][0]
            fresh.setdefault(url, {})[loaded.codes[concept(loaded, str(coding.get("code", "")))]] = None

        def work(transaction: Transaction) -> tuple[Table, list[Edge]]:
            table = _read(transaction.item(SHELF, self._place(name)))
            version = table.version + 1
            edges: list[Edge] = []
            for url, codes in fresh.items():
                loaded, mark = systems[url]
                _check_mark(table, url, mark)
                known = table.codes.setdefault(url, {})
                known.update({code: version for code in codes if code not in known})
                table.marks[url] = mark
                edges += _edges(loaded, url, known, version - 1)
            if sum(map(len, table.codes.values())) > MAX_CODES:
                raise Invalid(f"a closure table has at most {MAX_CODES} codes", kind=Kind.TOO_COSTLY)
            table.version = version
            transaction.put_item(SHELF, self._place(name), msgspec.json.encode(table))
            return table, edges

        return self._store.write(work).result()

    def _repeated(self, name: str, since: str) -> tuple[Table, list[Edge]]:
        table = _read(self._store.item(SHELF, self._place(name)))
        if not since.isdecimal() or len(since) > 9 or int(since) > table.version:
            raise Invalid("the closure table never had this version")
        edges: list[Edge] = []
        for url, known in table.codes.items():
            loaded, mark = self._system(url, "")
            _check_mark(table, url, mark)
            edges += _edges(loaded, url, known, int(since))
        return table, edges

    def _system(self, url: str, version: str) -> tuple[CodeSystem, str]:
        if not url:
            raise Invalid("each concept has a system and a code")
        loaded, mark = self._terminology.code_system(url, version), self._terminology.mark(url, version)
        if loaded is None:
            raise NotFound("this code system is not loaded here")
        return loaded, mark

    def _place(self, name: str) -> str:
        return f"{self._owner}/{name}"


def _read(found: bytes | None) -> Table:
    if found is None:
        raise NotFound("no closure table of this name: begin it with its name alone")
    return msgspec.json.decode(found, type=Table)


def _check_mark(table: Table, url: str, mark: str) -> None:
    if table.marks.get(url, mark) != mark:
        raise Outdated("the closure table must be reinitialized: its code system was changed since")


def _edges(system: CodeSystem, url: str, known: dict[str, int], after: int) -> Iterator[Edge]:
    """What lies below what among the codes of the table, of which one came after that version."""
    for code, came in known.items():
        number = system.find(code)
        for other in system.ancestors(number) if number is not None else ():
            above = system.codes[other]
            if other != number and above in known and max(came, known[above]) > after:
                yield url, code, above


def _map(name: str, title: str, table: Table, edges: Iterable[Edge], now: int) -> dict[str, Any]:
    """Source is the code, target what subsumes it."""
    groups: dict[str, dict[str, list[dict[str, str]]]] = {}
    for url, code, above in edges:
        groups.setdefault(url, {}).setdefault(code, []).append({"code": above, "equivalence": "subsumes"})
    made: dict[str, Any] = {
        "resourceType": "ConceptMap",
        "id": name.replace("_", "-"),
        "version": str(table.version),
        "name": title,
        "status": "active",
        "experimental": True,
        "date": instant(now),
    }
    if groups:
        made["group"] = [
            {"source": url, "target": url, "element": [{"code": code, "target": target} for code, target in elements.items()]}
            for url, elements in groups.items()
        ]
    return made
