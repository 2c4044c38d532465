"""Patient/$match: which stored Patients may be the one described. https://hl7.org/fhir/R4/patient-operation-match.html

The rules and weights by which Patients are linked (hub.identity) grade the answer: certain is what would be linked without asking
anybody, probable and possible what somebody would be asked about. Of what the caller may not see nothing is said.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from starlette.responses import Response

from hub import fhir_json
from hub.api.bundles import bundle, found, warning
from hub.api.call import Call
from hub.api.paging import MAX_COUNT
from hub.api.responses import json_answer
from hub.errors import Invalid, NotAllowed, operation_outcome
from hub.identity.blocks import blocks_of, members
from hub.identity.facts import ANY, Facts, facts_of
from hub.identity.households import Households
from hub.identity.matching import Matching, matching_in
from hub.identity.rules import TIERS, Verdict, compare
from hub.search.dates import interval
from hub.search.folding import fold_code
from hub.search.query import Criterion, DateValue, SearchQuery, StringValue, TokenValue
from hub.security.policy import county_wide, is_golden
from hub.security.reads import Reads
from hub.store.port import Key, ResourceStore, Version

PATH = "Patient/$match"
GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"
DEFAULT_COUNT = 20
MOST = 400  # Patients compared
BY_INDEX = 50
TAKEN = frozenset({"resource", "onlyCertainMatches", "count"})
UNSURE = "more than one person may be meant, or none for certain: state more, or ask without onlyCertainMatches"
TOO_LITTLE = (
    "too little to match by: state an identifier, or two of name, full birthDate, telephone and address with a house number"
)
COMMON = "too many Patients share some of what is stated ({}): state more, or those who share nothing else are not found"


class Asked(NamedTuple):
    patient: dict[str, Any]
    only_certain: bool
    most: int


class Match(NamedTuple):
    version: Version
    grade: str  # of http://hl7.org/fhir/ValueSet/match-grade
    score: float  # 0 to 1
    bits: float


async def match(call: Call) -> Response:
    asked = await _asked(call)
    facts = facts_of(asked.patient, ANY if county_wide(call.access) else call.access.facility)
    matches, advice = await call.hub.door.reading(
        call.access,
        lambda reads: _found(reads, call.hub.store, facts, asked),
        action="E",
        interaction="operation",
        type="Patient",
        asked="$match",  # and not by what: that is a person's
    )
    entries = [_entry(each, call.base) for each in matches]
    entries += [warning(operation_outcome(text, code="informational", severity="information")) for text in advice]
    links = {"self": f"{call.base}/{PATH}"}
    return json_answer(bundle("searchset", entries, links=links, now=call.hub.clock(), total=len(matches)))


def _entry(match: Match, base: str) -> dict[str, Any]:
    entry = found(match.version, base, "match")
    entry["search"] = {
        "extension": [{"url": GRADE, "valueCode": match.grade}],
        "mode": "match",
        "score": msgspec.Raw(b"%g" % match.score),
    }
    return entry


# -- what is asked


async def _asked(call: Call) -> Asked:
    """Parameters, or the Patient itself with the rest in the address. Raise Invalid."""
    sent = await call.resource()
    stated: dict[str, Any] = {name: value for name, value in call.request.query_params.items() if name[:1] != "_"}
    if sent["resourceType"] != "Parameters":
        stated["resource"] = sent
    for number, part in enumerate(sent.get("parameter", ()) if sent["resourceType"] == "Parameters" else ()):
        name = str(part.get("name", ""))
        if name in stated:
            raise Invalid(f"{name[:64]} is stated twice", expression=(f"Parameters.parameter[{number}]",))
        stated[name] = next((value for key, value in part.items() if key == "resource" or key.startswith("value")), None)
    if unknown := stated.keys() - TAKEN:
        raise Invalid(
            f"$match takes resource, onlyCertainMatches and count, not {min(unknown)[:64]!r}", expression=("Parameters.parameter",)
        )
    patient = stated.get("resource")
    if not isinstance(patient, dict) or patient.get("resourceType") != "Patient":
        raise Invalid("$match needs a Patient: the parameter resource", expression=("Parameters.parameter",))
    return Asked(patient, _flag(stated.get("onlyCertainMatches", False)), _count(stated.get("count", DEFAULT_COUNT)))


def _flag(value: object) -> bool:
    if value in (True, False, "true", "false"):
        return value in (True, "true")
    raise Invalid("onlyCertainMatches is true or false", expression=("onlyCertainMatches",))


def _count(value: object) -> int:
    text = str(value)
    if not (text.isascii() and text.isdecimal()) or len(text) > 9 or int(text) < 1:
        raise Invalid("count is a number from 1", expression=("count",))
    return min(int(text), MAX_COUNT)


# -- who it may be


def _found(reads: Reads, store: ResourceStore, facts: Facts, asked: Asked) -> tuple[list[Match], list[str]]:
    """The likeliest first, and advice for whoever asks."""
    if reads.scope.types is not None and "Patient" not in reads.scope.types:
        raise NotAllowed("this role may not read Patient")
    households = Households(store)
    facts = households.telling(facts)
    blocks = blocks_of(facts)
    by_block = {block: members(store, block) for block in blocks}
    common = sorted({block.kind for block, inside in by_block.items() if inside is None})
    advice = [COMMON.format(", ".join(common))] if common and reads.scope.everything else []
    identifiers = _identifiers(asked.patient)
    if not blocks and not identifiers:
        advice.append(TOO_LITTLE)
    ids = dict.fromkeys(id for inside in by_block.values() for id in inside or ())
    ids |= dict.fromkeys(_by_identifier(store, reads, identifiers))
    if common:
        ids |= dict.fromkeys(_by_name_and_birth(store, reads, facts))
    matching = matching_in(store)
    seen = reads.seen([Key("Patient", id) for id in ids][:MOST])
    graded = (_graded(version, facts, identifiers, matching, households) for version in seen)
    matches = sorted((each for each in graded if each), key=lambda each: (-each.score, -each.bits, each.version.id))
    if asked.only_certain:
        matches = _certain(store, reads, matches)
        advice += [] if matches else [UNSURE]
    return [each for each in matches[: asked.most] if reads.given(Key("Patient", each.version.id), each.version)], advice


def _identifiers(patient: dict[str, Any]) -> set[tuple[str, str]]:
    stated = ((str(each.get("system", "")), fold_code(str(each.get("value", "")))) for each in patient.get("identifier") or ())
    return {(system, value) for system, value in stated if system and value}


def _by_identifier(store: ResourceStore, reads: Reads, identifiers: set[tuple[str, str]]) -> list[str]:
    if not identifiers:
        return []
    values = tuple(TokenValue(system, value) for system, value in sorted(identifiers))
    query = SearchQuery("Patient", (Criterion("identifier", "token", values),), count=BY_INDEX)
    return [version.id for version in store.search(query, reads.scope).matches]


def _by_name_and_birth(store: ResourceStore, reads: Reads, facts: Facts) -> list[str]:
    """Of what the caller may see, so that what others hold does not hide it."""
    if not facts.name or not facts.birth_date:
        return []
    low, high = interval(facts.birth_date)
    born = Criterion("birthdate", "date", (DateValue("eq", low, high),))
    named = Criterion("name", "string", (StringValue(facts.name),))
    return [version.id for version in store.search(SearchQuery("Patient", (born, named), count=BY_INDEX), reads.scope).matches]


def _graded(
    version: Version, facts: Facts, identifiers: set[tuple[str, str]], matching: Matching, households: Households
) -> Match | None:
    patient = fhir_json.load(version.body)
    if is_golden(patient):
        return None
    verdict = compare(facts, households.telling(facts_of(patient, version.facility)), matching)
    if verdict.answer == "no" and not verdict.apart and identifiers & _identifiers(patient):
        verdict = verdict._replace(answer="doubt", reason="same-local-number")  # asked for by its identifier
    if verdict.answer == "no":
        return None
    return Match(version, *_grade(verdict, matching), verdict.bits)


def _grade(verdict: Verdict, matching: Matching) -> tuple[str, float]:
    if verdict.answer == "link":
        return "certain", 0.99 if verdict.reason in TIERS[-1] else 1.0
    share = min(1.0, max(0.0, (verdict.bits - matching.doubt) / (matching.link - matching.doubt)))
    if verdict.reason.startswith("same-number") or verdict.reason.startswith("same-local"):
        share = max(share, 0.75)  # a number agrees
    return "probable" if share >= 0.5 else "possible", round(0.5 + 0.45 * share, 3)


def _certain(store: ResourceStore, reads: Reads, matches: list[Match]) -> list[Match]:
    """One Patient, if one person alone is meant for certain: the golden one where the caller may see it."""
    persons = {store.person_of(each.version.id) for each in matches}
    best = [each for each in matches if each.grade == "certain"][:1]
    if len(persons) != 1 or not best:
        return []
    golden = reads.seen([Key("Patient", persons.pop())])
    return [best[0]._replace(version=golden[0])] if golden else best
