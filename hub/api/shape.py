"""Parts of a resource on demand: _summary and _elements. https://hl7.org/fhir/R4/search.html#summary

What belongs to a summary says each definition (isSummary), down to the parts of data types: an Attachment without its data.
Elements that a resource must have stay, so that what goes out is valid; SUBSETTED says that it is not the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hub import fhir_json
from hub.errors import HubError, Invalid, Kind
from hub.store.port import Version
from profiles.structures import Member, members

SUMMARIES = frozenset({"true", "text", "data", "count", "false"})
ALWAYS = frozenset({"resourceType", "id", "meta", "implicitRules"})
SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
INCLUDES = ("_include", "_revinclude")


def check_whole(resource: Mapping[str, Any]) -> None:
    """https://hl7.org/fhir/R4/http.html#update: what bears the tag would overwrite what was left out of it. Raise HubError."""
    tags = (resource.get("meta") or {}).get("tag") or ()
    if any(all(tag.get(name) == value for name, value in SUBSETTED.items()) for tag in tags if isinstance(tag, dict)):
        said = "the tag SUBSETTED says that this is a part of the resource: an update needs the whole"
        raise HubError(said, kind=Kind.BUSINESS_RULE, expression=(f"{resource['resourceType']}.meta.tag",))


@dataclass(frozen=True, slots=True)
class Shape:
    summary: str = "false"
    elements: frozenset[str] = frozenset()  # `name` of every type, or `Patient.name`

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Shape:
        """Raise Invalid for an unknown summary, or for two that exclude one another."""
        summary = parameters.get("_summary", "false")
        if summary not in SUMMARIES:
            raise Invalid("_summary is one of true, text, data, count, false", expression=("_summary",))
        elements = frozenset(filter(None, (e.strip() for e in parameters.get("_elements", "").split(","))))
        if elements and summary != "false":
            raise Invalid("_summary and _elements exclude one another", expression=("_summary", "_elements"))
        if summary == "text" and any(name.partition(":")[0] in INCLUDES for name in parameters):
            raise Invalid("_summary=text cannot be mixed with _include or _revinclude", expression=("_summary",))
        return cls(summary, elements)

    @property
    def whole(self) -> bool:
        return self.summary in ("false", "count") and not self.elements

    def body(self, version: Version) -> bytes:
        """The asked part, marked as one; the stored bytes when all of it is asked."""
        return self.part(version.type, version.body)

    def part(self, kind: str, body: bytes) -> bytes:
        if self.whole or (self.elements and not self._of(kind)):
            return body
        return fhir_json.dump(self._part(fhir_json.load(body)))

    def _of(self, kind: str) -> frozenset[str]:
        """Names of top-level elements that are asked of this type."""
        parts = (element.split(".") for element in self.elements)
        return frozenset(names[1] if names[0] == kind and len(names) > 1 else names[0] for names in parts if _concerns(names, kind))

    def _part(self, resource: dict[str, Any]) -> dict[str, Any]:
        kind = resource["resourceType"]
        if self.summary == "data":
            part = {name: value for name, value in resource.items() if name != "text"}
        elif self.summary == "true":
            part = _summarised(resource, kind)
        else:
            wanted = frozenset({"text"}) if self.summary == "text" else self._of(kind)
            part = _kept(resource, kind, lambda member: member.required or member.element in wanted or member.name in wanted)
        meta = part.get("meta", {})
        part["meta"] = {**meta, "tag": [*meta.get("tag", []), SUBSETTED]}
        return part


def _concerns(names: list[str], kind: str) -> bool:
    """`Patient.name` asks nothing of an Observation."""
    return not names[0][:1].isupper() or names[0] == kind


def _kept(value: dict[str, Any], kind: str, wanted: Callable[[Member], bool]) -> dict[str, Any]:
    known = members(kind)
    return {
        name: content
        for name, content in value.items()
        if name in ALWAYS or ((member := known.get(name.removeprefix("_"))) is not None and wanted(member))
    }


def _summarised(value: dict[str, Any], kind: str) -> dict[str, Any]:
    known = members(kind)
    kept = _kept(value, kind, lambda member: member.summary or member.required)
    return {name: _inner(content, known[name].type) if name in known else content for name, content in kept.items()}


def _inner(content: Any, kind: str) -> Any:
    """A data type by its own marks; one whose parts bear none is kept whole."""
    if not any(member.summary for member in members(kind).values()):
        return content
    if isinstance(content, list):
        return [_inner(item, kind) for item in content]
    return _summarised(content, kind) if isinstance(content, dict) else content


WHOLE = Shape()
