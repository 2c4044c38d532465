"""HL7 v2 ORC-5, else ORC-1 → the status of a request; a cancellation is one whatever ORC-5 still says.

HL7 v2.5.1 tables 0038 and 0119. The v2-to-FHIR map calls a cancelled order active; here it is revoked, cancelled or stopped, as
each resource calls it. A control code that only asks or answers (SS, SN, NA …) says nothing of the status.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Segment

# HL7 table 0038 (ORC-5) → what became of the order
STATED = {
    "A": "active",
    "CA": "cancelled",
    "CM": "completed",
    "DC": "stopped",
    "ER": "unknown",
    "HD": "held",
    "IP": "active",
    "RP": "replaced",
    "SC": "active",
}
# HL7 table 0119 (ORC-1) → the same; "" says nothing of it
CONTROL = {
    **dict.fromkeys(("NW", "OK", "OE", "OR", "RO", "PA", "CH", "XO", "XX", "XR", "RL", "PR"), "active"),
    **dict.fromkeys(("RF", "FU", "AF", "OF", "OP"), "active"),  # refills, and what is dispensed elsewhere
    **dict.fromkeys(("SC", "UC", "UD", "UH", "UM", "UX", "DF", "RR"), "active"),  # changed, or a change that was refused
    **dict.fromkeys(("CA", "OC", "CR", "UA"), "cancelled"),
    **dict.fromkeys(("DC", "OD", "DR"), "stopped"),
    **dict.fromkeys(("HD", "OH", "HR", "UR"), "held"),
    **dict.fromkeys(("RP", "RU", "RQ"), "replaced"),
    **dict.fromkeys(("RE", "CN"), "completed"),
    **dict.fromkeys(("DE",), "unknown"),
    **dict.fromkeys(("SS", "SR", "SN", "NA", "LI", "MC", "UN"), ""),
}
CANCELS = frozenset({"CA", "OC", "CR", "DC", "OD", "DR"})

# What became of the order → as each resource calls it
SERVICE = {
    **{"active": "active", "held": "on-hold", "completed": "completed", "unknown": "unknown"},
    **dict.fromkeys(("cancelled", "stopped", "replaced"), "revoked"),
}
NUTRITION = SERVICE
MEDICATION = {**SERVICE, "cancelled": "cancelled", "stopped": "stopped", "replaced": "stopped"}
SUPPLY = {**SERVICE, "held": "suspended", **dict.fromkeys(("cancelled", "stopped", "replaced"), "cancelled")}


# HL7 tables 0485 and 0027, and the words for them → request-priority
PRIORITY = {
    **dict.fromkeys(("S", "STAT", "EM", "急", "急诊", "紧急"), "stat"),
    **dict.fromkeys(("A", "ASAP", "C", "加急"), "asap"),
    **dict.fromkeys(("R", "P", "ROUTINE", "NORMAL", "普通", "常规"), "routine"),
    **dict.fromkeys(("T", "U", "URGENT"), "urgent"),
}


def order_status(draft: Draft, orc: Segment | None, names: Mapping[str, str] = SERVICE) -> str:
    """ "" where the message says nothing of it: a patch then leaves the status as it is."""
    if orc is None:
        return names["active"]
    control, stated = orc.value(1).upper(), orc.value(5).upper()
    if control in CANCELS:
        cancelled = CONTROL[control]
        if stated and STATED.get(stated) not in {"cancelled", "stopped", "replaced"}:
            told = f"ORC-1 cancels, ORC-5 says otherwise: {names[cancelled]}"
            draft.note("conflict", f"{orc.where}-5", told, "information")
        return names[cancelled]
    if stated:
        return names[draft.translate(STATED, stated, f"{orc.where}-5", "HL7 table 0038") or "unknown"]
    if CONTROL.get(control) == "":
        return ""
    return names[draft.translate(CONTROL, control, f"{orc.where}-1", "HL7 table 0119") or "unknown"]


def priority_of(timing: Sequence[Segment], *places: tuple[Segment | None, int, int]) -> str | None:
    """TQ1-9, else the first of the places (segment, field, component) that states one."""
    for segment, field, component in (*((tq1, 9, 1) for tq1 in timing), *places):
        if segment and (code := segment.value(field, component).upper()):
            return PRIORITY.get(code)
    return None
