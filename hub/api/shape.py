"""Parts of a resource on demand: _summary and _elements. https://hl7.org/fhir/R4/search.html#summary"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hub import fhir_json
from hub.errors import Invalid
from hub.store.port import Version
from profiles.validate import mandatory_elements, summary_elements

SUMMARIES = frozenset({"true", "text", "data", "count", "false"})
ALWAYS = frozenset({"resourceType", "id", "meta", "implicitRules"})
SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}


@dataclass(frozen=True, slots=True)
class Shape:
    summary: str = "false"
    elements: frozenset[str] = frozenset()

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Shape:
        """Raise Invalid for an unknown summary, or both at once."""
        summary = parameters.get("_summary", "false")
        if summary not in SUMMARIES:
            raise Invalid("_summary is one of true, text, data, count, false")
        elements = frozenset(filter(None, (e.strip() for e in parameters.get("_elements", "").split(","))))
        if elements and summary != "false":
            raise Invalid("_summary and _elements exclude one another")
        return cls(summary, frozenset(e.rpartition(".")[2] for e in elements))

    @property
    def whole(self) -> bool:
        return self.summary in ("false", "count") and not self.elements

    def body(self, version: Version) -> bytes:
        """The asked part, marked as one; the stored bytes when all of it is asked."""
        return version.body if self.whole else fhir_json.dump(self._part(fhir_json.load(version.body)))

    def _part(self, resource: dict[str, Any]) -> dict[str, Any]:
        kind = resource["resourceType"]
        if self.summary == "data":
            part = {name: value for name, value in resource.items() if name != "text"}
        else:
            wanted = ALWAYS | mandatory_elements(kind) | self._wanted(kind)
            part = {name: value for name, value in resource.items() if name.removeprefix("_") in wanted}
        meta = part.get("meta", {})
        part["meta"] = {**meta, "tag": [*meta.get("tag", []), SUBSETTED]}
        return part

    def _wanted(self, kind: str) -> frozenset[str]:
        if self.elements:
            return self.elements
        return frozenset({"text"}) if self.summary == "text" else summary_elements(kind)


WHOLE = Shape()
