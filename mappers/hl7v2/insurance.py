"""HL7 v2 IN1, IN2 → Coverage; PID-18 → Account.

https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-in1-to-coverage.html. The insurer and an insured who is not the patient
stand inside the Coverage: of neither is there a number that other messages repeat with certainty.
"""

from __future__ import annotations

from typing import Any

from mappers.base import Resource
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Segment
from mappers.hl7v2.related import relationship
from mappers.hl7v2.types import address, codeable_concept, human_name, namespace, number_identifier, positive, read_cx, telecoms
from mappers.identity_keys import resource_id

COVERAGE_CLASS = "http://terminology.hl7.org/CodeSystem/coverage-class"
SUBSCRIBER = "http://terminology.hl7.org/CodeSystem/subscriber-relationship"
# HL7 table 0063 (IN1-17), and the words that some sources write → subscriber-relationship
SUBSCRIBER_RELATIONSHIP = {
    "SEL": "self",
    "SELF": "self",
    "本人": "self",
    "SPO": "spouse",
    "SPOUSE": "spouse",
    "DOM": "common",
    "CHD": "child",
    "CHILD": "child",
    "NCH": "child",
    "PAR": "parent",
    "FTH": "parent",
    "MTH": "parent",
    "PARENT": "parent",
    "OTH": "other",
    "OTHER": "other",
}


def state_account(draft: Draft, pid: Segment) -> None:
    """PID-18: what the visit is charged to."""
    number = read_cx(pid, 18)
    if not number.value:
        return
    space = namespace(draft, number.authority)
    account = {
        "resourceType": "Account",
        "id": resource_id("Account", space, number.value),
        "identifier": [number_identifier(draft, number.value, "account", "AN", space)],
        "status": "active",
        "subject": [draft.patient],
        "owner": draft.organization,
    }
    draft.account = {"reference": f"Account/{account['id']}"}
    draft.state(account, draft.mode)


def state_coverages(draft: Draft) -> None:
    """IN1 with the IN2 that follows it."""
    for place, segment in enumerate(draft.message.all):
        if segment.name != "IN1":
            continue
        behind = draft.message.all[place + 1 : place + 2]
        in2 = behind[0] if behind and behind[0].name == "IN2" else None
        _state_coverage(draft, segment, in2)


def _misplaced(in1: Segment) -> bool:
    """Whether IN1-4, the insurer's name, is an address: then the fields behind it stand somewhere else too."""
    return bool(in1.value(4, 4) and in1.value(4, 5)) and not in1.value(4, 3).isdecimal()


def _state_known_insurer(draft: Draft, in1: Segment) -> None:
    """Only IN1-2 and IN1-3, which name plan and insurer: what stands where behind them is not certain."""
    draft.note("conflict", f"{in1.where}-4", "an address where the insurer's name belongs: only IN1-2 and IN1-3 are read")
    plan, insurer = codeable_concept(draft, in1, 2, "insurance-plan"), in1.value(3)
    if not insurer:
        return
    payor = {"identifier": number_identifier(draft, insurer, "insurer"), "display": in1.value(3, 2) or insurer}
    coverage = {
        "resourceType": "Coverage",
        "id": resource_id("Coverage", *draft.patient_key, insurer),
        "status": "active",
        "beneficiary": draft.patient,
        "payor": [payor],
        "class": _classes(in1, plan),
    }
    draft.state({element: value for element, value in coverage.items() if value})


