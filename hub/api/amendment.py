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
from hub.api.negotiation import JSON_PATCH, media_type
from hub.api.patch_json import CannotPatch
from hub.errors import HubError, Invalid
from hub.store.port import Version
from profiles.validation import ValidationIssue

Resource = dict[str, Any]
Patch = Resource | list[Any]
"""Parameters of a FHIRPath Patch, or the operations of a JSON Patch."""
Check = Callable[[Resource], list[ValidationIssue]]
Settle = Callable[[Resource], Resource]


class Amendment:
    def __init__(self, change: Callable[[Resource], Any], check: Check, settle: Settle) -> None:
        """`change` may alter the resource that it is given, and nothing else.

        What came of it is settled, as what a create or an update brings is: its references; then checked, which raises NotValid.
        """
        self._change = change
        self._check = check
        self._settle = settle
        self._made: dict[tuple[str, str, int], tuple[Resource, list[ValidationIssue]] | HubError] = {}
        self.issues: list[ValidationIssue] = []
        """With which the resource that was asked for last is let through."""

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
        resource, self.issues = made
        return resource

    def _patched(self, version: Version) -> tuple[Resource, list[ValidationIssue]]:
        changed = self._change(fhir_json.parse(version.body))
        if not isinstance(changed, dict):
            raise CannotPatch("the patch leaves no resource")
        if changed.get("resourceType") != version.type or changed.get("id") != version.id:
            raise CannotPatch("a patch changes neither the type nor the id of a resource")
        resource = self._settle(
            fhir_json.parse(fhir_json.dump(changed))
        )  # what may not come in from outside may not come of a patch
        return resource, self._check(resource)


def by_patch(patch: Patch, check: Check, settle: Settle) -> Amendment:
    """Raise Invalid for what is neither a JSON Patch nor a FHIRPath Patch."""
    if isinstance(patch, list):
        operations = patch_json.operations_of(patch)
        return Amendment(lambda resource: patch_json.apply(resource, operations), check, settle)
    if patch.get("resourceType") != "Parameters":
        raise Invalid("a FHIRPath Patch is sent as Parameters", expression=("resourceType",))
    steps = patch_fhirpath.operations_of(patch)
    return Amendment(lambda resource: patch_fhirpath.apply(resource, steps), check, settle)


def json_patch(body: bytes) -> list[Any]:
    """Raise Invalid, BadJson."""
    operations = fhir_json.parse_any(body)
    if not isinstance(operations, list):
        raise Invalid("a JSON Patch is an array of operations")
    return operations


def patch_of(resource: Resource) -> Patch:
    """Inside a Bundle: Parameters, or a Binary that holds a JSON Patch. https://hl7.org/fhir/R4/http.html#patch"""
    if resource.get("resourceType") != "Binary":
        return resource
    if media_type(str(resource.get("contentType", ""))) != JSON_PATCH:
        raise Invalid(f"the Binary of a patch is of contentType {JSON_PATCH}", expression=("Binary.contentType",))
    try:
        return json_patch(base64.b64decode(str(resource.get("data", "")), validate=True))
    except binascii.Error:
        raise Invalid("the data are not base64", expression=("Binary.data",)) from None
