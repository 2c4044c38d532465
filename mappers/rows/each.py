"""One `make` block with `each` → a block for every entry: a form of forty measured values is forty lines, not forty blocks.

    [[v_checkup.make]]
    resource = "Observation"
    suffix = "{column}"
    each = [ { column = "height", code = "8302-2", unit = "cm" }, { column = "weight", code = "29463-7", unit = "kg" } ]
    elements = [ { to = "valueQuantity", column = "{column}", as = "number", unit_text = "{unit}" }, … ]

`{name}` in any text of the block is what the entry says. An element that uses a name which the entry does not state is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from typing import Any

NAME = re.compile(r"\{([a-z_]+)\}")
LARGEST = 500  # entries of one block


def each_one(block: Any) -> list[Any]:
    """Raise ValueError saying what of `each` cannot be used."""
    if not isinstance(block, Mapping) or "each" not in block:
        return [block]
    entries = block["each"]
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, Mapping) for entry in entries):
        raise ValueError("each: write a list of tables, { column = … } a line")
    if len(entries) > LARGEST:
        raise ValueError(f"each: {len(entries)} entries; the limit is {LARGEST}")
    template = {key: value for key, value in block.items() if key != "each"}
    if not names_in([template.get("suffix"), template.get("key")]):
        raise ValueError('each: nothing tells its resources apart; write suffix = "{column}"')
    if unknown := names_in(template) - {name for entry in entries for name in entry}:
        raise ValueError(f"each: no entry states {', '.join(sorted(unknown))}")
    return [_filled(template, entry) for entry in entries]


def names_in(value: Any) -> Set[str]:
    if isinstance(value, str):
        return set(NAME.findall(value))
    if isinstance(value, Mapping):
        return {name for part in value.values() for name in names_in(part)}
    if isinstance(value, (list, tuple)):
        return {name for part in value for name in names_in(part)}
    return set()


def _filled(template: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    elements = template.get("elements", [])
    if isinstance(elements, list):
        elements = [element for element in elements if names_in(element) <= set(entry)]
    return {key: _put(value, entry) for key, value in {**template, "elements": elements}.items()}


def _put(value: Any, entry: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        whole = NAME.fullmatch(value)
        if whole:
            return entry.get(whole[1], "")  # a list or a number stays one
        return NAME.sub(lambda match: str(entry.get(match[1], "")), value)
    if isinstance(value, Mapping):
        return {key: _put(part, entry) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_put(part, entry) for part in value]
    return value
