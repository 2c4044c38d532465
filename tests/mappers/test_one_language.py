"""What several mappers say of the same thing they say in the same way: read over every golden file."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def extensions(found: Any) -> Iterator[dict[str, Any]]:
    """Extensions of resources and elements; what is nested in one is its own affair."""
    if isinstance(found, list):
        for each in found:
            yield from extensions(each)
    elif isinstance(found, dict):
        for name, each in found.items():
            if name == "extension":
                yield from each
            else:
                yield from extensions(each)


def test_an_extension_has_one_type_of_value_whatever_mapper_writes_it() -> None:
    kinds: dict[str, dict[str, str]] = defaultdict(dict)
    for file in sorted(GOLDEN.rglob("*expected.json")):
        for extension in extensions(json.loads(file.read_text("utf-8"))):
            for name in extension:
                if name.startswith("value"):
                    kinds[extension["url"]].setdefault(name, file.name)
    assert len(kinds) > 20
    assert {url: found for url, found in kinds.items() if len(found) > 1} == {}
