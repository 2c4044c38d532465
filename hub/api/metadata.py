"""CapabilityStatement: what this server does, from the tables it does it by. https://hl7.org/fhir/R4/capabilitystatement.html"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version as installed
from typing import Any

from hub.clock import instant
from hub.search.parameters import registry
from hub.security.policy import SERVER_OWNED_TYPES
from profiles.validate import resource_types

READING = ("read", "vread", "history-instance", "search-type")
WRITING = ("create", "update", "delete")


def capability_statement(base: str, name: str, now: int) -> dict[str, Any]:
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(now),
        "kind": "instance",
        "software": {"name": "Yitong Hub", "version": installed("yitong-hub")},
        "implementation": {"description": name or "Yitong Hub", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [_rest()],
    }


@cache
def _rest() -> dict[str, Any]:
    return {
        "mode": "server",
        "security": {
            "cors": False,
            "description": "Authorization: Bearer with a token of this hub. A facility sees its own records and those of persons "
            "it treats; another's record is answered like one that never was. Every access leaves an AuditEvent.",
        },
        "resource": [_resource(kind) for kind in resource_types()],
        "interaction": [{"code": "transaction"}, {"code": "batch"}],
    }


def _resource(kind: str) -> dict[str, Any]:
    owned = kind in SERVER_OWNED_TYPES
    resource: dict[str, Any] = {
        "type": kind,
        "interaction": [{"code": code} for code in (READING if owned else READING + WRITING)],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": not owned,
        "conditionalCreate": not owned,
        "conditionalRead": "full-support",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "referencePolicy": ["literal", "local"],
        "searchParam": [_parameter(kind, code) for code in sorted(registry().of(kind))],
    }
    includes = sorted(code for code, found in registry().of(kind).items() if found.type == "reference")
    if includes:
        resource["searchInclude"] = [f"{kind}:{code}" for code in includes]
    if kind == "Patient":
        definition = "http://hl7.org/fhir/OperationDefinition/Patient-everything"
        resource["operation"] = [{"name": "everything", "definition": definition}]
    return resource


def _parameter(kind: str, code: str) -> dict[str, Any]:
    parameter = registry().of(kind)[code]
    described: dict[str, Any] = {"name": code, "type": parameter.type}
    if parameter.url:
        described["definition"] = parameter.url
    return described
