"""A resource version → its document: the JSON as it is, and its index entries as a few typed arrays.

    _id id · v version · lu updated · m method · f facility · p patient · body (packed where it is large)
    o   place in the order of creation; only while it is not deleted (`was` afterwards)
    t   "code=718-7", "subject=p1", "url=http://…"   tokens, references and URIs by what they are mostly asked for; indexed
    u   "code=http://loinc.org␟718-7", "code=http://loinc.org", "subject=Patient␟p1"   the same with system or type
    s   "name=wang xiaoming"   strings folded; indexed.   e   "name=王小明"   as they stand, for :exact
    d   {p, l, h}   dates; p ends with "~" if the interval is longer than a day; indexed
    n   {p, v, l, h, r, s, c}   numbers and quantities between l and h; r: v is one end of a range; indexed
    k   the parameters that have an entry, for :missing
    sd  the newest start of the type's main date, by which it is mostly sorted;  sm  it has several, or a long one

No index spans two arrays, and none but that of `_id` is unique: a collection may be sharded by a hash of `_id`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pymongo import ASCENDING, IndexModel

from hub.search.entries import Date, Entry, Number, Quantity, Reference, String, Token, Uri
from hub.store.port import Key, Version

Document = dict[str, Any]

DAY = 86_400_000
LARGE = 2 * 1024 * 1024  # bytes of JSON: a document holds sixteen, and a table of 200,000 drugs takes more until it is packed
SEPARATOR = "\x1f"
LONG = "~"
INDEX_FIELDS = ("t", "u", "s", "e", "d", "n", "k", "sd", "sm")

# The date by which a type is mostly sorted, where that is not the search parameter "date".
MAIN_DATES: Mapping[str, str] = {
    "Condition": "onset-date",
    "Coverage": "",
    "ImagingStudy": "started",
    "MedicationAdministration": "effective-time",
    "MedicationDispense": "whenhandedover",
    "MedicationRequest": "authoredon",
    "MedicationStatement": "effective",
    "Patient": "birthdate",
    "ServiceRequest": "authored",
    "Specimen": "collected",
    "Task": "authored-on",
}

INDEXES = (
    IndexModel([("t", ASCENDING), ("o", ASCENDING)], name="token_created"),
    IndexModel([("t", ASCENDING), ("sd", ASCENDING), ("o", ASCENDING)], name="token_date"),
    IndexModel([("s", ASCENDING)], name="string"),
    IndexModel([("d.p", ASCENDING), ("d.l", ASCENDING), ("d.h", ASCENDING)], name="date"),
    IndexModel([("n.p", ASCENDING), ("n.v", ASCENDING)], name="number"),
    IndexModel([("o", ASCENDING)], name="created"),
    IndexModel([("lu", ASCENDING), ("o", ASCENDING)], name="updated"),
    IndexModel([("sd", ASCENDING), ("o", ASCENDING)], name="main_date"),
    IndexModel([("sm", ASCENDING)], name="several_dates", partialFilterExpression={"sm": True}),
)


def main_date(resource_type: str) -> str:
    return MAIN_DATES.get(resource_type, "date")


def plain(parameter: str, value: str) -> str:
    return f"{parameter}={value}"


def paired(parameter: str, kind: str, value: str) -> str:
    """With a token's system or a reference's type."""
    return f"{parameter}={kind}{SEPARATOR}{value}"


class Arrays:
    """Collects entries; each value once, in the order in which they come."""

    def __init__(self) -> None:
        self.plain: dict[str, None] = {}
        self.paired: dict[str, None] = {}
        self.folded: dict[str, None] = {}
        self.exact: dict[str, None] = {}
        self.dates: dict[tuple[Any, ...], Document] = {}
        self.numbers: dict[tuple[Any, ...], Document] = {}

    def token(self, parameter: str, value: Token) -> None:
        self.plain[plain(parameter, value.code)] = None
        self.paired[paired(parameter, value.system, value.code)] = None
        self.paired[plain(parameter, value.system)] = None

    def reference(self, parameter: str, value: Reference) -> None:
        self.plain[plain(parameter, value.id)] = None
        self.paired[paired(parameter, value.type, value.id)] = None

    def uri(self, parameter: str, value: Uri) -> None:
        self.plain[plain(parameter, value.value)] = None

    def string(self, parameter: str, value: String) -> None:
        self.folded[plain(parameter, value.folded)] = None
        if value.exact:
            self.exact[plain(parameter, value.exact)] = None

    def date(self, parameter: str, value: Date) -> None:
        length = LONG if value.high - value.low > DAY else ""
        self.dates[parameter, *value] = {"p": parameter + length, "l": value.low, "h": value.high}

    def number(self, parameter: str, value: Number) -> None:
        self.numbers[parameter, *value] = _numeric(parameter, value)

    def quantity(self, parameter: str, value: Quantity) -> None:
        self.numbers[parameter, *value] = {**_numeric(parameter, value), "s": value.system, "c": value.code}


def _numeric(parameter: str, each: Number | Quantity) -> Document:
    found: Document = {"p": parameter, "v": each.value, "l": each.low, "h": each.high}
    return found if each.low < each.value < each.high else {**found, "r": True}


_ADD: dict[type, Callable[[Arrays, str, Any], None]] = {
    Token: Arrays.token,
    Reference: Arrays.reference,
    Uri: Arrays.uri,
    String: Arrays.string,
    Date: Arrays.date,
    Number: Arrays.number,
    Quantity: Arrays.quantity,
}


def index_fields(resource_type: str, entries: Iterable[Entry]) -> Document:
    """The fields of INDEX_FIELDS; an empty one is left out."""
    arrays, present = Arrays(), set()
    for parameter, value in entries:
        present.add(parameter)
        _ADD[type(value)](arrays, parameter, value)
    fields: Document = {
        "t": list(arrays.plain),
        "u": list(arrays.paired),
        "s": list(arrays.folded),
        "e": list(arrays.exact),
        "d": list(arrays.dates.values()),
        "n": list(arrays.numbers.values()),
        "k": sorted(present),
    }
    return {**{name: value for name, value in fields.items() if value}, **_main_date(resource_type, fields["d"])}


def _main_date(resource_type: str, dates: Iterable[Document]) -> Document:
    parameter = main_date(resource_type)
    starts = {each["l"] for each in dates if each["p"].removesuffix(LONG) == parameter}
    if not starts:
        return {}
    several = len(starts) > 1 or any(each["p"] == parameter + LONG for each in dates)
    return {"sd": max(starts), **({"sm": True} if several else {})}


def document_of(version: Version, place: int, index: Document) -> Document:
    """The current version, a deletion without entries."""
    order = {"was": place} if version.deleted else {"o": place}
    return {"_id": version.id, **_head(version), **order, **index, "body": _packed(version.body)}


def former_of(version: Version, place: int, until: int) -> Document:
    """A version in the history: no entries, and when it was succeeded."""
    name = history_id(Key(version.type, version.id), version.version)
    return {
        "_id": name,
        "T": version.type,
        "i": version.id,
        **_head(version),
        "o": place,
        "end": until,
        "body": _packed(version.body),
    }


def _packed(body: bytes) -> bytes:
    return zlib.compress(body, 1) if len(body) >= LARGE else body


def body_of(document: Document) -> bytes:
    """JSON, which begins with a brace, or nothing; else it is packed."""
    body: bytes = document.get("body", b"")
    return body if body[:1] in (b"{", b"") else zlib.decompress(body)


def _head(version: Version) -> Document:
    return {"v": version.version, "lu": version.updated, "m": version.method, "f": version.facility, "p": version.patient}


def history_id(key: Key, version: int) -> str:
    """Sorts by version."""
    return f"{key.type}/{key.id}/{version:010d}"


def place_of(document: Document) -> int:
    return int(document["o"] if "o" in document else document["was"])


def version_of(resource_type: str, document: Document) -> Version:
    """Of a current document, or of one of the history."""
    return Version(
        type=resource_type,
        id=document["i"] if "i" in document else document["_id"],
        version=document["v"],
        updated=int(document["lu"]),  # BSON's own kind of integer would go further
        deleted=document["m"] == "DELETE",
        body=body_of(document),
        method=document["m"],
        facility=document["f"],
        patient=document["p"],
    )
