"""One caller's view of one person's records: every read goes through the door with the caller's Access, never past it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from hub.errors import HubError, Kind, NotAllowed
from hub.fhir_json import load
from hub.search.query import Criterion, CriterionValue, ReferenceValue, SearchQuery, Sort, TokenValue
from hub.security.access import Access
from hub.security.door import Door
from hub.security.reads import Reads
from hub.store.port import Key, Version
from profiles.names import FACILITY_TAG

T = TypeVar("T")

PAGE = 1000
MOST = 4_000  # resources of one type read for one page

DATE_PARAMETER: Mapping[str, str] = {
    "Composition": "date",
    "Condition": "recorded-date",
    "DiagnosticReport": "date",
    "DocumentReference": "date",
    "Encounter": "date",
    "ImagingStudy": "started",
    "Immunization": "date",
    "MedicationRequest": "authoredon",
    "Observation": "date",
    "Procedure": "date",
    "ServiceRequest": "authored",
}
"""By which search parameter each type is newest first; types not named come as the store gives them."""


@dataclass(frozen=True, slots=True)
class Found:
    """A resource and whose record it is."""

    resource: Mapping[str, Any]
    facility: str

    @property
    def type(self) -> str:
        return str(self.resource["resourceType"])

    @property
    def id(self) -> str:
        return str(self.resource["id"])

    @property
    def reference(self) -> str:
        return f"{self.type}/{self.id}"


def found(version: Version) -> Found:
    resource = load(version.body)
    return Found(resource, version.facility or _tagged_facility(resource))


def _tagged_facility(resource: Mapping[str, Any]) -> str:
    tags = resource.get("meta", {}).get("tag", ())
    return next((tag["code"] for tag in tags if tag.get("system") == FACILITY_TAG and tag.get("code")), "")


class Withheld(HubError):
    """The caller's role may not see this kind of record; a page says so instead of showing an empty list."""

    kind = Kind.FORBIDDEN


class Reader:
    """Reads for one person, `patient` being any of their ids; the door expands it to every linked Patient."""

    def __init__(self, door: Door, access: Access, patient: str) -> None:
        self.door = door
        self.access = access
        self.patient = patient
        self.person, *self.linked = door.reads(access).person(patient)

    async def patients(self) -> tuple[Found, ...]:
        """The source Patients that this caller may see; the golden one first where it is visible."""
        ids = tuple(dict.fromkeys((self.person, *self.linked, self.patient)))
        return await self.read("Patient", ids)

    async def search(self, type: str, criteria: Iterable[Criterion] = (), *, most: int = MOST) -> tuple[Found, ...]:
        """All of the person's resources of one type, newest first. Raise Withheld if the role may not see the type."""
        query = self.query(type, criteria, most)
        try:
            return await self.reading(lambda reads: every(reads, query, most), type)
        except NotAllowed as error:
            raise Withheld(error.message) from None

    async def search_all(
        self, types: Sequence[str], newest: Mapping[str, int] | None = None
    ) -> dict[str, tuple[Found, ...] | None]:
        """Several types as one interaction with one AuditEvent; None for a type that the role may not see.

        `newest`: of a type, how many of the newest are enough.
        """
        most = newest or {}

        def work(reads: Reads) -> dict[str, tuple[Found, ...] | None]:
            asked = ((type, most.get(type, MOST)) for type in types)
            return {type: _unless_withheld(reads, self.query(type, (), count), count) for type, count in asked}

        return await self.reading(work, ",".join(types))

    async def reading(self, work: Callable[[Reads], T], types: str) -> T:
        """Several reads as one interaction with one AuditEvent."""
        return await self.door.reading(
            self.access, work, action="E", interaction="search-type", asked=f"{types}?patient={self.patient}"
        )

    def query(self, type: str, criteria: Iterable[Criterion] = (), most: int = MOST) -> SearchQuery:
        """All of the person's resources of one type, newest first."""
        person = Criterion("patient", "reference", (ReferenceValue("Patient", self.patient),))
        date = DATE_PARAMETER.get(type)
        sort = (Sort(date, "date", descending=True),) if date else ()
        return SearchQuery(type, (person, *criteria), sort, count=min(PAGE, most))

    async def read(self, type: str, ids: Iterable[str]) -> tuple[Found, ...]:
        keys = [Key(type, id) for id in dict.fromkeys(ids)]
        if not keys:
            return ()
        return tuple(found(version) for version in await self.door.read_many(self.access, keys))

    async def read_one(self, type: str, id: str) -> Found:
        """Raise NotFound for unknown and foreign alike."""
        return found(await self.door.read(self.access, Key(type, id)))


def _unless_withheld(reads: Reads, query: SearchQuery, most: int) -> tuple[Found, ...] | None:
    try:
        return every(reads, query, most)
    except NotAllowed:
        return None


def every(reads: Reads, query: SearchQuery, most: int) -> tuple[Found, ...]:
    """Page after page, so that nothing is cut off before `most`."""
    results: list[Found] = []
    while True:
        page = reads.search(query)
        results.extend(found(version) for version in page.matches)
        if page.next is None or len(results) >= most:
            return tuple(results[:most])
        query = replace(query, after=page.next)


def any_code(codes: Iterable[tuple[str, str]], parameter: str = "code") -> Criterion:
    values: tuple[CriterionValue, ...] = tuple(TokenValue(system, code.casefold()) for system, code in codes)
    return Criterion(parameter, "token", values)


def reference_id(reference: object, type: str) -> str:
    """`Type/id` of a Reference element → id; "" for anything else."""
    text = reference.get("reference", "") if isinstance(reference, dict) else ""
    kind, _, id = str(text).partition("/")
    return id.partition("/")[0] if kind == type else ""


def code_text(concept: object) -> str:
    """What a CodeableConcept says to a person."""
    if not isinstance(concept, dict):
        return ""
    if text := concept.get("text"):
        return str(text)
    codings = concept.get("coding", ())
    return str(
        next((c["display"] for c in codings if c.get("display")), "") or next((c["code"] for c in codings if c.get("code")), "")
    )
