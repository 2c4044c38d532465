"""CapabilityStatement: what this server does, made from the tables by which it routes and searches, so that it cannot lie.

https://hl7.org/fhir/R4/capabilitystatement.html
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version as installed
from typing import Any

from hub import fhir_json
from hub.api.claims import CHANGING, CONDITIONAL, SYSTEM_LEVEL, TYPE_LEVEL, WRITING, Operation, interactions, operations, plain
from hub.api.negotiation import FHIR_JSON, FHIR_XML, JSON_PATCH
from hub.clock import instant
from hub.errors import Invalid
from hub.search.parameters import Registry, SearchParameter
from hub.security.policy import SERVER_OWNED_TYPES
from hub.subscriptions.capabilities import offered_topics, subscribing
from profiles.promised import profiles_of
from profiles.structures import compartments
from profiles.validation import resource_types

MODES = ("full", "normative", "terminology")


def mode_of(stated: str) -> str:
    """https://hl7.org/fhir/R4/http.html#capabilities. Raise Invalid for an unknown one."""
    if stated not in MODES:
        raise Invalid(f"mode is one of {', '.join(MODES)}", expression=("mode",))
    return stated


NORMATIVE = frozenset(
    {
        "Binary",
        "Bundle",
        "CapabilityStatement",
        "CodeSystem",
        "Observation",
        "OperationDefinition",
        "OperationOutcome",
        "Parameters",
    }
    | {"Patient", "StructureDefinition", "ValueSet"}
)
"""https://hl7.org/fhir/R4/versions.html#std-process"""

FORMATS = ("json", "xml", FHIR_JSON, FHIR_XML)
PATCH_FORMATS = (JSON_PATCH, FHIR_JSON, FHIR_XML)
SECURITY = (
    "Authorization: Bearer with a token of this hub. A facility sees its own records and those of persons it treats; another's "
    "record is answered like one that never was. Every access leaves an AuditEvent."
)
DOCUMENTATION = (
    "Unknown search parameters are refused unless Prefer: handling=lenient. A search finds a code where its parameter looks: "
    "code finds the code of a panel, combo-code that of its components too. Bundle.total is given when it is asked for or all "
    "matches are on the page. Times without a zone are the county's. The same content again makes no new version. "
    "PUT of several resources, of a Type?criteria or of one that is not there yet creates it under the id that it states."
)
CORE = "http://hl7.org/fhir/SearchParameter/"
OF_ANY_TYPE = (
    ("_content", "string", f"{CORE}Resource-content", "Text anywhere in the resource"),
    ("_text", "string", f"{CORE}DomainResource-text", "Text in the narrative"),
    ("_list", "string", "", "Members of a List, by its id"),
    ("_has", "string", "", "Resources that others refer to: _has:Observation:patient:code=…, nested to a depth limit"),
    ("_filter", "special", "", "A filter expression: and, or, not, brackets, chains"),
    ("_type", "string", "", "Several types, in a search at the base address or of a compartment's *"),
)
"""What every search takes beside the parameters of its type. https://hl7.org/fhir/R4/search.html#all"""

Routes = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Statement:
    body: bytes
    etag: str


