"""Patient/{id}/$summary and Patient/$summary: an International Patient Summary of what the caller may see, made when it is asked.

https://hl7.org/fhir/uv/ips/OperationDefinition-summary.html (2.0.0). Its words are Chinese, or English for who prefers that;
whoever asks for application/pdf gets it on paper.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version as installed
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from hub.api.call import Call
from hub.api.negotiation import accepted_format, accepted_types, check_accept, media_type
from hub.api.paging import Pairs, operation_pairs
from hub.api.responses import json_answer
from hub.errors import HubError, Invalid, Kind, NotFound
from hub.recognition.times import zone_of
from hub.records.summary.document import BUNDLE, COMPOSITION, Making, document
from hub.records.summary.gather import Gathered, gather
from hub.records.summary.printed import pdf
from hub.records.summary.words import LANGUAGES, Language
from hub.search.parse import parse_search
from hub.security.reads import Reads
from hub.settings import County
from hub.store.port import Key
from hub.web.i18n import choose

KNOWN = frozenset({"profile", "_format", "_pretty"})
VERSION = "2.0.0"
PDF = "application/pdf"
Whose = Callable[[Reads], str]  # → the id of the Patient


async def summary_of_patient(call: Call) -> Response:
    await _stated(call, KNOWN)
    key = Key("Patient", call.request.path_params["id"])
    return await _answer(call, key, lambda _: key.id)


async def summary_by_identifier(call: Call) -> Response:
    """Raise Invalid without an identifier, NotFound and MULTIPLE_MATCHES where it names not exactly one person."""
    stated = await _stated(call, KNOWN | {"identifier"})
    if not stated.get("identifier"):
        raise Invalid("Patient/$summary needs an identifier: system|value", expression=("identifier",))
    return await _answer(call, None, lambda reads: _named(call, reads, stated["identifier"]))


async def _stated(call: Call, known: frozenset[str]) -> dict[str, str]:
    pairs: Pairs = await operation_pairs(call)
    for name, _ in pairs:
        if name not in known:
            raise Invalid(f"$summary takes {', '.join(sorted(known))}, not {name[:64]}", expression=(name[:64],))
    if len(dict(pairs)) < len(pairs):
        raise Invalid("each parameter of $summary is given once")
    stated = dict(pairs)
    url, _, version = stated.get("profile", COMPOSITION).partition("|")
    if url not in (COMPOSITION, BUNDLE) or version not in ("", VERSION):
        raise Invalid(f"the profile served here is {COMPOSITION}|{VERSION}", kind=Kind.NOT_SUPPORTED, expression=("profile",))
    return stated


def _named(call: Call, reads: Reads, identifier: str) -> str:
    query = parse_search("Patient", [("identifier", identifier)], now=call.hub.clock(), zone=call.hub.county.zone).query
    persons = {reads.person(version.id)[0]: version.id for version in reads.search(query).matches}
    if len(persons) > 1:
        raise HubError("several persons have this identifier", kind=Kind.MULTIPLE_MATCHES)
    if not persons:
        raise NotFound("no Patient with this identifier")
    return next(iter(persons.values()))


def _prints(request: Request) -> bool:
    """Asked for as PDF, by name: `_format` outranks Accept. Raise NotAcceptable for what is neither that nor FHIR."""
    stated, accepted = request.query_params.get("_format"), accepted_types(request)
    if stated is None and PDF in accepted and accepted_format(request.headers.get("accept", "*/*")) is None:
        return True
    if stated is not None and media_type(stated) in (PDF, "pdf"):
        return True
    check_accept(request)
    return False


async def _answer(call: Call, key: Key | None, patient: Whose) -> Response:
    hub, now = call.hub, call.hub.clock()

    def work(reads: Reads) -> Gathered:
        return gather(reads, patient(reads), now, hub.county.zone)

    printed = _prints(call.request)
    asked = "Patient/$summary" if key is None else f"Patient/{key.id}/$summary"
    gathered = await hub.door.reading(call.access, work, interaction="operation", key=key, type="Patient", asked=asked)
    language = preferred(call.request.headers.get("accept-language", ""))
    headers = {"content-language": language, "vary": "accept, accept-language"}
    making = making_of(hub.county, call.base, now, language)
    if not printed:
        return json_answer(document(gathered, making), headers=headers)
    at = datetime.fromtimestamp(now / 1000, zone_of(hub.county.zone)).strftime("%Y-%m-%d %H:%M")
    content = await asyncio.to_thread(
        pdf, gathered, making.facility, language, made=at, printed_by=call.access.name, font_file=hub.county.records.print_font
    )
    return Response(content, 200, {**headers, "content-disposition": "inline", "cache-control": "no-store"}, PDF)


def preferred(header: str) -> Language:
    chosen = choose("", "", header)
    return next(language for language in LANGUAGES if language == chosen)


def making_of(county: County, base: str, now: int, language: Language) -> Making:
    def named(code: str) -> str:
        facility = county.facility(code)
        return (facility.name_en if language == "en" else "") or facility.name if facility else code

    names: dict[Language, str] = {"zh-CN": county.name or county.name_en or "Yitong Hub", "en": county.name_en}
    return Making(base, now, language, names, named, installed("yitong-hub"), uuid4())
