"""One caller's view of one person's records: every read goes through the door with the caller's Access, never past it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hub.errors import HubError, Kind, NotAllowed
from hub.fhir_json import load
from hub.search.query import Criterion, CriterionValue, ReferenceValue, SearchQuery, Sort, TokenValue
from hub.security.access import Access
from hub.security.door import Door
from hub.store.port import Key, SearchPage, Version
from profiles.names import FACILITY_TAG

PAGE = 200
MOST = 4_000  # resources of one type read for one page

DATE_PARAMETER: Mapping[str, str] = {
    "Composition": "date",
    "Condition": "recorded-date",
    "DiagnosticReport": "date",
    "DocumentReference": "date",
    "Encounter": "date",
    "ImagingStudy": "started",
    "MedicationRequest": "authoredon",
    "Observation": "date",
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
        self.person, *self.linked = door.person(patient)

    async def patients(self) -> tuple[Found, ...]:
        """The source Patients that this caller may see; the golden one first where it is visible."""
        ids = tuple(dict.fromkeys((self.person, *self.linked, self.patient)))
        return await self.read("Patient", ids)

    async def search(self, type: str, criteria: Iterable[Criterion] = (), *, most: int = MOST) -> tuple[Found, ...]:
        """All of the person's resources of one type, newest first. Raise Withheld if the role may not see the type."""
        person = Criterion("patient", "reference", (ReferenceValue("Patient", self.patient),))
        date = DATE_PARAMETER.get(type)
        sort = (Sort(date, "date", descending=True),) if date else ()
        query = SearchQuery(type, (person, *criteria), sort, count=min(PAGE, most))
        results: list[Found] = []
        after: str | None = None
        while True:
            page = await self._page(query, after)
            results.extend(found(version) for version in page.matches)
            after = page.next
            if after is None or len(results) >= most:
                return tuple(results[:most])

    async def _page(self, query: SearchQuery, after: str | None) -> SearchPage:
        try:
            return await self.door.search(self.access, replace(query, after=after), asked=f"{query.type}?patient=…")
        except NotAllowed as error:
            raise Withheld(error.message) from None

    async def read(self, type: str, ids: Iterable[str]) -> tuple[Found, ...]:
        keys = [Key(type, id) for id in dict.fromkeys(ids)]
        if not keys:
            return ()
        return tuple(found(version) for version in await self.door.read_many(self.access, keys))

    async def read_one(self, type: str, id: str) -> Found:
        """Raise NotFound for unknown and foreign alike."""
        return found(await self.door.read(self.access, Key(type, id)))


def any_code(codes: Iterable[tuple[str, str]], parameter: str = "code") -> Criterion:
    values: tuple[CriterionValue, ...] = tuple(TokenValue(system, code.casefold()) for system, code in codes)
    return Criterion(parameter, "token", values)


def reference_id(reference: object, type: str) -> str:
    """`Type/id` of a Reference element → id; "" for anything else."""
    text = reference.get("reference", "") if isinstance(reference, Mapping) else ""
    kind, _, id = str(text).partition("/")
    return id.partition("/")[0] if kind == type else ""


def code_text(concept: object) -> str:
    """What a CodeableConcept says to a person."""
    if not isinstance(concept, Mapping):
        return ""
    codings = concept.get("coding", ())
    return str(
        concept.get("text")
        or next((c["display"] for c in codings if c.get("display")), "")
        or next((c["code"] for c in codings if c.get("code")), "")
    )
