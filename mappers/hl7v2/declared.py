"""Z segments, and fields that only one hospital uses → resources, by tables that are declared in TOML (mappers.rows.tables).

A declared table with the name of a segment reads that segment as a row: column "3" is its third field, "3.2" the second component.
What it makes of Patient or Encounter goes to those of the message; any other resource is about them. What the message itself says
of an element goes first: a table adds, it does not contradict.
"""

from __future__ import annotations

from typing import Any

from mappers.base import CannotMap, Change, Resource
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Segment
from mappers.rows.convert import Row
from mappers.rows.engine import changes_of
from mappers.rows.tables import BadTable, RowTable, tables_of

ABOUT = {  # resource type → the elements that say whom and which visit it is about
    "Coverage": ("beneficiary", ""),
    "AllergyIntolerance": ("patient", "encounter"),
    "RelatedPerson": ("patient", ""),
    "Immunization": ("patient", "encounter"),
}
USUAL = ("subject", "encounter")


def state_declared(draft: Draft) -> None:
    """Raise CannotMap for tables that cannot be used: a channel that starts has checked them."""
    if not draft.context.tables:
        return
    try:
        declared = tables_of(draft.context.tables)
    except BadTable as error:
        raise CannotMap(str(error)) from None
    for segment in draft.message:
        table = declared.tables.get(segment.name.lower()) if len(segment.name) == 3 else None
        if table is None:
            continue
        if not draft.patient or len(draft.message.segments("PID")) > 1:
            draft.note("not-mapped", segment.where, "its table is declared; of several patients none is certain")
            continue
        _state(draft, segment, table, declared.maps)


def _state(draft: Draft, segment: Segment, table: RowTable, maps: Any) -> None:
    cells = segment.cells()
    row = Row(segment.where, draft.facility, {**_keys(draft), **cells}, draft.context, maps)
    for change in changes_of(row, table):
        _add(draft, segment, change)
    draft.issues += row.issues
    for column in cells:
        field = int(column.partition(".")[0])
        if column in row.used:
            segment.value(field, int(column.partition(".")[2] or 1))
            draft.declared[segment.name, field] = row.used[column].replace("[+]", "")
        elif column in table.ignore:
            segment.ignored |= 1 << field


def _keys(draft: Draft) -> dict[str, str]:
    """What a resource can be known by beside the segment's own fields."""
    keys = {"patient": "/".join(draft.patient_key), "visit": "/".join(draft.visit_key)}
    return {**keys, "subject": keys["visit"] or keys["patient"]}


def _add(draft: Draft, segment: Segment, change: Change) -> None:
    resource = change.resource
    own = {"Patient": draft.patient, "Encounter": draft.encounter}
    if resource["resourceType"] in own:
        known = own[resource["resourceType"]]
        if known is None:
            draft.note("missing", segment.where, "the message has no visit that this could be said of")
            return
        _join(draft, segment, {**resource, "id": known["reference"].partition("/")[2]})
        return
    subject, visit = ABOUT.get(resource["resourceType"], USUAL)
    about = {subject: draft.patient, **({visit: draft.encounter} if visit and draft.encounter else {})}
    draft.state({**about, **resource}, change.mode)


def _join(draft: Draft, segment: Segment, stated: Resource) -> None:
    """Add to what the message states of its Patient or Encounter: lists grow, an element that is there stays."""
    same = [
        change
        for change in draft.changes
        if change.mode == draft.mode
        and (change.resource["resourceType"], change.resource["id"]) == (stated["resourceType"], stated["id"])
    ]
    if not same:
        draft.state(stated, draft.mode)
        return
    resource = same[-1].resource
    for element, value in stated.items():
        if element in {"resourceType", "id"}:
            continue
        if isinstance(value, list) and isinstance(resource.get(element) or [], list):
            resource[element] = [*(resource.get(element) or ()), *value]
        elif resource.get(element) is None:
            resource[element] = value
        elif resource[element] != value:
            draft.note("conflict", segment.where, f"{stated['resourceType']}.{element}: the message itself says something else")
