"""Patient/{id}/$break-glass and Patient/$break-glass: a clinician opens one person's record in an emergency.

Operations of ours, by POST with Parameters: `reason` (a code), `text` (why, at least ten characters), and `identifier`
(system|value) where the person is not known by id. The answer is the Task that stands for it until it is reviewed: by
Task/{id}/$review, of an admin of the county.
"""

from __future__ import annotations

from dataclasses import replace

from starlette.responses import Response

from hub.api.call import Call
from hub.api.paging import operation_pairs
from hub.api.responses import resource_answer
from hub.errors import Invalid
from hub.search.parse import parse_search
from hub.security.access import Access
from hub.security.door import Door
from hub.security.writes import Writes
from hub.settings import County
from hub.store.port import Key, Version

PURPOSE = "BTG"  # https://terminology.hl7.org/ValueSet-v3-PurposeOfUse.html


async def break_glass_of_patient(call: Call) -> Response:
    return await _answer(call, call.request.path_params["id"])


async def break_glass_by_identifier(call: Call) -> Response:
    return await _answer(call, "")


async def review(call: Call) -> Response:
    """POST Task/{id}/$review: `finding` (justified, unjustified) and `text`; the answer is the Task."""
    stated = dict(await operation_pairs(call))
    for name in {"finding", "text"} - set(stated):
        raise Invalid(f"$review needs {name}", expression=(name,))
    key = Key("Task", call.request.path_params["id"])
    saved = await call.hub.door.writing(
        call.access, lambda writes: writes.review(key.id, stated["finding"], stated["text"]), "update", key
    )
    return resource_answer(saved.version)


async def _answer(call: Call, patient: str) -> Response:
    known = {"reason", "text"} | (set() if patient else {"identifier"})
    stated = dict(await operation_pairs(call))
    for name in known - set(stated):
        raise Invalid(f"$break-glass needs {name}", expression=(name,))
    task = await broken(
        call.hub.door, call.access, call.hub.county, patient, stated.get("identifier", ""), stated["reason"], stated["text"]
    )
    return resource_answer(task)


async def broken(door: Door, access: Access, county: County, patient: str, identifier: str, reason: str, text: str) -> Version:
    """The Task, of `patient` or of whom `identifier` names. Raise Invalid, NotAllowed, NotFound."""
    query = parse_search("Patient", [("identifier", identifier)], now=0, zone=county.zone).query if not patient else None

    def work(writes: Writes) -> Version:
        return writes.break_glass(writes.identified(query) if query else patient, reason, text)

    return await door.writing(replace(access, purpose=PURPOSE), work, "create", Key("Patient", patient) if patient else None)