class Capabilities:
    """Statements of one server, kept until its search parameters change."""

    def __init__(self, addresses: Routes) -> None:
        self._addresses = tuple(addresses)
        self._kept: dict[tuple[str, str, str], tuple[Registry, Statement]] = {}

    def statement(self, base: str, name: str, now: int, known: Registry, mode: str = "full") -> Statement:
        """`mode`: full or normative."""
        kept = self._kept.get((base, name, mode))
        if kept is not None and kept[0] is known:
            return kept[1]
        undated = self._statement(base, name, known, normative=mode == "normative")
        etag = f'W/"{hashlib.sha256(fhir_json.dump(undated)).hexdigest()[:16]}"'
        made = Statement(fhir_json.dump({**undated, "date": instant(now)}), etag)
        if len(self._kept) > 16:  # a client names the base by its Host header
            self._kept.clear()
        self._kept[base, name, mode] = known, made
        return made

    def _statement(self, base: str, name: str, known: Registry, *, normative: bool) -> dict[str, Any]:
        return {
            "resourceType": "CapabilityStatement",
            "name": "YitongHub",
            "title": "Yitong Hub",
            "status": "active",
            "date": "",
            "kind": "instance",
            "software": {"name": "Yitong Hub", "version": installed("yitong-hub")},
            "implementation": {"description": name or "Yitong Hub", "url": base},
            "fhirVersion": "4.0.1",
            "format": list(FORMATS),
            "patchFormat": list(PATCH_FORMATS),
            "rest": [{**subscribing(base), **self._rest(known, normative=normative)}],
        }

    def _rest(self, known: Registry, *, normative: bool) -> dict[str, Any]:
        offered = interactions(self._addresses)
        found = tuple(operations(self._addresses))
        types = [kind for kind in resource_types() if not normative or kind in NORMATIVE]
        referring = _referring(known)
        rest: dict[str, Any] = {
            "mode": "server",
            "documentation": DOCUMENTATION,
            "security": {"cors": False, "description": SECURITY},
            "resource": [self._resource(kind, known, offered, found, referring[kind] | referring[""]) for kind in types],
            "interaction": [{"code": code} for code in SYSTEM_LEVEL if code in offered],
            "searchParam": [_described(*stated) for stated in OF_ANY_TYPE],
            "operation": _claimed(o for o in found if o.level == "system"),
            "compartment": [f"http://hl7.org/fhir/CompartmentDefinition/{name[0].lower()}{name[1:]}" for name in compartments()],
        }
        return rest

    def _resource(
        self, kind: str, known: Registry, offered: frozenset[str], found: tuple[Operation, ...], referring: set[str]
    ) -> dict[str, Any]:
        writable = kind not in SERVER_OWNED_TYPES
        conditional = {CONDITIONAL[method, plain(at)] for method, at in self._addresses if (method, plain(at)) in CONDITIONAL}
        resource: dict[str, Any] = {
            "type": kind,
            "interaction": [{"code": code} for code in TYPE_LEVEL if code in offered and (writable or code not in WRITING)],
            "versioning": "versioned-update",
            "readHistory": "vread" in offered,
            "updateCreate": writable and "update" in offered,
            "conditionalCreate": writable and "create" in offered,
            "conditionalRead": "full-support",
            "conditionalUpdate": writable and "conditionalUpdate" in conditional,
            "conditionalDelete": "single" if writable and "conditionalDelete" in conditional else "not-supported",
            "referencePolicy": ["literal", "logical", "local"],
        }
        parameters = known.of(kind)
        includes = sorted(code for code, parameter in parameters.items() if parameter.type == "reference")
        if promised := profiles_of(kind):
            resource["supportedProfile"] = list(promised)
        resource["searchInclude"] = ["*", *(f"{kind}:{code}" for code in includes)]
        resource["searchRevInclude"] = ["*", *sorted(referring)]
        resource["searchParam"] = [_parameter(parameters[code]) for code in sorted(parameters)]
        if kind == "Subscription":
            resource |= offered_topics()
        here = (o for o in found if o.type == kind or (not o.type and o.level != "system"))
        resource["operation"] = _claimed(o for o in here if writable or o.name not in CHANGING)
        return resource


def _claimed(operations: Iterable[Operation]) -> list[dict[str, str]]:
    """Once each, at however many levels and by however many methods it is served."""
    return [{"name": name, "definition": url} for name, url in dict.fromkeys((o.name, o.definition) for o in operations)]


def _referring(known: Registry) -> dict[str, set[str]]:
    """Type → `Type:parameter` of the references that may point to it; "" for those that may point to any."""
    found: dict[str, set[str]] = defaultdict(set)
    for kind in known.types:
        for code, parameter in known.of(kind).items():
            if parameter.type == "reference":
                for target in parameter.target or ("",):
                    found[target].add(f"{kind}:{code}")
    return found


def _parameter(parameter: SearchParameter) -> dict[str, Any]:
    return _described(parameter.code, parameter.type, parameter.url, parameter.description)


def _described(name: str, type: str, url: str, text: str) -> dict[str, Any]:
    described = {"name": name, "definition": url, "type": type, "documentation": text}
    return {member: value for member, value in described.items() if value}
