"""A resource of another FHIR R4 server → ours: under an id of its facility, its references along with it.

| There | Here |
|---|---|
| id | the hash of type, facility, server and id: two servers may both have a Patient/1 |
| meta.versionId, lastUpdated | meta.source names server, id and version; lastUpdated orders what is stated |
| meta.source | tag `urn:hub:origin-source`, where it is a code; else left out and named |
| meta.tag of a hub's own | tag `urn:hub:origin-facility` |
| a reference to the server itself, relative or absolute | the same rule as for id; contained and elsewhere stay |
| a deletion | a deletion |

A resource is taken as it is otherwise: no code is changed, and what R4 does not allow is told by the hub's own check.
https://hl7.org/fhir/R4/references.html#literal
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from connectors.base import SourceRecord
from mappers.base import CannotMap, Change, Issue, Line, Mapped, MappingContext, Resource
from mappers.datatypes import instant
from mappers.identity_keys import resource_id
from profiles.names import FACILITY_TAG, GOLDEN, HUB_TAG

ORIGIN_SOURCE, ORIGIN_FACILITY = "urn:hub:origin-source", "urn:hub:origin-facility"
DEEPEST = 64
LITERAL = re.compile(r"(?P<type>[A-Z][A-Za-z]{1,63})/(?P<id>[A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?", re.ASCII)
ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
CODE = re.compile(r"[^\s]+(\s[^\s]+)*")

# What a server holds for itself, and what says how a hub works: no facility's data
NOT_TAKEN = frozenset({
    "AuditEvent", "Subscription", "Bundle", "Parameters", "OperationOutcome", "CapabilityStatement", "TerminologyCapabilities",
    "SearchParameter", "StructureDefinition", "StructureMap", "OperationDefinition", "CompartmentDefinition", "ImplementationGuide",
    "GraphDefinition", "MessageDefinition", "MessageHeader", "ExampleScenario", "TestScript", "TestReport", "NamingSystem",
    "CodeSystem", "ValueSet", "ConceptMap",
})  # fmt: skip
_JSON = msgspec.json.Decoder(float_hook=Decimal)


@dataclass
class Origin:
    """Whose resource it is, and what was found while it was read."""

    facility: str
    server: str
    base: str
    binaries: bool
    issues: list[Issue] = field(default_factory=list)

    def id_of(self, type: str, id: str) -> str:
        return resource_id(type, self.facility, "fhir", self.server, id)

    def reference(self, text: str) -> str:
        """A literal reference to the server itself as one to us; any other as it is."""
        match = LITERAL.fullmatch(text.removeprefix(self.base))
        return f"{match['type']}/{self.id_of(match['type'], match['id'])}" if match else text


def map_resource(record: SourceRecord, context: MappingContext) -> Mapped:
    """Raise CannotMap for what is no resource, and for one of a type that is not taken."""
    _, _, sub = record.kind.partition("/")
    stated = _decoded(record.content)
    hints = record.hints
    origin = Origin(
        facility=record.facility or "unknown",
        server=hints.get("server", record.source),
        base=hints.get("base", ""),
        binaries=hints.get("binaries") == "1",
    )
    return _deletion(record, origin) if sub == "deleted" else _taken(stated, record, origin, context)


def _decoded(content: bytes) -> dict[str, Any]:
    """Decimals keep their digits."""
    try:
        found = _JSON.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise CannotMap("the content is no JSON") from None
    if not isinstance(found, dict):
        raise CannotMap("the content is no JSON object")
    return found


def _deletion(record: SourceRecord, origin: Origin) -> Mapped:
    type, _, rest = record.key.partition("/")
    id = rest.partition("/")[0]
    _check(type, id)
    change = Change({"resourceType": type, "id": origin.id_of(type, id)}, "delete")
    return Mapped((change,), changed_at=record.changed_at, ledger={"mapped": 1}, lines=(Line("deletion", "mapped", f"{type}.id"),))


def _check(type: str, id: str) -> None:
    if type in NOT_TAKEN:
        raise CannotMap(f"{type} is not taken from another server: it is no record of a facility")
    if not re.fullmatch(r"[A-Z][A-Za-z]{1,63}", type) or not ID.fullmatch(id):
        raise CannotMap("the content has no resourceType and id of FHIR R4")


def _taken(stated: dict[str, Any], record: SourceRecord, origin: Origin, context: MappingContext) -> Mapped:
    type, id = str(stated.get("resourceType", "")), str(stated.get("id", ""))
    _check(type, id)
    raw_meta = stated.get("meta")
    meta: dict[str, Any] = raw_meta if isinstance(raw_meta, dict) else {}
    if _golden(meta):
        note = Issue(
            "unsupported", "Patient", "the other hub's own Patient of a person: its facilities' Patients are taken", "information"
        )
        return Mapped((), (note,), changed_at=_changed_at(meta, record), ledger={"kept": 1}, lines=(Line("Patient", "kept"),))
    resource: Resource = {"resourceType": type, "id": origin.id_of(type, id), "meta": _meta(meta, f"{type}/{id}", origin)}
    for name, value in stated.items():
        if name not in ("resourceType", "id", "meta"):
            resource[name] = _moved(value, origin, 0)
    names = [name for name in stated if name != "resourceType"]
    lines = tuple(Line(f"{type}.{name}", "mapped", f"{type}.{name}") for name in names) if context.explain else ()
    return Mapped(
        (Change(resource),),
        tuple(origin.issues),
        changed_at=_changed_at(meta, record),
        ledger={"mapped": len(names)},
        lines=lines,
    )


def _changed_at(meta: Mapping[str, Any], record: SourceRecord) -> datetime | None:
    return instant(str(meta.get("lastUpdated", "")), "+00:00") or record.changed_at


def _meta(meta: Mapping[str, Any], name: str, origin: Origin) -> dict[str, Any]:
    """Profiles and security labels stay; tags of a hub's own become marks of where it came from."""
    version = str(meta.get("versionId", ""))
    made: dict[str, Any] = {"source": f"{origin.base}{name}" + (f"/_history/{version}" if ID.fullmatch(version) else "")}
    made |= {part: meta[part] for part in ("profile", "security") if meta.get(part)}
    tags = [moved for tag in meta.get("tag", ()) if isinstance(tag, dict) and (moved := _tag(tag)) is not None]
    if source := meta.get("source"):
        if isinstance(source, str) and CODE.fullmatch(source):
            tags.append({"system": ORIGIN_SOURCE, "code": source})
        else:
            origin.issues.append(Issue("invalid-value", "meta.source", "no URI"))
    return made | ({"tag": tags} if tags else {})


