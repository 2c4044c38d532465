"""What the tests of clinical documents share: a record of bytes, and what to ask of the resources that come of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from lxml import etree

from connectors.base import SourceRecord
from hub.fhir_json import dump
from mappers.base import Mapped, MappingContext
from mappers.cda import map_document
from profiles.validation import validate

GOLDEN = Path(__file__).parents[2] / "golden" / "cda"
NOON = datetime(2024, 5, 6, 12, 0, tzinfo=UTC)
V3 = "{urn:hl7-org:v3}"
COUNTED = {"observation", "procedure", "substanceAdministration", "act", "supply", "encounter", "organizer", "observationMedia"}
DATA_ELEMENT = re.compile(r"(DE|HDSD)\d\d\.\d\d\.\d{3}(\.\d+)?")


def record(content: bytes, **more: Any) -> SourceRecord:
    return SourceRecord("cty-emr", "CTY", "cda", "a.xml#1", content, NOON, **more)


def mapped(content: bytes, *, explain: bool = False) -> Mapped:
    return map_document(record(content), MappingContext(explain=explain))


def of_type(result: Mapped, resource_type: str) -> list[dict[str, Any]]:
    return [resource for resource in result.resources if resource["resourceType"] == resource_type]


def the(result: Mapped, resource_type: str) -> dict[str, Any]:
    (found,) = of_type(result, resource_type)
    return found


def told(result: Mapped, code: str) -> set[str]:
    return {issue.where for issue in result.issues if issue.code == code}


def valid(result: Mapped, *, model: bool = True) -> None:
    """By the public model and by the hub's own validator, invariants and required codes included."""
    for resource in result.resources:
        if model:  # slower than all else here
            get_fhir_model_class(resource["resourceType"]).model_validate_json(dump(resource))
        faults = validate(resource)
        assert not faults, (resource["resourceType"], faults)
    keys = [(resource["resourceType"], resource["id"]) for resource in result.resources]
    assert len(keys) == len(set(keys)), "no resource is stated twice"


def _name(element: etree._Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def parts(content: bytes) -> int:
    """How many parts a document has, counted without the mapper."""
    root = etree.fromstring(content)
    header = [e for e in root if _name(e) not in ("", "recordTarget", "component")]
    role = root.find(f"{V3}recordTarget/{V3}patientRole")
    person = None if role is None else role.find(f"{V3}patient")
    sides = [e for holder in (role, person) if holder is not None for e in holder if _name(e) not in ("", "patient")]
    body = root.find(f"{V3}component")
    inside = [] if body is None else list(body.iter())
    sections = [e for e in inside if _name(e) in ("section", "nonXMLBody")]
    coded = [
        e
        for e in inside
        if _name(e) == "playingEntity"
        and DATA_ELEMENT.fullmatch(
            e.find(f"{V3}code").get("code") if e.find(f"{V3}code") is not None and e.find(f"{V3}code").get("code") else ""
        )
    ]
    statements = [e for e in inside if _name(e) in COUNTED]
    return len(header) + len(sides) + len(sections) + len(statements) + len(coded)


def words(content: bytes) -> set[str]:
    """What the entries of a document say: the words and codes' names of their values."""
    root = etree.fromstring(content)
    values = [value for observation in root.iter(f"{V3}observation") for value in observation.findall(f"{V3}value")]
    return {
        text.strip()
        for value in values
        for text in (value.text, value.get("displayName"), value.get("value"))
        if text and text.strip()
    }
