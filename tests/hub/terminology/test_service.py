"""What other parts of the hub ask of the terminology, and how it keeps what it worked out."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from hub.errors import NotFound
from hub.store.sqlite import SqliteReader
from hub.terminology.capabilities import terminology_capabilities
from hub.terminology.concepts import CodeSystem
from hub.terminology.kept import Kept
from hub.terminology.ready import BLOCKS, READY, Keeper
from hub.terminology.service import Terminology
from hub.terminology.sources import standard
from profiles.validation import validate
from tests.hub.api.county import Client, Served
from tests.hub.terminology.tables import DIAGNOSES, DIAGNOSIS_TABLE, rule, value_set

pytestmark = pytest.mark.anyio
BELLY = "urn:hub:test:vs:belly"
NOT_IN_THE_PACKAGE = frozenset(
    {
        "http://hl7.org/fhir/CodeSystem/task-code",  # a code system without its codes
        "http://hl7.org/fhir/sid/cvx",
        "http://hl7.org/fhir/ValueSet/usps-state",
        "http://hl7.org/fhir/ValueSet/condition-code",  # lists SNOMED CT
        "http://hl7.org/fhir/ValueSet/dicom-cid29",  # lists DICOM
    }
)


async def loaded(admin: Client) -> None:
    await admin.put(DIAGNOSIS_TABLE)
    await admin.put(value_set("belly", rule("concept", "is-a", "K35")))


async def test_membership_for_the_validator(hub: Served, admin: Client) -> None:
    await loaded(admin)
    await admin.put(value_set("half", rule("concept", "is-a", "E11"), {"system": "http://snomed.info/sct"}))
    await admin.put(value_set("wrong", rule("weight", "=", "1")))
    contains = hub.hub.terminology.contains
    assert contains(BELLY, DIAGNOSES, "K35.301") is True
    assert contains(BELLY, "", "k35.301") is True
    assert contains(BELLY, DIAGNOSES, "E11") is False
    assert contains("urn:hub:test:vs:half", DIAGNOSES, "E11.2") is True, "what is known counts, although SNOMED CT is not loaded"
    assert contains("urn:hub:test:vs:half", DIAGNOSES, "K35") is False
    assert contains("urn:hub:test:vs:half", "http://snomed.info/sct", "74400008") is None
    assert contains("urn:hub:test:vs:wrong", DIAGNOSES, "K35") is None
    assert contains("urn:hub:test:vs:none", DIAGNOSES, "K35") is None


async def test_hierarchies_for_the_search(hub: Served, admin: Client) -> None:
    await loaded(admin)
    terminology = hub.hub.terminology
    assert terminology.descendants(DIAGNOSES, "K35.3") == {"K35.3", "K35.301", "K35.303"}
    assert terminology.ancestors(DIAGNOSES, "K35.301") == {"K35.301", "K35.3", "K35"}
    assert terminology.descendants(DIAGNOSES, "unknown") == {"unknown"}
    with pytest.raises(NotFound, match="not loaded"):
        terminology.descendants("http://snomed.info/sct", "1")
    assert (DIAGNOSES, "K35.2") in terminology.expand(BELLY)


async def test_a_process_that_only_reads_sees_what_another_one_wrote(hub: Served, admin: Client) -> None:
    await loaded(admin)
    store = hub.hub.store
    reader = store if store.shared else SqliteReader(hub.hub.data, indexer=hub.hub.searchable.indexer())
    try:
        other = Terminology(reader)
        assert other.contains(BELLY, DIAGNOSES, "E11") is False
        await admin.put(value_set("belly", rule("concept", "is-a", "E11")))
        assert other.contains(BELLY, DIAGNOSES, "E11") is True
        await admin.delete("/fhir/ValueSet/belly")
        assert other.contains(BELLY, DIAGNOSES, "E11") is None
    finally:
        if reader is not store:
            reader.close()


async def test_a_hundred_thousand_codes_are_given_in_pages_only(hub: Served, admin: Client) -> None:
    concepts: list[dict[str, Any]] = [{"code": f"{n:05}", "display": f"病{n}"} for n in range(12_000)]
    large = CodeSystem.of({**DIAGNOSIS_TABLE, "concept": concepts})
    assert len(large.texts.matching(["病11999"])) == 1
    await admin.put({**DIAGNOSIS_TABLE, "concept": concepts})
    ask = f"/fhir/ValueSet/$expand?url={DIAGNOSES}?fhir_vs"
    answer = await admin.get(ask)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "too-costly")
    page = (await admin.get(f"{ask}&offset=11998&count=10")).json()
    assert (page["expansion"]["total"], len(page["expansion"]["contains"])) == (12_000, 2)
    assert (await admin.get(f"{ask}&filter=bing11999")).json()["expansion"]["total"] == 1
    assert hub.hub.terminology.contains(f"{DIAGNOSES}?fhir_vs", DIAGNOSES, "00042") is True


async def test_a_large_code_system_is_made_ready_for_the_next_start(hub: Served, admin: Client) -> None:
    """Its codes, hierarchy, texts and properties come from the store as they came from the resource; of the newest version only."""
    stated = [{"code": "weight", "valueDecimal": 72.5}, {"code": "inactive", "valueBoolean": True}]
    group = {**DIAGNOSIS_TABLE["concept"][1], "code": "G", "property": stated}
    below = [{"code": f"G{n:04}", "display": f"分组中的疾病{n}"} for n in range(4000)]

    def table(below: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {**DIAGNOSIS_TABLE, "concept": [*DIAGNOSIS_TABLE["concept"], {**group, "concept": below}], **more}

    store = hub.hub.store

    def read() -> list[Any]:
        loaded = Terminology(store).code_system(DIAGNOSES)
        assert loaded is not None
        about = [loaded.properties, loaded.designations, loaded.definitions, loaded.inactive, loaded.abstract, loaded.children]
        found = [loaded.descendants(0), loaded.ancestors(4), loaded.find("k35.2"), loaded.texts.matching(["jibing3999"])]
        return [loaded.codes, loaded.displays, loaded.version, loaded.case_sensitive, *about, *found]

    for version in ("2.1", "2.2"):
        assert (await admin.post(table(below, version=version, status="draft"), "/fhir/CodeSystem")).status_code == 201
    assert (await admin.put(table(below))).status_code == 201
    first, keeper = read(), Keeper(store)
    keeper.look()
    assert len(store.items(READY)) == 3
    assert read() == first
    assert (await admin.put(table(below[1:]))).status_code == 200
    assert len(Terminology(store).descendants(DIAGNOSES, "G")) == len(below), "what was made ready of another version is not taken"
    keeper.look()
    assert len(Terminology(store).descendants(DIAGNOSES, "G")) == len(below)
    await admin.delete("/fhir/CodeSystem/icd-10")
    keeper.look()
    assert len(store.items(READY)) == 2
    assert {place.partition("#")[0] for place, _ in store.items(BLOCKS)} == {mark for mark, _ in store.items(READY)}


async def test_a_county_s_own_table_takes_the_place_of_the_shipped_one(hub: Served) -> None:
    folder = hub.hub.data / "county"
    (folder / "code_systems").mkdir(parents=True)
    gender = '{"resourceType":"CodeSystem","url":"urn:oid:2.16.156.10011.2.3.3.4","version":"county","concept":[{"code":"7"}]}'
    (folder / "code_systems" / "gender.json").write_text(gender, "utf-8")
    terminology = Terminology(hub.hub.store)
    terminology.look_beside(folder)
    own = terminology.code_system("urn:oid:2.16.156.10011.2.3.3.4")
    assert own is not None
    assert (own.version, own.codes) == ("county", ["7"])


async def test_what_the_server_says_of_its_terminology_is_a_valid_resource(hub: Served, admin: Client) -> None:
    await loaded(admin)
    said = terminology_capabilities(hub.hub.terminology, "http://hub/fhir", "示范县", hub.hub.clock())
    assert not validate(said)
    urls = [system["uri"] for system in said["codeSystem"]]
    assert DIAGNOSES in urls
    assert "http://hl7.org/fhir/administrative-gender" in urls
    assert all(before <= after for before, after in pairwise(urls))


def test_what_is_kept_stays_within_its_bound() -> None:
    kept: Kept[str, str] = Kept(10)
    for name in "abc":
        kept.put(name, name, size=4)
    assert [kept.get(name) for name in "abc"] == [None, ("b",), ("c",)]
    kept.get("b")
    kept.put("d", "d", size=4)
    assert kept.get("c") is None, "the one used longest ago goes"
    kept.put("e", "e", size=99)
    assert (kept.get("d"), kept.get("e")) == (None, ("e",))


async def test_every_value_set_of_the_standard_is_expanded_or_says_what_it_lacks(hub: Served) -> None:
    """What is not loaded belongs to others: SNOMED CT, LOINC as a whole, countries, genes. Nothing of HL7's own is missing."""
    terminology = hub.hub.terminology
    empty, lacking = [], set()
    for url, _ in standard().listed("ValueSet"):
        expansion = terminology.value_set(url)
        assert expansion is not None
        lacking.update(expansion.unknown(""))
        if not len(expansion) and not expansion.unknown(""):
            empty.append(url)
    own = {url for url in lacking if url.startswith(("http://hl7.org/fhir/", "http://terminology.hl7.org/"))}
    assert len(lacking) < 60
    assert len(empty) < 10, empty
    assert own <= NOT_IN_THE_PACKAGE, sorted(own - NOT_IN_THE_PACKAGE)
