"""A manifest of `$import`: files by their addresses → what is to be fetched.

    {"inputFormat": "application/fhir+ndjson", "inputSource": "https://his.county.example",
     "storageDetail": {"type": "https"}, "input": [{"type": "Patient", "url": "https://his.county.example/patients.ndjson"}]}

or the same in a Parameters resource. https://github.com/smart-on-fhir/bulk-import/blob/master/import-manifest.md
"""

from __future__ import annotations

from typing import Any

import msgspec

from hub.bulk.asked import FORMATS
from hub.errors import Invalid
from hub.search.parameters import published
from hub.security.egress import Egress

MOST_FILES = 100
MEMBERS = frozenset({"inputFormat", "inputSource", "storageDetail", "input"})
STORAGES = frozenset({"https", "http"})


class Input(msgspec.Struct, frozen=True):
    """One file: every resource in it is of the type."""

    type: str
    url: str

    @property
    def name(self) -> str:
        """Without what may be a secret of the address."""
        return self.url.partition("?")[0]


def inputs_of(sent: dict[str, Any], egress: Egress) -> tuple[Input, ...]:
    """Raise Invalid, or NotAllowedOut for an address from which nothing is fetched here."""
    manifest = _plain(sent) if sent.get("resourceType") == "Parameters" else sent
    if unknown := set(manifest) - MEMBERS:
        raise _refused(f"has no member {min(unknown)[:64]}")
    if str(manifest.get("inputFormat")) not in FORMATS:
        raise _refused("needs inputFormat application/fhir+ndjson", "inputFormat")
    _check_storage(manifest.get("storageDetail", {"type": "https"}))
    stated = manifest.get("input")
    if not isinstance(stated, list) or not 0 < len(stated) <= MOST_FILES:
        raise _refused(f"lists 1 to {MOST_FILES} files", "input")
    inputs = tuple(_input(each, number) for number, each in enumerate(stated))
    for each in inputs:
        egress.check(each.url)
    return inputs


def _input(stated: Any, number: int) -> Input:
    at = f"input[{number}]"
    if not isinstance(stated, dict) or set(stated) != {"type", "url"}:
        raise _refused("states the type and the url of each file, and nothing else", at)
    kind, url = stated["type"], stated["url"]
    if not isinstance(kind, str) or kind not in published().types:
        raise _refused("states a type that is no resource type", f"{at}.type")
    if not isinstance(url, str):
        raise _refused("states a url that is no text", f"{at}.url")
    return Input(kind, url)


def _check_storage(stated: Any) -> None:
    if not isinstance(stated, dict) or set(stated) != {"type"} or str(stated["type"]) not in STORAGES:
        raise _refused("is of files that can be had by https as they are: storageDetail is {type: https}", "storageDetail")


def _plain(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters → the members of a manifest; `input` repeats."""
    found: dict[str, Any] = {}
    for name, value in _pairs(parameters.get("parameter", [])):
        if name == "input":
            found.setdefault(name, []).append(value)
        elif name in found:
            raise _refused("states a parameter twice", name)
        else:
            found[name] = value
    return found


def _pairs(stated: Any) -> list[tuple[str, Any]]:
    if not isinstance(stated, list) or not all(isinstance(each, dict) for each in stated):
        raise Invalid("each parameter has a name, and a value or parts")
    return [(str(each.get("name", "")), _value(each)) for each in stated]


def _value(stated: dict[str, Any]) -> Any:
    if "part" in stated:
        return dict(_pairs(stated["part"]))
    return next((value for name, value in stated.items() if name.startswith("value")), None)


def _refused(what: str, *element: str) -> Invalid:
    return Invalid(f"a manifest {what}", expression=element)
