"""Rows of a directory → Organization, Location, Practitioner and PractitionerRole, and what is wrong with each row.

A department is an Organization (type dept) below its facility or another department; its place a Location. A person's numbers are
those of the facility's own systems, so that a message's doctor and the directory's are one reference.
https://hl7.org/fhir/R4/practitionerrole.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hub.directory.facilities import kinds, reached
from hub.directory.identifiers import Number
from hub.directory.names import FACILITY_CODE, ORGANIZATION_TYPE, POST, TITLE
from hub.directory.numbers import folded
from hub.directory.sheet import NEEDED, Kind, Row
from hub.settings import County
from mappers.identity_keys import local_system, organization_id, reference, resource_id
from profiles.catalogue import load_code_system

Resource = dict[str, Any]
SEX = {"1": "male", "男": "male", "2": "female", "女": "female", "0": "unknown", "9": "unknown"}
AWAY = frozenset({"否", "0", "离职", "退休", "no", "false", "停用"})
LONGEST = 200


@dataclass(frozen=True, slots=True)
class Said:
    """About one row: what a person has to do."""

    sheet: str
    row: int
    error: bool  # what it is about was left out
    text: str


@dataclass(frozen=True, slots=True)
class Made:
    resource: Resource
    facility: str  # whose it is; "" of one that county.toml does not name


@dataclass
class Reading:
    """Rows in, resources and problems out; a facility is known by county.toml or by a row of the same files."""

    county: County
    numbers: Mapping[str, Number]
    known: set[str] = field(default_factory=set)
    departments: set[str] = field(default_factory=set)  # ids
    made: dict[tuple[str, str], Made] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    _owners: dict[tuple[str, str], str] = field(default_factory=dict)  # number → the facility that has it

    def read(self, every: list[Row]) -> None:
        """Organisations first: the rows of a sheet may come in any order."""
        self.known |= {facility.code for facility in self.county.facilities}
        self.known |= {row.values["facility"] for row in every if row.kind == "organization" and "facility" in row.values}
        stated = (row.values for row in every if row.kind == "department")
        self.departments |= {department_id(values.get("facility", "-"), values.get("code", "-")) for values in stated}
        for row in sorted(every, key=lambda row: _ORDER.index(row.kind)):
            if problem := row.problem or self._refused(row):
                self.say(row, problem)
            else:
                _MAKERS[row.kind](self, row)

    def _refused(self, row: Row) -> str:
        code = row.values.get("facility", "")
        missing = [name for name in ("facility", "code", "number", "name") if name in NEEDED[row.kind] and name not in row.values]
        if missing:
            return f"no {' and no '.join(missing)}"
        if code not in self.known:
            return f"no facility {code[:32]} in county.toml, nor in a sheet of organisations"
        if any(len(value) > LONGEST for value in row.values.values()):
            return f"a cell has more than {LONGEST} characters"
        return ""

    def say(self, row: Row, text: str, *, error: bool = True) -> None:
        self.said.append(Said(row.sheet, row.number, error, text))

    def add(self, resource: Resource, facility: str) -> None:
        owner = facility if self.county.facility(facility) is not None else ""
        self.made[resource["resourceType"], resource["id"]] = Made(resource, owner)

    def identifiers(self, row: Row, of: str, owner: str) -> Iterator[Resource]:
        """Those that are right, and no other's: a number that a second one claims is left out and told."""
        for name, number in self.numbers.items():
            if number.of != of or name not in row.values:
                continue
            value = folded(row.values[name])
            problem = number.problem(value)
            if problem is not None:
                self.say(row, problem.said, error=problem.error)
            if problem is None or not problem.error:
                first = self._owners.setdefault((name, value), owner)
                if first == owner:
                    yield {"system": number.system, "value": value}
                else:
                    self.say(row, f"{number.title_en} {number.title}: {first} has this number already")


def _organization(reading: Reading, row: Row) -> None:
    code, values = row.values["facility"], row.values
    parent = values.get("parent", "")
    if parent and parent not in reading.known:
        reading.say(row, f"no facility {parent[:32]}, of which it would be a part")
        parent = ""
    if parent and organization_id(code) in _above(reading, organization_id(parent)):
        reading.say(row, f"{code} would be part of itself, by {parent}")
        parent = ""
    own = reading.county.facility(code)
    if own is not None and (values["name"] != own.name or (parent and parent != own.parent)):
        reading.say(row, f"county.toml says otherwise of {code}: its name and parent stand", error=False)
    resource: Resource = {
        "resourceType": "Organization",
        "id": organization_id(code),
        "identifier": [{"system": FACILITY_CODE, "value": code}, *reading.identifiers(row, "Organization", code)],
        "active": True,
        "type": [{"coding": [{"system": ORGANIZATION_TYPE, "code": "prov", "display": "Healthcare Provider"}]}],
        "name": own.name if own else values["name"],
        **reached(values.get("address", ""), values.get("phone", "")),
    }
    resource["type"] += kinds(own.kind if own and own.kind else values.get("kind", ""), values.get("grade", ""))
    if "name_en" in values:
        resource["alias"] = [values["name_en"]]
    above = own.parent if own else parent
    if above:
        resource["partOf"] = {"reference": f"Organization/{organization_id(above)}"}
    reading.add(resource, code)
    if "address" in values:
        site = {
            "managingOrganization": _at(code),
            "name": resource["name"],
            "address": {"text": values["address"]},
            "mode": "instance",
        }
        reading.add(_location(code, "site", site), code)


