"""county.toml [[facility]] → Organizations, a tree by `partOf`. https://hl7.org/fhir/R4/organization.html

county.toml says what it says at every start; what a directory's sheet said beside it stays.
"""

from __future__ import annotations

from typing import Any

from hub.directory.identifiers import known_numbers
from hub.directory.names import FACILITY_CODE, FACILITY_GRADE, FACILITY_KIND, ORGANIZATION_TYPE
from hub.directory.numbers import folded
from hub.errors import Invalid
from hub.fhir_json import load
from hub.keep import keep
from hub.settings import County, Facility
from hub.store.port import Key, Transaction
from mappers.identity_keys import organization_id

Resource = dict[str, Any]


def keep_facilities(transaction: Transaction, county: County, now: int) -> None:
    """Raise Invalid for a tree that goes round, or a number that is wrong: it says which, and where in it."""
    check_tree(county)
    for facility in county.facilities:
        stated = organization_of(facility, county)
        version = transaction.current(Key("Organization", stated["id"]))
        current = load(version.body) if version is not None and not version.deleted else {}
        keep(transaction, merged(current, stated), id=stated["id"], facility=facility.code, now=now, policy=county.policy)


def check_tree(county: County) -> None:
    parents = {facility.code: facility.parent for facility in county.facilities}
    for code, parent in parents.items():
        seen, at = {code}, parent
        while at:
            if at not in parents:
                raise Invalid(f"county.toml: facility {code}: no facility {at}, of which it would be a part")
            if at in seen:
                raise Invalid(f"county.toml: facility {code} is part of itself: {' → '.join(sorted(seen))}")
            seen.add(at)
            at = parents[at]


def organization_of(facility: Facility, county: County) -> Resource:
    """Raise Invalid."""
    organization: Resource = {
        "resourceType": "Organization",
        "id": organization_id(facility.code),
        "identifier": [{"system": FACILITY_CODE, "value": facility.code}, *_numbers(facility, county)],
        "active": True,
        "type": [{"coding": [{"system": ORGANIZATION_TYPE, "code": "prov", "display": "Healthcare Provider"}]}],
        "name": facility.name,
    }
    organization["type"] += kinds(facility.kind, facility.grade)
    if facility.name_en:
        organization["alias"] = [facility.name_en]
    if facility.parent:
        organization["partOf"] = {"reference": f"Organization/{organization_id(facility.parent)}"}
    return organization | reached(facility.address, facility.phone)


def kinds(kind: str, grade: str) -> list[Resource]:
    stated = ((FACILITY_KIND, kind), (FACILITY_GRADE, grade))
    return [{"coding": [{"system": system, "code": code}]} for system, code in stated if code]


def reached(address: str, phone: str) -> Resource:
    found: Resource = {"address": [{"use": "work", "text": address}]} if address else {}
    return found | ({"telecom": [{"system": "phone", "value": phone, "use": "work"}]} if phone else {})


def _numbers(facility: Facility, county: County) -> list[Resource]:
    known, found = known_numbers(county.directory.identifiers), []
    for name, stated in facility.identifiers.items():
        number = known.get(name)
        if number is None or number.of != "Organization":
            names = ", ".join(each.name for each in known.values() if each.of == "Organization")
            raise Invalid(f"county.toml: facility {facility.code}: no identifier {name[:40]}; there are {names}")
        value = folded(stated)
        problem = number.problem(value)
        if problem is not None and problem.error:
            raise Invalid(f"county.toml: facility {facility.code}: {problem.said}")
        found.append({"system": number.system, "value": value})
    return found


def merged(current: Resource, stated: Resource) -> Resource:
    """What is stated, over what was known: identifiers by their system, everything else whole."""
    systems = {each["system"] for each in stated.get("identifier", ())}
    kept = [each for each in current.get("identifier", ()) if each.get("system") not in systems]
    former = {name: value for name, value in current.items() if name != "meta"}
    return {**former, **stated, "identifier": [*stated.get("identifier", ()), *kept]}
