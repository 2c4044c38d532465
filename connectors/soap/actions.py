"""The actions of the one-operation service, and what each is about.

WS/T 846 names the services; a hospital's platform numbers and names its actions with small differences, so an unknown one is kept
too. In these names **Exam is the laboratory and Check is imaging and physiology**.
"""

from __future__ import annotations

from typing import Literal

Subject = Literal[
    "patient", "organization", "practitioner", "terminology", "document", "card", "visit", "order", "lab", "imaging", "pathology",
    "transfusion", "operation", "schedule", "appointment", "status",
]  # fmt: skip

REGISTERED = ("Register", "Update", "Query")
KEPT = ("Add", "Update", "Query")
CHANGED = ("Update", "Query")

# name → verbs, what it is about
SERVICES: dict[str, tuple[tuple[str, ...], Subject]] = {
    "PatientInfo": (("Register", "Update", "Merge", "Query"), "patient"),
    "OrganizationInfo": (REGISTERED, "organization"),
    "ProviderInfo": (REGISTERED, "practitioner"),
    "Terminology": (REGISTERED, "terminology"),
    "Document": (("Register", "Access", "Retrieve"), "document"),
    "EncounterCardInfo": (KEPT, "card"),
    "OutPatientInfo": (KEPT, "visit"),
    "InPatientInfo": (KEPT, "visit"),
    "TransferInfo": (KEPT, "visit"),
    "DischargeInfo": (KEPT, "visit"),
    "OrderInfo": (KEPT, "order"),
    "ExamAppInfo": (KEPT, "lab"),
    "CheckAppInfo": (KEPT, "imaging"),
    "PathologyAppInfo": (KEPT, "pathology"),
    "BloodTransAppInfo": (KEPT, "transfusion"),
    "OperationAppInfo": (KEPT, "operation"),
    "SourceAndScheduleInfo": (KEPT, "schedule"),
    "OutPatientAppointStatusInfo": (KEPT, "appointment"),
    "CheckAppointStatusInfo": (KEPT, "appointment"),
    "OperationScheduleInfo": (KEPT, "schedule"),
    "OrderFillerStatusInfo": (CHANGED, "status"),
    "CheckStatusInfo": (CHANGED, "status"),
    "ExamStatusInfo": (CHANGED, "status"),
    "OperationStatusInfo": (CHANGED, "status"),
}
ACTIONS: dict[str, Subject] = {f"{name}{verb}": subject for name, (verbs, subject) in SERVICES.items() for verb in verbs}
_FOLDED = {name.casefold(): name for name in ACTIONS}
ASKS = ("Query", "Access", "Retrieve")


def known_action(text: str) -> str:
    """As it is usually written; a vendor's suffix and other letters' case are tolerated. "" for none."""
    folded = text.strip().casefold()
    found = _FOLDED.get(folded)
    if found is None:
        found = next((name for name in sorted(ACTIONS, key=len, reverse=True) if folded.startswith(name.casefold())), "")
    return found


def asks(action: str) -> bool:
    """It wants to be told something, and brings nothing."""
    return action.endswith(ASKS)
