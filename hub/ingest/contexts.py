"""What a channel of county.toml says of its facility's habits → the MappingContext that its mapper gets.

ConceptMaps are FHIR JSON, beside county.toml or in profiles/cn/concept_maps. https://hl7.org/fhir/R4/conceptmap.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from hub.errors import Invalid
from hub.fhir_json import BadJson, parse
from hub.settings import Channel
from mappers.base import MappingContext

Coding = Mapping[str, str]
NO_TRANSLATION = frozenset({"unmatched", "disjoint"})  # ConceptMap target equivalences that are none


def context_of(channel: Channel, beside: Path | None) -> MappingContext:
    """Raise Invalid naming the channel and the map that is not there or cannot be read."""
    maps: dict[tuple[str, str], tuple[Coding, ...]] = {}
    for name in channel.maps:
        found = list(_files(name, beside))
        if not found:
            raise Invalid(f"channel {channel.name}: maps: no ConceptMap or folder {name!r}; shipped: {', '.join(_shipped())}")
        for label, text in found:
            _add(maps, _concept_map(channel, label, text))
    return MappingContext(zone=channel.zone, charset=channel.charset, concept_maps=maps)


def translations(concept_map: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Coding]]:
    """(source system, source code) → coding, for every element that has a target."""
    for group in concept_map.get("group", ()):
        for element in group.get("element", ()):
            for target in element.get("target", ()):
                if target.get("code") and target.get("equivalence") not in NO_TRANSLATION:
                    coding = {"system": group.get("target", ""), "code": target["code"], "display": target.get("display", "")}
                    yield (group.get("source", ""), element["code"]), {name: value for name, value in coding.items() if value}


def _add(maps: dict[tuple[str, str], tuple[Coding, ...]], concept_map: Mapping[str, Any]) -> None:
    for key, coding in translations(concept_map):
        if coding not in maps.get(key, ()):
            maps[key] = (*maps.get(key, ()), coding)


def _concept_map(channel: Channel, label: str, text: bytes) -> Mapping[str, Any]:
    try:
        concept_map = parse(text)
    except BadJson as error:
        raise Invalid(f"channel {channel.name}: maps: {label}: {error.message}") from None
    if concept_map.get("resourceType") != "ConceptMap":
        raise Invalid(f"channel {channel.name}: maps: {label} is no ConceptMap")
    return concept_map


def _files(name: str, beside: Path | None) -> Iterator[tuple[str, bytes]]:
    """Beside county.toml first: a county may replace what is shipped."""
    if beside is not None:
        path = beside / name
        candidates: Iterable[Path] = sorted(path.glob("*.json")) if path.is_dir() else (path, path.with_name(f"{path.name}.json"))
        own = [candidate for candidate in candidates if candidate.is_file()]
        yield from ((str(file), file.read_bytes()) for file in own)
        if own:
            return
    shipped = resources.files("profiles.cn").joinpath("concept_maps", f"{Path(name).name.removesuffix('.json')}.json")
    if shipped.is_file():
        yield name, shipped.read_bytes()


def _shipped() -> list[str]:
    folder = resources.files("profiles.cn").joinpath("concept_maps")
    return (
        sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json"))
        if folder.is_dir()
        else []
    )