def _state_coverage(draft: Draft, in1: Segment, in2: Segment | None) -> None:
    if _misplaced(in1):
        _state_known_insurer(draft, in1)
        return
    payor = _payor(draft, in1)
    plan, number = (
        codeable_concept(draft, in1, 2, "insurance-plan"),
        in1.value(36) or in1.value(49) or (in2.value(61) if in2 else ""),
    )
    if not payor and not plan and not number:
        draft.note("missing", f"{in1.where}-3", "an insurance that names neither insurer, plan nor policy")
        return
    subscriber = _subscriber(draft, in1, in2)
    relation = SUBSCRIBER_RELATIONSHIP.get((in1.value(17) or in1.value(17, 2)).upper())
    if in1.has(17) and not relation:
        draft.note("unmapped-code", f"{in1.where}-17", "kept as text", system="HL7 table 0063", value=in1.value(17)[:16])
    own = relation == "self"
    contained = [entry for entry in (payor, None if own else subscriber) if entry and "id" in entry]
    insurer = in1.value(3) or in1.value(4) or in1.value(2) or in1.value(2, 2)
    coverage: Resource = {
        "resourceType": "Coverage",
        "id": resource_id("Coverage", *draft.patient_key, *(part for part in (insurer, number) if part)),
        "contained": contained,
        "identifier": [number_identifier(draft, number, "policy")] if number else [],
        "status": "active",
        "type": codeable_concept(draft, in1, 15, "plan-type"),
        "policyHolder": {"display": in1.value(11)} if in1.value(11) else None,
        "subscriber": draft.patient if own else ({"reference": "#insured"} if subscriber else None),
        "subscriberId": in1.value(49) or None,
        "beneficiary": draft.patient,
        "relationship": _relation(relation, in1),
        "period": _period(draft, in1),
        "payor": [{"reference": "#insurer"} if payor else {"display": (plan or {}).get("text") or number}],
        "class": _classes(in1, plan),
    }
    if priority := positive(in1.value(22)):
        coverage["order"] = priority
    draft.state({element: value for element, value in coverage.items() if value})


def _relation(mapped: str | None, in1: Segment) -> dict[str, Any] | None:
    text = in1.value(17, 2) or in1.value(17)
    return {"coding": [{"system": SUBSCRIBER, "code": mapped}], "text": text} if mapped else {"text": text} if text else None


def _payor(draft: Draft, in1: Segment) -> dict[str, Any]:
    """IN1-3 … IN1-7: the insurer."""
    number, name = read_cx(in1, 3), in1.value(4)
    stated = {
        "identifier": [number_identifier(draft, number.value, "insurer", "", namespace(draft, number.authority))]
        if number.value
        else [],
        "name": name,
        "telecom": telecoms(in1, (7, "")),
        "address": [home for n in range(1, in1.count(5) + 1) if (home := address(in1, 5, n))],
    }
    if person := human_name(draft, in1, 6):
        stated["contact"] = [{"name": person}]
    if not number.value and not name:
        return {}
    return {"resourceType": "Organization", "id": "insurer", **{element: value for element, value in stated.items() if value}}


def _subscriber(draft: Draft, in1: Segment, in2: Segment | None) -> dict[str, Any]:
    """IN1-16 … IN1-19, IN1-43: the insured; IN2-63 their phone."""
    name = human_name(draft, in1, 16)
    if name is None:
        return {}
    stated = {
        "patient": draft.patient,
        "relationship": [relation] if (relation := relationship(draft, in1, 17)) else [],
        "name": [name],
        "telecom": telecoms(in2, (63, "")) if in2 else [],
        "gender": {"F": "female", "M": "male", "O": "other", "U": "unknown"}.get(in1.value(43).upper()),
        "birthDate": draft.date(in1, 18),
        "address": [home] if (home := address(in1, 19)) else [],
    }
    return {"resourceType": "RelatedPerson", "id": "insured", **{element: value for element, value in stated.items() if value}}


def _period(draft: Draft, in1: Segment) -> dict[str, str]:
    edges = {"start": draft.date(in1, 12), "end": draft.date(in1, 13)}
    period = {edge: when for edge, when in edges.items() if when}
    if len(period) == 2 and period["end"] < period["start"]:
        draft.refuse(in1, 13)
        draft.note("conflict", f"{in1.where}-13", "ends before it begins: the end is left out")
        period.pop("end")
    return period


def _classes(in1: Segment, plan: dict[str, Any] | None) -> list[dict[str, Any]]:
    """IN1-2 and IN1-35 the plan, IN1-8 and IN1-9 the group."""
    found: list[tuple[str, str, str]] = []
    if plan:
        coding = (plan.get("coding") or [{}])[0]
        found.append(("plan", coding.get("code") or plan["text"], coding.get("display", "")))
    if not _misplaced(in1) and (in1.value(8) or in1.value(9)):
        found.append(("group", in1.value(8) or in1.value(9), in1.value(9)))
    return [
        {"type": {"coding": [{"system": COVERAGE_CLASS, "code": kind}]}, "value": value, **({"name": name} if name else {})}
        for kind, value, name in found
    ]
