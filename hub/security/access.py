"""Who asks, for which facility, for what purpose. Every call through the door carries one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["admin", "it", "clinician", "reader", "system", "resident", "bureau", "none"]
ROLES: tuple[Role, ...] = ("admin", "it", "clinician", "reader", "system", "resident", "bureau")
"""Those that a token can have; "none" is whoever comes without one."""


@dataclass(frozen=True, slots=True)
class Access:
    """The default purpose is treatment; https://terminology.hl7.org/ValueSet-v3-PurposeOfUse.html"""

    name: str  # of the token's holder, for the audit
    role: Role
    facility: str = ""  # code; "" for a county-wide account
    purpose: str = "TREAT"
    token_id: str = ""  # names the token without being it
    address: str = ""  # of the client
    patient: str = ""  # a resident's own Patient, any id of the person


PIPELINE = Access(name="yitong-pipeline", role="system", purpose="HOPERAT")
