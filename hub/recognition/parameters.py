"""An Answer as FHIR Parameters: https://hl7.org/fhir/R4/parameters.html"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hub.recognition import messages
from hub.recognition.model import Answer, Judged, Step
from hub.recognition.service import CATALOGUE_SYSTEM
from mappers.identity_keys import organization_id

Part = dict[str, Any]


def parameters(answers: Iterable[Answer], *, language: str) -> dict[str, Any]:
    """One `result` group per asked code; sentences in `language` (zh or en)."""
    return {"resourceType": "Parameters", "parameter": [_result(answer, language) for answer in answers]}


def _result(answer: Answer, language: str) -> Part:
    item = answer.item
    parts: list[Part | None] = [
        {"name": "asked", "valueCoding": _stated({"system": answer.asked_system, "code": answer.asked_code})},
        {"name": "item", "valueCoding": {"system": CATALOGUE_SYSTEM, "code": item.code, "display": item.name(language)}}
        if item
        else None,
        {"name": "catalogue", "valueString": answer.catalogue_id},
        {"name": "catalogue-version", "valueString": answer.catalogue_version},
        {"name": "context", "valueCode": answer.context},
        {"name": "orderer", "valueReference": {"reference": f"Organization/{organization_id(answer.orderer)}"}},
        {"name": "verdict", "valueCode": answer.verdict},
        {"name": "reason", "valueCode": answer.reason},
        {"name": "reason-text", "valueString": messages.reason(answer, language)},
        {"name": "prompt", "valueCode": answer.prompt},
        {"name": "price-fen", "valueInteger": item.price} if item else None,
    ]
    return {"name": "result", "part": [*_present(parts), *(_candidate(judged, language) for judged in answer.candidates)]}


def _candidate(judged: Judged, language: str) -> Part:
    candidate = judged.candidate
    parts: list[Part | None] = [
        {"name": "verdict", "valueCode": judged.verdict},
        {"name": "result", "valueReference": {"reference": candidate.reference}},
        {"name": "facility", "valueReference": {"reference": f"Organization/{organization_id(candidate.facility)}"}},
        {"name": "performed", "valueDateTime": judged.performed} if judged.performed else None,
        {"name": "age-days", "valueInteger": judged.age_days} if judged.age_days is not None else None,
        {"name": "value", "valueString": candidate.display} if candidate.display else None,
        {"name": "conclusion", "valueString": candidate.conclusion} if candidate.conclusion else None,
        {"name": "mark", "part": _mark(judged)} if judged.mark_claimed or judged.mark_verified else None,
        {"name": "eqa", "valueString": judged.eqa} if judged.eqa else None,
        {"name": "eqa-now", "valueCode": judged.eqa_now},
        {"name": "duty", "valueCode": judged.duty} if judged.duty else None,
    ]
    return {"name": "candidate", "part": [*_present(parts), *(_step(step, language) for step in judged.steps)]}


def _mark(judged: Judged) -> list[Part]:
    claimed = [{"name": "claimed", "valueString": judged.mark_claimed}] if judged.mark_claimed else []
    return [*claimed, *({"name": "verified", "valueString": scope} for scope in judged.mark_verified)]


def _step(step: Step, language: str) -> Part:
    return {
        "name": "step",
        "part": [
            {"name": "number", "valueInteger": step.number},
            {"name": "rule", "valueCode": step.rule},
            {"name": "outcome", "valueCode": step.outcome},
            {"name": "detail", "valueString": messages.detail(step, language)},
        ],
    }


def _stated(coding: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in coding.items() if value}


def _present(parts: Iterable[Part | None]) -> list[Part]:
    return [part for part in parts if part is not None]
