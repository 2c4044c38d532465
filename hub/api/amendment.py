"""A patch as a function of the version it meets: the patched resource, valid, or the error that stands in the way.

What came of one version is remembered: it is worked out beside the event loop, and the one writer asks again only when somebody
else changed the resource in between.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from hub import fhir_json
from hub.api import patch_fhirpath, patch_json
from hub.api.patch_json import CannotPatch
from hub.errors import HubError, Invalid
from hub.store.port import Version

Resource = dict[str, Any]
Check = Callable[[Resource], Resource]


class Amendment:
    def __init__(self, change: Callable[[Resource], Any], check: Check) -> None:
        """`change` may alter the resource that it is given, and nothing else; `check` raises NotValid for what came of it."""
        self._change = change
        self._check = check
        self._made: dict[tuple[str, str, int], Resource | HubError] = {}

    def of(self, version: Version) -> Resource:
        """The resource that the patch makes of this version. Raise CannotPatch, NotValid."""
        name = (version.type, version.id, version.version)
        if name not in self._made:
            try:
                self._made[name] = self._patched(version)
            except HubError as error:
                self._made[name] = error
        made = self._made[name]
        if isinstance(made, HubError):
            raise made
        return made

    def _patched(self, version: Version) -> Resource:
        changed = self._change(fhir_json.parse(version.body))
        if not isinstance(changed, dict):
            raise CannotPatch("the patch leaves no resource")
        if changed.get("resourceType") != version.type or changed.get("id") != version.id:
            raise CannotPatch("a patch changes neither the type nor the id of a resource")
        return self._check(fhir_json.parse(fhir_json.dump(changed)))  # what may not come in from outside may not come of a patch


def by_json(body: bytes, check: Check) -> Amendment:
    """Raise Invalid, BadJson: no JSON Patch."""
    document = fhir_json.parse(b'{"patch":' + body + b"}")  # a patch is an array, and an array is not what FHIR's JSON is
    if set(document) != {"patch"}:
        raise Invalid("a JSON Patch is an array of operations")
    operations = patch_json.operations_of(document["patch"])
    return Amendment(lambda resource: patch_json.apply(resource, operations), check)


def by_fhirpath(parameters: Resource, check: Check) -> Amendment:
    """Raise Invalid: no FHIRPath Patch."""
    if parameters.get("resourceType") != "Parameters":
        raise Invalid("a FHIRPath Patch is sent as Parameters", expression=("resourceType",))
    operations = patch_fhirpath.operations_of(parameters)
    return Amendment(lambda resource: patch_fhirpath.apply(resource, operations), check)


def of_entry(resource: Resource, check: Check) -> Amendment:
    """A patch inside a Bundle: Parameters, or a Binary that holds a JSON Patch. https://hl7.org/fhir/R4/http.html#patch"""
    if resource.get("resourceType") != "Binary":
        return by_fhirpath(resource, check)
    if resource.get("contentType", "").partition(";")[0].strip() != "application/json-patch+json":
        raise Invalid("the Binary of a patch is of contentType application/json-patch+json", expression=("Binary.contentType",))
    try:
        return by_json(base64.b64decode(str(resource.get("data", "")), validate=True), check)
    except binascii.Error:
        raise Invalid("the data are not base64", expression=("Binary.data",)) from None
