"""A table that was read → a CodeSystem or a ConceptMap, with its edition, and the file that it was made from.

https://hl7.org/fhir/R4/codesystem.html  https://hl7.org/fhir/R4/conceptmap.html
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hub.errors import Invalid
from hub.search.folding import fold
from hub.terminology.importing.table import Concept, Pair, Table, properties_of

FILE_CHECKSUM = "urn:hub:sha256"  # identifier.system: SHA-256 of the file that a definition was made from
URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s|]{1,200}")
LONGEST_EDITION = 60
# What a relation is that the file does not state: the same name on both sides is the same, of any other only that they are related
SAME, RELATED, NONE = "equivalent", "relatedto", "unmatched"


@dataclass(frozen=True, slots=True)
class Naming:
    """Under which name a table is kept: what its kind and its file say, or what the importer does."""

    system: str
    edition: str
    title: str
    checksum: str
    file: str

    @property
    def id(self) -> str:
        """Each edition is a resource of its own; the same edition again is the same resource."""
        said = f"{self.system}|{self.edition}"
        plain = re.sub(r"[^A-Za-z0-9.-]+", "-", f"{self.system.rpartition(':')[2]}-{self.edition}").strip("-.")[:40]
        return f"{plain}-{hashlib.sha256(said.encode()).hexdigest()[:12]}"


def named(table: Table, *, checksum: str, file: str, system: str = "", edition: str = "", title: str = "") -> Naming:
    """Raise Invalid for what neither the file nor the importer says."""
    system, edition = system or table.kind.system, (edition or table.edition).strip()
    title = title or table.kind.title or file
    if not URI.fullmatch(system):
        raise Invalid("say --system: the URI of the code system, such as urn:hub:cn:icd10-gl")
    if not edition:
        raise Invalid("neither the file's name nor its title says which edition it is: say --edition, such as 2.0")
    if len(edition) > LONGEST_EDITION:
        raise Invalid(f"an edition has at most {LONGEST_EDITION} characters")
    return Naming(system, edition, title, checksum, file)


def code_system(table: Table, naming: Naming) -> dict[str, Any]:
    """Without a time: the same file again makes the same resource. Concepts that say the same share it: none is changed."""
    stated = {said: {"code": said[0], "valueString": said[1]} for said in table.said}
    properties = sorted({role for concept in table.concepts.values() for role, _ in properties_of(concept)})
    nested = any(concept.parent for concept in table.concepts.values())
    declared = [{"code": role, "type": "string", "description": table.columns.get(role, role)} for role in properties]
    parent = {"code": "parent", "uri": "http://hl7.org/fhir/concept-properties#parent", "type": "code"}
    abstract = {"code": "notSelectable", "uri": "http://hl7.org/fhir/concept-properties#notSelectable", "type": "boolean"}
    return {
        **_head("CodeSystem", table, naming),
        "caseSensitive": True,
        **({"hierarchyMeaning": "is-a"} if nested else {}),
        "content": "complete",
        "count": len(table.concepts),
        **({"property": [*declared, *([parent, abstract] if nested else [])]} if declared or nested else {}),
        "concept": [_concept(concept, stated) for concept in table.concepts.values()],
    }


def _head(type: str, table: Table, naming: Naming) -> dict[str, Any]:
    kind = table.kind
    left = f",{table.wrong} 行有误未收" if table.wrong else ""
    official = [{"system": "urn:ietf:rfc:3986", "value": naming.system}] if naming.system.startswith("urn:oid:") else []
    checksum = {"system": FILE_CHECKSUM, "value": naming.checksum}
    # https://hl7.org/fhir/R4/conceptmap.html: a map has one identifier, a code system several
    identifier: Any = checksum if type == "ConceptMap" else [*official, checksum]
    return {
        "resourceType": type,
        "id": naming.id,
        "language": "zh-CN",
        "url": f"urn:hub:map:{naming.id}" if type == "ConceptMap" else naming.system,
        "identifier": identifier,
        "version": naming.edition,
        "name": re.sub(r"[^A-Za-z0-9]", "_", f"Table_{kind.name}_{naming.edition}")[:200],
        "title": naming.title,
        **(_in_english(kind.title_en) if naming.title == kind.title and kind.title_en else {}),
        "status": "active",
        **({"publisher": kind.publisher} if kind.publisher else {}),
        "description": f"来源:文件 {naming.file},{table.rows} 行{left}。SHA-256 {naming.checksum}",
    }


def _in_english(title: str) -> dict[str, Any]:
    """https://hl7.org/fhir/R4/extension-translation.html"""
    parts = [{"url": "lang", "valueCode": "en"}, {"url": "content", "valueString": title}]
    return {"_title": {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/translation", "extension": parts}]}}


def _concept(concept: Concept, stated: Mapping[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {"code": concept.code, "display": concept.display}
    designations = [_designation(role, text) for role, text in concept.values if role in ("en", "synonym")]
    properties = [stated[said] for said in properties_of(concept)]
    if concept.parent:
        properties.append({"code": "parent", "valueCode": concept.parent})
    if not concept.line:
        properties.append({"code": "notSelectable", "valueBoolean": True})
    return made | {name: value for name, value in (("designation", designations), ("property", properties)) if value}


def _designation(role: str, text: str) -> dict[str, Any]:
    return {"language": "en" if role == "en" else "zh-CN", "value": text}


def concept_map(table: Table, naming: Naming) -> dict[str, Any]:
    kind = table.kind
    targets = Counter(source for source, _ in table.pairs)
    elements: dict[str, dict[str, Any]] = {}
    for pair in table.pairs.values():
        element = elements.setdefault(pair.source, _stated(code=pair.source, display=pair.source_name))
        element.setdefault("target", []).append(_target(pair, alone=targets[pair.source] == 1))
    group = _stated(source=naming.system, sourceVersion=kind.edition, target=kind.to, targetVersion=kind.to_edition)
    head = _head("ConceptMap", table, naming)
    return {**head, "sourceUri": naming.system, "targetUri": kind.to, "group": [{**group, "element": list(elements.values())}]}


def _target(pair: Pair, *, alone: bool) -> dict[str, Any]:
    if not pair.target:
        return {"equivalence": NONE}
    same = alone and pair.source_name and fold(pair.source_name) == fold(pair.target_name)
    return _stated(code=pair.target, display=pair.target_name, equivalence=SAME if same else RELATED)


def _stated(**values: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def definition(table: Table, naming: Naming) -> dict[str, Any]:
    return concept_map(table, naming) if table.kind.maps else code_system(table, naming)


def changes(table: Table, before: Iterator[tuple[str, str]]) -> tuple[list[str], list[str], list[str]]:
    """Codes that are new, that are called otherwise, and that are gone, against (code, display) of what was there."""
    here = {concept.code: concept.display for concept in table.concepts.values()}
    there = dict(before)
    new = [code for code in here if code not in there]
    renamed = [code for code, display in here.items() if code in there and there[code] != display]
    return new, renamed, [code for code in there if code not in here]