def _golden(meta: Mapping[str, Any]) -> bool:
    tags = (tag for tag in meta.get("tag", ()) if isinstance(tag, dict))
    return any(tag.get("system") == HUB_TAG and tag.get("code") == GOLDEN for tag in tags)


def _tag(tag: dict[str, Any]) -> dict[str, Any] | None:
    if tag.get("system") == FACILITY_TAG:
        return {**tag, "system": ORIGIN_FACILITY}
    return None if tag.get("system") == HUB_TAG else tag


def _moved(value: Any, origin: Origin, depth: int) -> Any:
    if depth > DEEPEST:
        raise CannotMap(f"the resource is nested deeper than {DEEPEST} levels")
    if isinstance(value, list):
        return [_moved(each, origin, depth + 1) for each in value]
    if not isinstance(value, dict):
        return value
    made = {name: _moved(each, origin, depth + 1) for name, each in value.items()}
    if isinstance(reference := made.get("reference"), str):
        made["reference"] = origin.reference(reference)
    if isinstance(url := made.get("url"), str) and "resourceType" not in made and _of_binary(url, origin):
        made["url"] = origin.reference(url) if origin.binaries else f"{origin.base}{url.removeprefix(origin.base)}"
    return made


def _of_binary(url: str, origin: Origin) -> bool:
    match = LITERAL.fullmatch(url.removeprefix(origin.base))
    return match is not None and match["type"] == "Binary"
