"""FHIR R4 definitions (npm package hl7.fhir.r4.examples 4.0.1, CC0) → terminology.zip: the standard's own terminology.

    python -m profiles.r4.derive_terminology PACKAGE_DIR

A member of the archive is one CodeSystem, ValueSet or ConceptMap without narrative and without the prose about it; `index.json`
lists them all. What repeats another owner's codes (SNOMED CT, LOINC beyond a few, DICOM) stays out: a county that has a licence
loads it.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from profiles.r4.derive import definitions

ARCHIVE = Path(__file__).parent / "terminology.zip"
PROSE = frozenset(
    {"text", "contact", "meta", "extension", "identifier", "useContext", "jurisdiction", "purpose", "description", "publisher"}
)
OWNERS = ("http://hl7.org/fhir/", "http://terminology.hl7.org/", "http://cds-hooks.hl7.org/")
LICENSED = ("http://snomed.info/sct", "http://dicom.nema.org/")
LOINC = "http://loinc.org"
FEW = 40  # LOINC codes that a value set of the standard may name
EPOCH = (2019, 11, 1, 0, 0, 0)  # R4's date: the same input gives the same bytes


def kept(definition: dict[str, Any]) -> bool:
    if not definition["url"].startswith(OWNERS) or definition.get("content") in ("not-present", "supplement"):
        return False
    listed = [i for i in definition.get("compose", {}).get("include", ()) if i.get("concept")]
    foreign = any(str(include.get("system", "")).startswith(LICENSED) for include in listed)
    foreign = foreign or any(g.get("target", "").startswith(LICENSED) for g in definition.get("group", ()))
    return not foreign and sum(len(i["concept"]) for i in listed if i.get("system") == LOINC) <= FEW


def slim(definition: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in definition.items() if name not in PROSE}


def members(package: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in ("CodeSystem", "ConceptMap", "ValueSet"):
        for definition in definitions(package, kind):
            if kept(definition):
                yield f"{kind}/{definition['id']}", slim(definition)


def main(package: Path) -> None:
    index = []
    with zipfile.ZipFile(ARCHIVE, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, definition in sorted(members(package)):
            text = json.dumps(definition, ensure_ascii=False, separators=(",", ":"))
            archive.writestr(zipfile.ZipInfo(name, EPOCH), text, zipfile.ZIP_DEFLATED, 9)
            index.append([name, definition["url"], definition.get("version", ""), definition.get("valueSet", "")])
        listed = json.dumps(index, separators=(",", ":"))
        archive.writestr(zipfile.ZipInfo("index.json", EPOCH), listed, zipfile.ZIP_DEFLATED, 9)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
