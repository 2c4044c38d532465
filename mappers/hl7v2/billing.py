"""HL7 v2 FT1 → ChargeItem, on the Account of PID-18.

HL7 v2.5.1 6.5.1; the structure has no published map. A payment or an adjustment is no charge: it stays in the raw record, named.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from mappers.base import CannotMap, Resource
from mappers.datatypes import decimal_of, quantity
from mappers.hl7v2.codes import shared_concept
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Segment
from mappers.hl7v2.types import codeable_concept, concepts, number_identifier, people
from mappers.identity_keys import resource_id

# HL7 table 0017 (FT1-6): a charge, and a charge taken back
CHARGE, CREDIT = "CG", "CD"
NO_CHARGE = {"PY": "a payment", "AJ": "an adjustment", "CO": "a co-payment"}
CURRENCY = "CNY"  # of a sender that states none
CHARGE_ITEM_NUMBER = "charge"


def state_charges(draft: Draft) -> None:
    """Raise CannotMap without any FT1: then there is no transaction."""
    transactions = draft.message.segments("FT1")
    if not transactions:
        raise CannotMap("a financial transaction without FT1")
    seen: dict[tuple[str, ...], int] = {}
    for ft1 in transactions:
        kind = ft1.value(6).upper()
        if kind in NO_CHARGE:
            draft.note("not-mapped", f"{ft1.where}-6", f"{NO_CHARGE[kind]} is no charge: kept in the raw record", "information")
            continue
        draft.state(_charge_item(draft, ft1, kind, seen))


def _key(draft: Draft, ft1: Segment, seen: dict[tuple[str, ...], int]) -> tuple[str, ...]:
    """FT1-2; without it patient, visit, item and time, and how often they came before in this message."""
    if number := ft1.value(2):
        return (draft.facility, number)
    own = (*(draft.visit_key or draft.patient_key), ft1.value(4) or "-", ft1.value(7) or ft1.value(7, 2) or ft1.value(25) or "-")
    seen[own] = seen.get(own, 0) + 1
    draft.note("missing", f"{ft1.where}-2", "no transaction number; patient, item and time identify the charge", "information")
    return (draft.facility, *own, str(seen[own]))


def _charge_item(draft: Draft, ft1: Segment, kind: str, seen: dict[tuple[str, ...], int]) -> Resource:
    item: Resource = {"resourceType": "ChargeItem", "id": resource_id("ChargeItem", *_key(draft, ft1, seen))}
    if number := ft1.value(2):
        item["identifier"] = [number_identifier(draft, number, CHARGE_ITEM_NUMBER)]
    item["status"] = "billable" if kind in {CHARGE, CREDIT} else _unknown_kind(draft, ft1, kind)
    item["code"] = _code(draft, ft1)
    item["subject"] = draft.patient
    amount = _quantity(draft, ft1)
    entered = draft.datetime(ft1, 5)
    stated: dict[str, Any] = {
        "context": draft.encounter,
        **_occurrence(draft, ft1),
        "performer": _performers(draft, ft1),
        "performingOrganization": _department(draft, ft1),
        "quantity": quantity(amount, ft1.value(10, 2)) if amount is not None else None,
        "priceOverride": _price(draft, ft1, amount, credit=kind == CREDIT),
        "enterer": next(iter(people(draft, ft1, 24)), None),
        "enteredDate": entered,
        "reason": concepts(draft, ft1, 19, "diagnosis"),
        "service": _order(draft, ft1),
        "account": [draft.account] if draft.account else None,
        "note": [{"text": text} for field in (8, 9) if (text := ft1.value(field)) and decimal_of(text) is None],
    }
    return item | {element: value for element, value in stated.items() if value}


def _quantity(draft: Draft, ft1: Segment) -> Decimal | None:
    """FT1-10; some sources shift it to FT1-9, the alternative description."""
    amount = decimal_of(ft1.value(10))
    if amount is None and not ft1.has(10) and (amount := decimal_of(ft1.value(9))) is not None:
        draft.note("moved", f"{ft1.where}-9", "the quantity stands where FT1-9 is", "information")
    return amount


def _unknown_kind(draft: Draft, ft1: Segment, kind: str) -> str:
    if kind:
        draft.translate({}, kind, f"{ft1.where}-6", "HL7 table 0017")
    else:
        draft.note("missing", f"{ft1.where}-6", "nothing says whether this is a charge")
    return "unknown"


def _code(draft: Draft, ft1: Segment) -> dict[str, Any]:
    """FT1-7, with FT1-25 (procedure) as a further coding; the description (FT1-8) names an item without code."""
    code = shared_concept(draft, ft1, 7, "charge")
    procedure = codeable_concept(draft, ft1, 25, "procedure")
    if code and procedure:
        more = [coding for coding in procedure.get("coding", []) if coding not in code.get("coding", [])]
        code["coding"] = [*code.get("coding", []), *more]
    found = code or procedure
    if found is None:
        draft.note("missing", f"{ft1.where}-7", "a charge without a code")
    return found or {"text": ft1.value(8) or "unnamed"}


def _occurrence(draft: Draft, ft1: Segment) -> dict[str, Any]:
    start, end = draft.datetime(ft1, 4), draft.datetime(ft1, 4, 2)
    if start and end and end > start:
        return {"occurrencePeriod": {"start": start, "end": end}}
    return {"occurrenceDateTime": start} if start else {}


def _performers(draft: Draft, ft1: Segment) -> list[dict[str, Any]]:
    """FT1-20 did it, FT1-21 ordered it."""
    performed = [{"actor": person} for person in people(draft, ft1, 20)]
    function = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "REF"}]}
    return performed + [{"function": function, "actor": person} for person in people(draft, ft1, 21)]


def _department(draft: Draft, ft1: Segment) -> dict[str, Any] | None:
    """FT1-13, a department of the facility."""
    code, name = ft1.value(13), ft1.value(13, 2)
    if not code and not name:
        return None
    own = {"identifier": {"system": draft.local("department"), "value": code}} if code else {}
    return {"type": "Organization", **own, "display": name or code}


def _price(draft: Draft, ft1: Segment, amount: Decimal | None, *, credit: bool) -> dict[str, Any] | None:
    """FT1-11, the extended amount, else FT1-12 times FT1-10; a credit takes back, so it is negative."""
    total, unit = decimal_of(ft1.value(11)), decimal_of(ft1.value(12))
    value = total if total is not None else unit * amount if unit is not None and amount is not None else None
    for field, number in ((11, total), (12, unit)):
        if number is None and (text := ft1.value(field)):
            draft.refuse(ft1, field)
            draft.note("invalid-value", f"{ft1.where}-{field}", f"not an amount: {len(text)} characters")
    if value is None:
        draft.refuse(ft1, 12)  # a price of one, and nothing says of how many
        return None
    stated = ft1.value(11, 1, 2) or ft1.value(12, 1, 2)
    return {"value": -abs(value) if credit else value, "currency": stated.upper() if len(stated) == 3 else CURRENCY}


def _order(draft: Draft, ft1: Segment) -> list[dict[str, Any]]:
    """FT1-23, the filler's number: the report of what was done, as the one who did it calls it."""
    number = ft1.value(23)
    if not number:
        return []
    return [{"type": "DiagnosticReport", "identifier": number_identifier(draft, number, "report", "FILL")}]
