"""Searches by HTTP, by two facilities that do not know of each other's patients: nothing is found, or inferred, through a chain."""

from __future__ import annotations

import pytest

from tests.hub.api.county import observation, patient, served

pytestmark = pytest.mark.anyio
DISEASES = "urn:county:diseases"


def condition(id, patient_id, code):
    return {
        "resourceType": "Condition",
        "id": id,
        "code": {"coding": [{"system": DISEASES, "code": code}]},
        "subject": {"reference": f"Patient/{patient_id}"},
    }


CODE_SYSTEM = {
    "resourceType": "CodeSystem",
    "id": "diseases",
    "url": DISEASES,
    "status": "active",
    "content": "complete",
    "concept": [{"code": "E11", "concept": [{"code": "E11.5"}]}],
}
LIST = {
    "resourceType": "List",
    "id": "round",
    "status": "current",
    "mode": "working",
    "entry": [{"item": {"reference": "Patient/hers"}}],
}


@pytest.fixture
async def county(tmp_path, store):
    async with served(tmp_path / "data", store=store) as hub:
        hospital, clinic, admin = hub.client("clinician", "CTY"), hub.client("clinician", "TWN"), hub.client("admin")
        kept = [
            await admin.put(CODE_SYSTEM),
            await hospital.put(patient("hers", birthDate="1980")),
            await hospital.put(observation("glucose", "hers")),
            await hospital.put(condition("foot", "hers", "E11.5")),
            await hospital.put(LIST),
            await clinic.put(patient("his", birthDate="1990")),
            await clinic.put(observation("again", "his")),
            await clinic.put(condition("sugar", "his", "E11")),
        ]
        assert [each.status_code for each in kept] == [201] * len(kept), [each.text for each in kept]
        yield hospital, clinic


async def found(client, url):
    answer = await client.get(f"/fhir/{url}")
    assert answer.status_code == 200, answer.text
    return {entry["resource"]["id"] for entry in answer.json().get("entry", []) if entry["search"]["mode"] != "outcome"}


ASKED = [
    # what is asked, what the hospital finds, what the clinic finds
    ("Observation?subject:Patient.name=张三", "glucose", "again"),
    ("Observation?subject.birthdate=1980", "glucose", ""),
    ("Patient?_has:Condition:patient:code=E11.5", "hers", ""),
    ("Patient?_has:Observation:patient:code=2345-7&_revinclude=Condition:patient", "hers foot", "his sugar"),
    ("Observation?patient._has:Condition:patient:code:below=urn:county:diseases|E11", "glucose", "again"),
    (f"Condition?code:below={DISEASES}|E11", "foot", "sugar"),
    ("Condition?_filter=subject[birthdate lt 1985].name co 三 or code eq E11.5", "foot", ""),
    ("Condition?_filter=not (code eq E11.5)", "", "sugar"),
    ("Patient?_content=张三", "hers", "his"),
    ("Observation?_include=*", "glucose hers", "again his"),
]


async def test_each_finds_its_own(county):
    hospital, clinic = county
    for url, by_hospital, by_clinic in ASKED:
        assert await found(hospital, url) == set(by_hospital.split()), url
        assert await found(clinic, url) == set(by_clinic.split()), url


async def test_another_facility_s_list_is_as_unknown_as_one_that_never_was(county):
    hospital, clinic = county
    assert await found(hospital, "Patient?_list=round") == {"hers"}
    foreign, never = await clinic.get("/fhir/Patient?_list=round"), await clinic.get("/fhir/Patient?_list=never")
    assert (foreign.status_code, foreign.json()) == (never.status_code, never.json())
    assert foreign.status_code == 404


async def test_who_writes_learns_nothing_through_criteria(county):
    """A conditional update that asks, through a chain, what another facility recorded."""
    _, clinic = county
    mine = observation("probe", "his", note=[{"text": "x"}])
    assert (await clinic.put(mine)).status_code == 201
    for name in ("patient._has:Condition:patient:code=E11.5", "_filter=patient.birthdate eq 1980"):
        answer = await clinic.http.put(f"/fhir/Observation?_id=probe&{name}", json={**mine, "status": "amended"})
        assert answer.status_code in (400, 404, 409, 412, 415) or answer.json()["id"] != "probe"


REFUSED = {
    "Observation?subject:Patient.shoe=1": "shoe",
    "Patient?_has:Observation:shoe:code=1": "shoe",
    "Observation?code:below=A": "code",
    "Patient?_filter=name like x": "like",
    "Observation?code:in=urn:nothing": "value set",
    "Observation?code:below=urn:nothing|A": "code system is not loaded",
    "Observation?_sort=": "_sort names search parameters",
    "Observation?_sort:desc=date": "_sort=-date",
    "Observation?_include=Patient:organization": "_include:iterate",
    "Patient?_list=$current-problems": "lists Condition",
    "Patient?_list=$shoes": "$current-problems",
    f"Organization?{'partof.' * 9}name=x": "chain",
}


async def test_a_refusal_names_what_is_wrong(county):
    _, clinic = county
    for url, named in REFUSED.items():
        answer = await clinic.get(f"/fhir/{url}")
        assert answer.status_code in (400, 404), url
        assert named in answer.json()["issue"][0]["diagnostics"]
