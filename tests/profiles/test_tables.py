"""The small tables of the country: each is right FHIR, says where it comes from, and no digit passes for one of another table."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from hub.terminology.concepts import CodeSystem
from hub.terminology.sources import Canonical, Files, standard
from mappers.cda.catalogue import document_types
from profiles.catalogue import SHIPPED
from profiles.validation import validate

FOLDERS = ("code_systems", "value_sets", "concept_maps")
TABLES = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted((SHIPPED / "code_systems").glob("*.json"))}
MAPS = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted((SHIPPED / "concept_maps").glob("*.json"))}
SPECIALS = {"cty-item", "tcm-item", "twp-item", "lab-panels"}  # of a demonstration laboratory; of LOINC, not shipped
FILES = Files()


def read(url: str, version: str = "") -> CodeSystem | None:
    found = standard().find("CodeSystem", Canonical(url, version)) or FILES.find("CodeSystem", Canonical(url, version))
    return CodeSystem.read(found.body) if found is not None else None


def mapped(name: str) -> Iterator[tuple[dict, dict, dict]]:
    for group in MAPS[name]["group"]:
        for element in group["element"]:
            for target in element["target"]:
                yield group, element, target


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_definition_is_right_and_named_once(folder):
    names = set()
    for path in sorted((SHIPPED / folder).glob("*.json")):
        resource = json.loads(path.read_text("utf-8"))
        assert [issue.message for issue in validate(resource)] == [], path.name
        assert resource["id"] == f"hub-{path.stem}"
        names.add((resource["url"], resource["version"]))
    assert len(names) == len(list((SHIPPED / folder).glob("*.json")))


def test_every_table_says_its_number_its_edition_and_its_source_and_has_a_value_set():
    for name, table in TABLES.items():
        assert table["version"], name
        assert table["publisher"], name
        assert table["description"].startswith("来源:"), name
        assert len(CodeSystem.of(table)) == table["count"], name
        if table["url"].startswith("urn:oid:"):
            assert table["identifier"] == [{"system": "urn:ietf:rfc:3986", "value": table["url"]}]
        made = json.loads((SHIPPED / "value_sets" / f"{name}.json").read_text("utf-8"))
        assert made["url"] == table["valueSet"]
        assert made["compose"]["include"] == [{"system": table["url"], "version": table["version"]}]


def test_a_map_speaks_of_every_code_of_its_table_and_of_codes_that_are_there():
    for name in MAPS.keys() - SPECIALS:
        spoken = set()
        for group, element, target in mapped(name):
            source, there = read(group["source"], group["sourceVersion"]), read(group["target"], group.get("targetVersion", ""))
            assert source is not None
            number = source.find(element["code"])
            assert number is not None, (name, element["code"])
            assert source.displays[number] == element["display"], (name, element["code"])
            spoken.add(element["code"])
            if there is not None and target["equivalence"] != "unmatched":
                at = there.find(target["code"])
                assert at is not None, (name, target["code"])
                assert there.displays[at] == target["display"], (name, target["code"])
        assert source is not None
        assert spoken == set(source.codes), name


SAME_DIGIT = (  # (table, version, code, what it means there): the same code beside it means something else
    ("urn:oid:2.16.156.10011.2.3.1.1", "WS/T 364-2023", "08", "临时居民身份证"),
    ("urn:oid:2.16.156.10011.2.3.1.1", "WS 364-2011", "08", ""),
    ("urn:hub:cn:hb2024:id-type", "", "08", "居民健康卡"),
    ("urn:hub:cn:bs:id-type", "", "08", "儿童出生证"),
    ("urn:oid:2.16.156.10011.2.3.1.270", "", "1", "门诊"),
    ("urn:hub:cn:yb:adm_way", "", "1", "急诊"),
    ("urn:hub:cn:cq:hospital-grade", "", "2", "三级甲等"),
    ("urn:hub:cn:cn-core:hospital-grade", "", "2", "一级乙等"),
    ("urn:oid:2.16.156.10011.2.3.1.250", "", "1", "Rh阴性"),
    ("urn:hub:cn:bs:rh", "", "1", "Rh阳性"),
    ("urn:oid:2.16.156.10011.2.3.1.85", "", "3", "O型"),
    ("urn:hub:cn:abo-ab3", "", "3", "AB型"),
    ("urn:oid:2.16.156.10011.2.3.1.256", "", "2", "Ⅰ类切口"),
    ("urn:hub:cn:marital-status-1", "", "3", "丧偶"),
    ("urn:oid:2.16.156.10011.2.3.3.5", "", "3", ""),
)


@pytest.mark.parametrize(("url", "version", "code", "means"), SAME_DIGIT)
def test_a_digit_means_what_its_own_table_says(url, version, code, means):
    table = read(url, version)
    assert table is not None
    number = table.find(code)
    assert (table.displays[number] if number is not None else "") == means


def test_without_a_version_the_edition_in_force_answers():
    table = read("urn:oid:2.16.156.10011.2.3.1.1")
    assert table is not None
    assert table.version == "WS/T 364-2023"


def test_the_document_types_are_those_that_documents_are_read_by():
    stated = {c["code"]: c["display"] for name in ("document-type", "health-record-document-type") for c in TABLES[name]["concept"]}
    assert stated == {code: each.name for code, each in document_types().items()}
