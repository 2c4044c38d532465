"""Records as a connector hands them over, and what the mapper is given beside them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fhir.resources.R4B import get_fhir_model_class

from connectors.base import SourceRecord
from hub import fhir_json
from hub.ingest.settle import Origin, settle
from mappers.base import Mapped, MappingContext
from mappers.hl7v2 import map_message
from profiles.validation import validate
from tests.samples import FOLDER

RECEIVED_LATER = datetime(2026, 12, 31, tzinfo=UTC)
RECEIVED = datetime(2024, 5, 1, 0, 0, tzinfo=UTC)
HERE = Path(__file__).resolve()
SAMPLES = FOLDER / "hl7v2"


def a_record(content: bytes | str, facility: str = "CTY", **hints: str) -> SourceRecord:
    if isinstance(content, str):
        content = content.encode()
    return SourceRecord("cty-lis", facility, "hl7v2", "1", content, RECEIVED, hints=hints)


def mapped(content: bytes | str, facility: str = "CTY", context: MappingContext | None = None) -> Mapped:
    return map_message(a_record(content, facility), context or MappingContext())


def only(result: Mapped, resource_type: str) -> dict:
    (found,) = of_type(result, resource_type)
    return found


def of_type(result: Mapped, resource_type: str) -> list[dict]:
    """Resources as a store would hold them: what several changes of the message say of one is one."""
    whole: dict[str, dict] = {}
    for change in sorted(result.changes, key=lambda change: change.mode == "patch"):
        if change.resource["resourceType"] == resource_type:
            whole.setdefault(change.resource["id"], {}).update(change.resource)
    return [{name: value for name, value in resource.items() if value is not None} for resource in whole.values()]


def check_r4(result: Mapped) -> None:
    """Every resource, as a store would hold it, has the structure of R4."""
    for resource_type in {change.resource["resourceType"] for change in result.changes}:
        for resource in of_type(result, resource_type):
            get_fhir_model_class(resource_type).model_validate(json.loads(fhir_json.dump(resource)))


def stored(*results: Mapped, numbers: Sequence[int] = ()) -> dict[tuple[str, str], dict]:
    """What the store holds after these results, each valid R4; `numbers`: which records they are, where one comes twice."""
    state: dict[tuple[str, str], tuple[dict | None, dict]] = {}
    for number, done in zip(numbers or range(len(results)), results, strict=True):
        origin = Origin.of(done.changed_at, RECEIVED_LATER, f"{number:016d}")
        for change in done.changes:
            assert change.mode in {"replace", "patch", "fill"}
            key = (change.resource["resourceType"], change.resource["id"])
            settled = settle(*state.get(key, (None, {})), change.resource, change.mode, origin)
            state[key] = (settled.resource, settled.stamps)
    found = {key: resource for key, (resource, _) in state.items() if resource}
    for resource in found.values():
        assert validate(resource) == (), resource
    return found


@pytest.fixture(scope="session")
def samples() -> Path:
    if not SAMPLES.is_dir():
        pytest.skip(f"the public sample messages are not here: set YITONG_SAMPLES ({SAMPLES})")
    return SAMPLES
