"""Authors, signers and performers → Practitioner and PractitionerRole where they have a staff number, else a name.

A template's placeholder left in as everybody's number would make one person of all: a number with two names is none.
"""

from __future__ import annotations

from typing import Any

from connectors.xml import Element
from mappers.base import Change, Resource
from mappers.cda.codes import CN, STAFF_ROOTS
from mappers.cda.document import Document
from mappers.cda.patient import human_name
from mappers.cda.reader import Id, attribute, child, children, ids, text_of
from mappers.identity_keys import local_system, resource_id

ROLES = ("assignedAuthor", "assignedEntity", "participantRole", "associatedEntity")
PERSONS = ("assignedPerson", "playingEntity", "associatedPerson")


def _name(role: Element) -> dict[str, Any] | None:
    return next((name for person in PERSONS if (name := human_name(child(role, person, "name")))), None)


def _staff_number(role: Element) -> Id | None:
    numbers = [number for number in ids(role) if number.extension]
    return next((number for number in numbers if number.root in STAFF_ROOTS), numbers[0] if numbers else None)


def _staff_key(number: Id) -> str:
    """Authors and signers have roots of their own for the same numbers."""
    return number.extension if number.root.startswith(CN) else number.text


def _names_by_number(document: Document) -> dict[str, set[str]]:
    """Read once a document."""
    if not document.staff_names:
        for role in document.root.iter(*ROLES):
            number, name = _staff_number(role), _name(role)
            if number and name:
                document.staff_names.setdefault(_staff_key(number), set()).add(name["text"])
    return document.staff_names


def person(document: Document, role: Element | None) -> dict[str, Any] | None:
    """A reference to someone: to their Practitioner where a number of their own names them, and always by name."""
    if role is None:
        return None
    name, number = _name(role), _staff_number(role)
    result: dict[str, Any] = {"display": name["text"]} if name else {}
    if number:
        system = local_system(document.facility, "staff") if number.root.startswith(CN) else document.uri(number.root)
        if len(_names_by_number(document).get(_staff_key(number), ())) > 1:
            document.note("conflict", "assignedEntity/id", "one staff number under several names; the number is not taken")
            number = None
        else:
            result["identifier"] = {"system": system, "value": number.extension}
    if number and name and number.root.startswith((CN, "1.2.156.")):
        result["reference"] = _state_practitioner(document, role, number, name, result["identifier"])
    device = text_of(child(role, "assignedAuthoringDevice", "softwareName"))
    if not result and device:
        result["display"] = device
    return result or None


def _state_practitioner(document: Document, role: Element, number: Id, name: dict[str, Any], identifier: dict[str, str]) -> str:
    practitioner = resource_id("Practitioner", document.facility, number.extension)
    reference = f"Practitioner/{practitioner}"
    title = attribute(child(role, "code"), "displayName")
    if practitioner not in document.staff:
        document.staff.add(practitioner)
        resource: Resource = {"resourceType": "Practitioner", "id": practitioner, "identifier": [identifier], "name": [name]}
        document.changes.append(Change(resource, "fill"))
    if title and _is_of_header(document, role):
        part = resource_id("PractitionerRole", document.facility, number.extension, title)
        if part not in document.staff:
            document.staff.add(part)
            place: Resource = {
                "resourceType": "PractitionerRole",
                "id": part,
                "practitioner": {"reference": reference, "display": name["text"]},
                "organization": document.organization,
                "code": [{"text": title}],
            }
            document.changes.append(Change(place, "fill"))
    return reference


def _is_of_header(document: Document, role: Element) -> bool:
    """An author's or signer's role; that of an assistant at an operation is for that operation alone."""
    holder = role.getparent()
    return holder is not None and holder.getparent() is document.root


def authors(document: Document) -> list[dict[str, Any]]:
    found = [person(document, child(author, "assignedAuthor")) for author in children(document.root, "author")]
    return [author for author in found if author] or [document.organization]


def custodian(document: Document) -> dict[str, Any]:
    """The facility, by its own name and organisation code where the document has them."""
    element = child(document.root, "custodian", "assignedCustodian", "representedCustodianOrganization")
    name = text_of(child(element, "name"))
    number = next((number for number in ids(element) if number.extension), None)
    identifier = {"system": document.uri(number.root), "value": number.extension} if number else None
    return {**document.organization, **({"identifier": identifier} if identifier else {}), **({"display": name} if name else {})}
