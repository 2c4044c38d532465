"""Operations on identities over FHIR: who says so, and why, stands in the AuditEvent and in the Task that is answered.

`$merge` has the parameters of https://hl7.org/fhir/R5/patient-operation-merge.html and joins two persons; the others are ours:
`$link` (two Patients are one person), `$unlink` (one is not its person's, or two are two persons), `$split` (several leave
together), `$postpone`, and Task/[id]/$undo, which takes back any of them as a whole. All take `reason`, and write no facility's
Patient.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from hub.api.bundles import bundle, found
from hub.api.call import ID, Call
from hub.api.negotiation import RESOURCE_BYTES, body_of, check_json
from hub.api.paging import page_link, position_of
from hub.api.responses import json_answer
from hub.errors import HubError, Invalid, Kind, NotFound, operation_outcome
from hub.fhir_json import parse
from hub.identity.operations import Act, Done, Wish, checked_reason
from hub.identity.review import MOST, PAGE, Filter, Review
from hub.search.folding import fold_code
from hub.search.query import Criterion, SearchQuery, TokenValue
from hub.security.links import POSITION, SIGNATURE
from hub.security.policy import check_identity, identity_scope
from hub.security.reads import Reads

Parts = list[dict[str, Any]]
MOST_PARTS = 100
LIST = "Patient/$doubts"


class _Preview(Exception):  # no error: it carries what would be done out of a transaction that is not kept
    def __init__(self, done: Done) -> None:
        self.done = done


async def link(call: Call) -> Response:
    stated = await _Stated.of(call, {"patient", "reason"})
    return await _decided(call, "link", stated.patients("patient"), stated)


async def postpone(call: Call) -> Response:
    stated = await _Stated.of(call, {"patient", "reason"})
    return await _decided(call, "later", stated.patients("patient"), stated)


async def unlink(call: Call) -> Response:
    """Without `from` the Patient leaves all that are one person with it; with `from` these two are two persons."""
    stated = await _Stated.of(call, {"from", "reason"})
    beside = stated.patients("from")
    return await _decided(call, "apart" if beside else "unlink", (call.request.path_params["id"], *beside), stated)


async def split(call: Call) -> Response:
    """`patient`: those that leave, together; they are of the person of the Patient in the address, who stays."""
    stated = await _Stated.of(call, {"patient", "reason"})
    leaving, stays = stated.patients("patient"), call.request.path_params["id"]
    if not leaving or stays in leaving:
        raise Invalid("patient names those that leave; the one in the address stays", expression=("patient",))
    return await _decided(call, "split", leaving, stated, stays=stays)


async def merge(call: Call) -> Response:
    sides = ("source-patient", "target-patient")
    every = {*sides, *(f"{side}-identifier" for side in sides), "preview", "reason", "result-patient", "delete-source"}
    stated = await _Stated.of(call, every)
    if stated.text("result-patient") or stated.flag("delete-source"):
        raise HubError(
            "what facilities state of their Patients is not rewritten here, and none is deleted: leave out result-patient and "
            "delete-source",
            kind=Kind.NOT_SUPPORTED,
        )
    named = [(await _side(call, stated, side)) for side in sides]
    return await _decided(call, "merge", tuple(named), stated, preview=stated.flag("preview"))


async def undo(call: Call) -> Response:
    stated = await _Stated.of(call, {"reason"})
    id = _id(call.request.path_params["id"])
    reason = checked_reason(stated.text("reason"))
    done = await call.hub.door.writing(call.access, lambda writes: writes.take_back(id, reason), "operation")
    return _answer(call, done, stated)


async def doubts(call: Call) -> Response:
    """GET Patient/$doubts: Tasks of pairs. `state` (open, later, together, apart, all), `reason`, `facility`, `patient`."""
    asked = dict(call.request.query_params)
    known = {"state", "reason", "facility", "patient", "_count", "_format", "_pretty", POSITION, SIGNATURE}
    if unknown := sorted(set(asked) - known):
        raise Invalid(f"$doubts takes no parameter {unknown[0][:64]!r}", expression=(unknown[0][:64],))
    pairs = [(name, value) for name, value in asked.items() if name not in (POSITION, SIGNATURE)]
    wanted = Filter(asked.get("state", "open"), asked.get("reason", ""), asked.get("facility", ""), asked.get("patient", ""))
    review = Review(call.hub.door, call.hub.store, call.access)
    after = position_of(call, LIST, pairs) or ""
    page = await review.stored(wanted, after=after, count=_count(asked.get("_count", "")))
    links = {"self": page_link(call, LIST, pairs)}
    if page.next:
        links["next"] = page_link(call, LIST, pairs, page.next)
    entries = [found(version, call.base, "match") for version in page.versions]
    return json_answer(bundle("searchset", entries, links=links, now=call.hub.clock()))


def _count(stated: str) -> int:
    if stated and not (stated.isascii() and stated.isdecimal() and 1 <= int(stated[:9]) <= MOST):
        raise Invalid(f"_count is a number from 1 to {MOST}", expression=("_count",))
    return int(stated or PAGE)


IDENTITY_ROUTES = (
    ("GET", f"/fhir/{LIST}", doubts, False),
    ("POST", "/fhir/Patient/$link", link, False),
    ("POST", "/fhir/Patient/$postpone", postpone, False),
    ("POST", "/fhir/Patient/$merge", merge, False),
    ("POST", "/fhir/Patient/{id}/$unlink", unlink, False),
    ("POST", "/fhir/Patient/{id}/$split", split, False),
    ("POST", "/fhir/Task/{id}/$undo", undo, False),
)


async def _decided(
    call: Call, act: Act, patients: tuple[str, ...], stated: _Stated, *, preview: bool = False, stays: str = ""
) -> Response:
    wish = Wish(act, tuple(map(_id, patients)), checked_reason(stated.text("reason")), stays)

    def work(writes: Any) -> Done:
        done: Done = writes.decide(wish)
        if preview:
            raise _Preview(done)
        return done

    try:
        done = await call.hub.door.writing(call.access, work, "operation")
    except _Preview as shown:
        await call.hub.door.note(call.access, action="E", interaction="operation", type="Patient/$merge", query="preview=true")
        done = shown.done
    return _answer(call, done, stated, preview=preview)


def _answer(call: Call, done: Done, stated: _Stated, *, preview: bool = False) -> Response:
    """As $merge answers: what was asked, the outcome, and the Task; `person`: whose the Patients are now."""
    said = "this is what would be done; nothing was changed" if preview else "done; Task/[id]/$undo takes it back"
    task = {name: value for name, value in done.operation.items() if not (name == "output" and call.access.facility)}
    parts: Parts = [
        {"name": "input", "resource": {"resourceType": "Parameters", "parameter": stated.parts}},
        {"name": "outcome", "resource": operation_outcome(said, code="informational", severity="information")},
        *({"name": "person", "valueReference": {"reference": f"Patient/{person}"}} for person in done.persons),
        *([] if preview else [{"name": "task", "resource": task}]),
    ]
    return json_answer({"resourceType": "Parameters", "parameter": parts})


async def _side(call: Call, stated: _Stated, side: str) -> str:
    """Of source or target: the id that is stated, or that of the one person who has all the identifiers stated."""
    named, identifiers = stated.patients(side), stated.values(f"{side}-identifier")
    if len(named) > 1 or bool(named) == bool(identifiers):
        raise Invalid(f"state one {side}, or {side}-identifier", expression=(side,))
    return named[0] if named else await _by_identifiers(call, side, identifiers)


async def _by_identifiers(call: Call, side: str, identifiers: Parts) -> str:
    check_identity(call.access, {call.access.facility})
    criteria = tuple(_identified(each, side) for each in identifiers)

    def work(reads: Reads) -> dict[str, str]:
        versions = reads.search(SearchQuery("Patient", criteria, count=MOST_PARTS)).matches
        own = (version.id for version in versions if call.access.facility in ("", version.facility))
        return {call.hub.store.person_of(id): id for id in own}

    persons = await call.hub.door.reading(
        call.access, work, scope=identity_scope(call.access), action="E", interaction="search-type", type="Patient"
    )
    if not persons:
        raise NotFound(f"nobody has the {side}-identifier")
    if len(persons) > 1:
        raise HubError(f"several persons have the {side}-identifier", kind=Kind.MULTIPLE_MATCHES, expression=(side,))
    return next(iter(persons.values()))


def _identified(identifier: Any, side: str) -> Criterion:
    value = identifier.get("value") if isinstance(identifier, dict) else None
    if not isinstance(value, str) or not value:
        raise Invalid(f"{side}-identifier is an Identifier with a value", expression=(f"{side}-identifier",))
    system = identifier.get("system")
    return Criterion("identifier", "token", (TokenValue(system if isinstance(system, str) else None, fold_code(value)),))


def _id(id: str) -> str:
    if not ID.fullmatch(id):
        raise NotFound("no Patient with this id")
    return id


class _Stated:
    """The Parameters of a request; each part has one value."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    @classmethod
    async def of(cls, call: Call, names: set[str]) -> _Stated:
        """Raise Invalid for what is no Parameters resource, or has a parameter that the operation does not take."""
        check_json(call.request)
        sent = parse(await body_of(call.request, RESOURCE_BYTES))
        parts = sent.get("parameter", []) if isinstance(sent, dict) and sent.get("resourceType") == "Parameters" else None
        if not isinstance(parts, list) or len(parts) > MOST_PARTS or not all(isinstance(part, dict) for part in parts):
            raise Invalid(f"the operation takes Parameters, of at most {MOST_PARTS} parts", expression=("Parameters",))
        for part in parts:
            if part.get("name") not in names:
                raise Invalid(
                    f"no parameter {str(part.get('name'))[:64]!r} here: it takes {', '.join(sorted(names))}",
                    expression=("Parameters.parameter",),
                )
        return cls(call.settled({"resourceType": "Parameters", "parameter": parts})["parameter"])

    def values(self, name: str) -> list[Any]:
        found = []
        for part in self.parts:
            if part["name"] == name:
                found += [value for key, value in part.items() if key.startswith("value")] or [part.get("resource")]
        return found

    def text(self, name: str) -> str:
        values = self.values(name)
        return values[0] if len(values) == 1 and isinstance(values[0], str) else str(values[0]) if values else ""

    def flag(self, name: str) -> bool:
        return self.values(name) == [True]

    def patients(self, name: str) -> tuple[str, ...]:
        """Ids. Raise Invalid for what refers to no Patient here."""
        found = []
        for value in self.values(name):
            reference = value.get("reference") if isinstance(value, dict) else None
            if not isinstance(reference, str) or not reference.startswith("Patient/"):
                raise Invalid(f"{name} is a reference to a Patient: Patient/[id]", expression=(name,))
            found.append(reference.split("/")[1])
        return tuple(found)
