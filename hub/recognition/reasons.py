"""Why a test is repeated although a result could be recognised: R01–R12, the CodeSystem urn:hub:repeat-reason.

R01–R06 are the six cases of 国卫医发〔2022〕6号, the others provinces' and ours.
"""

from __future__ import annotations

from collections.abc import Mapping

from hub.errors import HubError, Kind
from profiles.catalogue import load_code_system

SYSTEM = "urn:hub:repeat-reason"
OTHER = "R06"  # takes a text
LONGEST_TEXT = 500

ENGLISH: Mapping[str, str] = {
    "R01": "The condition changed: the result does not fit presentation or diagnosis",
    "R02": "The result changes fast in the course of the disease",
    "R03": "Decisive for the plan: before an operation, a transfusion …",
    "R04": "Emergency or rescue",
    "R05": "Forensic, disability or sick-retirement assessment",
    "R06": "Another situation that truly needs it (say which)",
    "R07": "Outside the validity window",
    "R08": "Images or data unreadable, incomplete or of poor quality",
    "R09": "Body part, specimen, method or unit differ",
    "R10": "The source's quality evaluation failed or is out of date",
    "R11": "Patient or family asks for it",
    "R12": "The identity of the outside result is in doubt",
}


class WrongReason(HubError):
    kind = Kind.CODE_INVALID


def reasons(language: str) -> Mapping[str, str]:
    """Code → what it says."""
    return ENGLISH if language.startswith("en") else load_code_system("repeat-reason")


def checked(code: str, text: str) -> tuple[str, str]:
    """The reason and its text, trimmed. Raise WrongReason."""
    text = text.strip()[:LONGEST_TEXT]
    if code not in ENGLISH:
        raise WrongReason(f"the reason must be one of {', '.join(ENGLISH)}")
    if code == OTHER and not text:
        raise WrongReason(f"{OTHER} (other) needs a text that says which situation it is")
    return code, text
