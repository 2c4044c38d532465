"""What became of the cards → decisions. https://cds-hooks.hl7.org/2.0/#feedback

A card that asked for no decision (for reference, in an emergency) is passed over; so is an override without a reason: it is no
decision by the rules of recognition, and the prompt stays unanswered.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hub.errors import Invalid, NotAllowed, NotFound
from hub.recognition.decisions import Decisions
from hub.recognition.reasons import checked
from hub.security.access import Access
from hub.security.policy import WRITING_ROLES

MOST = 100


@dataclass(frozen=True, slots=True)
class Outcome:
    card: str
    accepted: bool
    reason: str = ""
    text: str = ""


def outcomes(body: bytes) -> list[Outcome]:
    """Raise Invalid naming what is wrong, WrongReason for a reason that is none of ours."""
    try:
        stated = json.loads(body)
    except (ValueError, RecursionError):
        raise Invalid("the body is not JSON") from None
    every = stated.get("feedback") if isinstance(stated, Mapping) else None
    if not isinstance(every, list) or len(every) > MOST:
        raise Invalid(f"feedback must be a list of at most {MOST}")
    return [_outcome(each, f"feedback[{number}]") for number, each in enumerate(every)]


def _outcome(stated: object, where: str) -> Outcome:
    if not isinstance(stated, Mapping):
        raise Invalid(f"{where} must be an object")
    try:
        card = str(uuid.UUID(str(stated.get("card"))))
    except ValueError:
        raise Invalid(f"{where}.card must be the uuid of a card") from None
    if stated.get("outcome") not in ("accepted", "overridden"):
        raise Invalid(f"{where}.outcome must be accepted or overridden")
    if stated["outcome"] == "accepted":
        return Outcome(card, accepted=True)
    return Outcome(card, False, *_reason(stated.get("overrideReason")))


def _reason(stated: Any) -> tuple[str, str]:
    if not isinstance(stated, Mapping):
        return "", ""
    reason = stated.get("reason")
    code = str(reason.get("code", "")) if isinstance(reason, Mapping) else ""
    text = str(stated.get("userComment") or "")
    return checked(code, text) if code else ("", text)


async def take(decisions: Decisions, access: Access, every: list[Outcome]) -> None:
    """Raise NotAllowed for an account that orders nothing."""
    if access.role not in WRITING_ROLES:
        raise NotAllowed(f"the role {access.role} decides on no card")
    for each in every:
        with suppress(NotFound):
            if each.accepted:
                await decisions.recognise(access, each.card)
            elif each.reason:
                await decisions.refuse(access, each.card, each.reason, each.text)
