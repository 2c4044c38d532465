"""What the hub offers to a CDS client. https://cds-hooks.hl7.org/2.0/#discovery"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HOOKS: Mapping[str, str] = {
    "mutual-recognition-order-select": "order-select",
    "mutual-recognition-order-sign": "order-sign",
}
"""Service id → the hook that calls it."""

TITLE = "检查检验结果互认 (mutual recognition of results)"
DESCRIPTION = (
    "Tells a doctor who is about to order a test which earlier result of the person need not be repeated, "
    "and why others do not count."
)
PREFETCH: Mapping[str, str] = {"patient": "Patient/{{context.patientId}}", "encounter": "Encounter/{{context.encounterId}}"}
"""Both may be left out: the hub knows its own patients and encounters by id, and a facility's by its own numbers."""


def services() -> dict[str, Any]:
    return {
        "services": [
            {"hook": hook, "title": TITLE, "description": DESCRIPTION, "id": id, "prefetch": dict(PREFETCH)}
            for id, hook in HOOKS.items()
        ]
    }