def _above(reading: Reading, id: str) -> set[str]:
    """The Organization and all that it is part of, by id, as far as these rows and county.toml say."""
    parents = {organization_id(f.code): organization_id(f.parent) for f in reading.county.facilities if f.parent}
    above: set[str] = set()
    while id and id not in above:
        above.add(id)
        made = reading.made.get(("Organization", id))
        stated = (made.resource if made else {}).get("partOf", {}).get("reference", "")
        id = str(stated).removeprefix("Organization/") or parents.get(id, "")
    return above


def _department(reading: Reading, row: Row) -> None:
    facility, code, values = row.values["facility"], row.values["code"], row.values
    parent = _at(facility)
    if "parent" in values:
        above = department_id(facility, values["parent"])
        if above not in reading.departments:
            reading.say(row, f"no department {values['parent'][:32]} in these sheets: {code} is the facility's", error=False)
        elif department_id(facility, code) in _above(reading, above):
            reading.say(row, f"department {code} would be part of itself")
        else:
            parent = {"reference": f"Organization/{above}"}
    resource = {
        "resourceType": "Organization",
        "id": department_id(facility, code),
        "identifier": [{"system": local_system(facility, "department"), "value": code}],
        "active": True,
        "type": [{"coding": [{"system": ORGANIZATION_TYPE, "code": "dept", "display": "Hospital Department"}]}],
        "name": values["name"],
        "partOf": parent,
        **reached("", values.get("phone", "")),
    }
    reading.add(resource, facility)
    if "place" in values:
        managing = {"reference": f"Organization/{resource['id']}"}
        place = {"managingOrganization": managing, "name": values["name"], "description": values["place"], "mode": "instance"}
        reading.add(_location(facility, code, place), facility)


def _staff(reading: Reading, row: Row) -> None:
    facility, number, values = row.values["facility"], row.values["number"], row.values
    owner = f"{facility} {number}"
    away = values.get("active", "").casefold() in AWAY
    person: Resource = {
        "resourceType": "Practitioner",
        "id": resource_id("Practitioner", facility, number),
        "identifier": [
            {"system": local_system(facility, "staff"), "value": number},
            *reading.identifiers(row, "Practitioner", owner),
        ],
        "active": not away,
        "name": [{"use": "official", "text": values["name"]}],
        **({"gender": SEX[values["sex"]]} if values.get("sex") in SEX else {}),
        **{name: value for name, value in reached("", values.get("phone", "")).items() if name == "telecom"},
    }
    if "sex" in values and values["sex"] not in SEX:
        reading.say(row, f"sex {values['sex'][:8]} is in no table", error=False)
    reading.add(person, facility)
    role: Resource = {
        "resourceType": "PractitionerRole",
        "id": resource_id("PractitionerRole", facility, number),
        "active": not away,
        "practitioner": reference("Practitioner", facility, number),
        "organization": _department_of(reading, row) or _at(facility),
    }
    if codes := list(_codes(reading, row)):
        role["code"] = codes
    reading.add(role, facility)


def _department_of(reading: Reading, row: Row) -> Resource | None:
    code = row.values.get("department", "")
    if not code:
        return None
    id = department_id(row.values["facility"], code)
    if id not in reading.departments:
        reading.say(row, f"no department {code[:32]} in these sheets: the post is the facility's", error=False)
        return None
    return {"reference": f"Organization/{id}"}


def _codes(reading: Reading, row: Row) -> Iterator[Resource]:
    titles = load_code_system("professional-title")
    if title := row.values.get("title"):
        if title in titles:
            yield {"coding": [{"system": TITLE, "code": title, "display": titles[title]}]}
        else:
            reading.say(row, f"title {title[:16]} is not in CV08.30.005", error=False)
    if post := row.values.get("post"):
        yield {"coding": [{"system": POST, "code": "".join(post.split()), "display": post}], "text": post}


def department_id(facility: str, code: str) -> str:
    return resource_id("Organization", facility, "department", code)


def _location(facility: str, key: str, content: Resource) -> Resource:
    return {"resourceType": "Location", "id": resource_id("Location", facility, key), "status": "active", **content}


def _at(facility: str) -> Resource:
    return {"reference": f"Organization/{organization_id(facility)}"}


_ORDER: tuple[Kind, ...] = ("organization", "department", "staff")
_MAKERS: Mapping[Kind, Callable[[Reading, Row], None]] = {
    "organization": _organization,
    "department": _department,
    "staff": _staff,
}
