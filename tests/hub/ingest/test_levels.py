"""How strict a channel is: county.toml says it, a record's outcome shows it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.base import SourceRecord
from hub.errors import Invalid
from hub.ingest.contexts import context_of
from hub.ingest.mapping import MapperHere
from hub.settings import load_county
from mappers.base import Change, Mapped, MappingContext
from mappers.registry import MAPPERS
from tests.hub.ingest.messages import RECORD
from tests.hub.ingest.test_pipeline import House, house

__all__ = ["house"]

MAPPERS["levels"] = f"{__name__}:map_levels"
TOGETHER: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o",
    "status": "final",
    "code": {"text": "glucose"},
    "valueString": "5",
    "dataAbsentReason": {"text": "unknown"},
}


def map_levels(record: SourceRecord, context: MappingContext) -> Mapped:
    good = {"resourceType": "Basic", "id": "good", "code": {"text": "x"}}
    misshapen = {**TOGETHER, "id": "misshapen", "code": "glucose"}
    return Mapped(tuple(Change(resource) for resource in (good, TOGETHER, misshapen)))


def channel_of(folder: Path, text: str) -> MappingContext:
    path = folder / "county.toml"
    path.write_text(f'{text}\n[[channel]]\nname = "lis"\nconnector = "files"\n', "utf-8")
    county = load_county(path)
    return context_of(county.channels[0], folder, county.validation)


def test_a_channel_reports_unless_it_is_told_to_be_strict(tmp_path: Path) -> None:
    assert not channel_of(tmp_path, "").strict
    assert channel_of(tmp_path, '[validation]\nchannels = "strict"\n').strict
    with pytest.raises(Invalid, match="validation"):
        channel_of(tmp_path, '[validation]\nchannels = "off"\n')


@pytest.mark.parametrize(("strict", "kept"), [(False, {"Basic/good", "Observation/o"}), (True, {"Basic/good"})])
def test_a_broken_rule_is_told_or_left_out_and_a_wrong_structure_always_left_out(
    house: House, strict: bool, kept: set[str]
) -> None:
    record = replace(RECORD, kind="levels", content=b"x")
    house.mapper = MapperHere({record.source: MappingContext(strict=strict)}, house.blobs)
    house.journal(record)
    house.drain()
    outcome = house.store.outcome(1)
    assert outcome is not None
    assert {name for name in outcome.resources if not name.startswith("Organization")} == kept
    told = {(issue["where"], issue["severity"]) for issue in outcome.issues}
    assert told == {("Observation", "error" if strict else "warning"), ("Observation.code", "error")}
