"""Every type of the Patient compartment × every role × two facilities × every route: not one foreign resource comes out.

https://hl7.org/fhir/R4/compartmentdefinition-patient.html. The resources hold what places them in the compartment and a mark;
they are stored past the structure check, for the policy must not depend on what else a resource holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest

from hub.app import create_app, open_hub
from hub.search.extract import patient_of
from hub.search.parameters import patient_compartment, registry
from hub.security.access import Role
from hub.security.policy import PATIENT_TYPES
from tests.hub.api.county import COUNTY, Client, Served, bundle, entry

pytestmark = pytest.mark.anyio

FACILITIES = {"CTY": "c", "TWN": "t"}
TYPES = sorted({*patient_compartment(), *PATIENT_TYPES} - {"Patient", "AuditEvent"})  # that one the hub writes as it is asked
MEMBERS = (
    "subject",
    "patient",
    "individual",
    "for",
    "candidate",
    "beneficiary",
    "deliverTo",
    "securityContext",
    "target",
    "member",
)
NARROWED: tuple[Role, ...] = ("clinician", "reader", "system", "it", "admin")
BY_ADDRESS = ("{type}/{id}/_history", "{type}/{id}?_summary=true")
IN_BUNDLES = (
    "{type}/{id}",
    "{type}/{id}/_history/1",
    "{type}?_id={id}",
    "{type}?_tag=urn:hub:facility|{facility}&_total=accurate",
    "{type}?_security=urn:mark|{mark}&_summary=count",
)


def mark(facility: str) -> str:
    return f"mark-of-{facility}"


def placed(type: str, patient: str) -> dict[str, Any]:
    """The smallest resource of `type` in the compartment of `patient`; outside every compartment if the type has no way in."""
    for path in (*paths(type), *((member,) for member in MEMBERS)):
        value: Any = {"reference": f"Patient/{patient}"}
        for name in reversed(path):
            value = {name: value}
        for resource in ({"resourceType": type, **value}, {"resourceType": type, path[0]: [value[path[0]]]}):
            try:
                if patient_of(resource) == patient:
                    return resource
            except (TypeError, AttributeError, ValueError):
                continue
    return {"resourceType": type}


def paths(type: str) -> Iterable[tuple[str, ...]]:
    for code in patient_compartment().get(type, ()):
        parameter = registry().get(type, code)
        for branch in parameter.expression.split("|") if parameter else ():
            base, _, path = branch.strip().partition(".where(")[0].partition(".")
            if base == type and path:
                yield tuple(path.split("."))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """At each facility one patient and one resource of every type; the patients have nothing to do with one another."""

    def fill(transaction: Any) -> None:
        for facility, prefix in FACILITIES.items():
            labels = {"security": [{"system": "urn:mark", "code": mark(facility)}]}
            patient = f"{prefix}-patient"
            transaction.save({"resourceType": "Patient", "meta": labels}, id=patient, facility=facility)
            for type in TYPES:
                resource = {**placed(type, patient), "meta": labels}
                transaction.save(resource, id=f"{prefix}-{type}", facility=facility)
                transaction.save({**resource, "language": "zh"}, id=f"{prefix}-{type}", facility=facility)

    hub = open_hub(tmp_path_factory.mktemp("matrix") / "data", COUNTY)
    hub.store.write(fill).result()
    yield Served(hub, httpx.ASGITransport(create_app(hub)))
    hub.close()


def test_every_type_of_the_compartment_can_be_placed() -> None:
    assert [type for type in patient_compartment() if type != "Patient" and patient_of(placed(type, "p")) != "p"] == []


async def asked(client: Client, paths: Iterable[str], shown: str) -> list[str]:
    """Those of the addresses whose answer holds `shown`."""
    found: list[str] = []

    async def ask(path: str) -> None:
        answer = await client.get(f"/fhir/{path}", accept="application/fhir+json")
        body = answer.json()
        body.pop("link", None)  # says what was asked
        if answer.status_code not in (200, 403, 404) or shown in str(body):
            found.append(path)

    waiting = list(paths)
    for start in range(0, len(waiting), 32):
        await asyncio.gather(*map(ask, waiting[start : start + 32]))
    return found


def addresses(facility: str, templates: Iterable[str]) -> list[str]:
    prefix, types = FACILITIES[facility], ["Patient", *TYPES]
    ids = {type: f"{prefix}-{'patient' if type == 'Patient' else type}" for type in types}
    return [t.format(type=type, id=ids[type], facility=facility, mark=mark(facility)) for type in types for t in templates]


def about(facility: str) -> list[str]:
    """By the patient whose records they are."""
    patient = f"{FACILITIES[facility]}-patient"
    first = {type: codes[0] for type, codes in patient_compartment().items() if type in TYPES}
    included = [f"Patient?_id={patient}&_revinclude={type}:{code}" for type, code in first.items()]
    return [*included, *(f"{type}?{code}=Patient/{patient}&_total=accurate" for type, code in first.items())]


def operations(facility: str) -> list[str]:
    patient = f"Patient/{FACILITIES[facility]}-patient"
    return [f"{patient}/$everything", f"{patient}/_history", f"{patient}/$recognizable-results?code=1&orderer=Organization/CTY"]


@pytest.mark.parametrize(("role", "own", "foreign"), [*((role, "TWN", "CTY") for role in NARROWED), ("clinician", "CTY", "TWN")])
async def test_nothing_foreign_comes_out(filled: Served, role: Role, own: str, foreign: str) -> None:
    """By a Bundle, which asks each entry as if it had come alone; what a Bundle does not take, by its address."""
    client = filled.client(role, own)
    reads = [entry("GET", address) for address in (*addresses(foreign, IN_BUNDLES), *about(foreign))]
    answers = (await client.post(bundle("batch", *reads), "/fhir")).json()["entry"]
    assert len(answers) == len(reads)
    shown = [answer["resource"] for answer in answers if "resource" in answer]
    for resource in shown:
        resource.pop("link", None)  # says what was asked
    assert mark(foreign) not in str(shown)
    assert {resource["total"] for resource in shown} <= {0}
    assert await asked(client, operations(foreign), mark(foreign)) == []


async def test_nothing_foreign_comes_out_by_any_address(filled: Served) -> None:
    assert await asked(filled.client("clinician", "TWN"), addresses("CTY", BY_ADDRESS), mark("CTY")) == []


@pytest.mark.parametrize("role", ["clinician", "admin"])
async def test_what_is_ones_own_comes_out(filled: Served, role: Role) -> None:
    """Without this the matrix would hold for a hub that shows nothing at all."""
    own = addresses("CTY", ["{type}/{id}"])
    shown = await asked(filled.client(role, "CTY"), own, mark("CTY"))
    assert sorted(set(own) - set(shown)) == []


@pytest.mark.parametrize("role", ["clinician", "reader", "it"])
async def test_without_a_facility_no_patients_record_comes_out(filled: Served, role: Role) -> None:
    assert await asked(filled.client(role), addresses("CTY", ["{type}/{id}"]), mark("CTY")) == []
