"""Where a code stands → the value set that is bound there, for `$expand?context=` and `$validate-code`.

`Patient.gender`, `http://hl7.org/fhir/StructureDefinition/Patient#Patient.gender`, or an element of a profile in the store. Of R4
itself the required bindings are known. https://hl7.org/fhir/R4/valueset-operation-expand.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from hub.errors import NotFound
from profiles.structures import members

CORE = "http://hl7.org/fhir/StructureDefinition/"
Resource = dict[str, Any]


def bound(context: str, definition: Callable[[str], Resource | None]) -> str:
    """The canonical of the value set. `definition`: finds a StructureDefinition by its URL. Raise NotFound."""
    url, _, path = context.rpartition("#")
    stated = definition(url) if url else None
    found = _of_profile(stated, path) if stated is not None else ""
    if not found and url.startswith(CORE) and url.removeprefix(CORE) == path.partition(".")[0]:
        url = ""
    found = found or ("" if url else _of_type(path))
    if not found:
        raise NotFound("no value set is known to be bound there: a context is Type.element, or profile#Type.element")
    return found


def _of_profile(definition: Resource, path: str) -> str:
    for view in ("differential", "snapshot"):
        for element in (definition.get(view) or {}).get("element") or ():
            if path in (element.get("id"), element.get("path")) and (element.get("binding") or {}).get("valueSet"):
                return str(element["binding"]["valueSet"])
    return ""


def _of_type(path: str) -> str:
    """Patient.name.use is bound where HumanName.use is."""
    type, *names = path.split(".")
    found = ""
    for name in names:
        member = members(type).get(name)
        if member is None:
            return ""
        found, type = _required().get(f"{type}.{name}", ""), member.type
    return found


@cache
def _required() -> Mapping[str, str]:
    return msgspec.json.decode((files("profiles.r4") / "bindings.json").read_bytes(), type=dict[str, str])
