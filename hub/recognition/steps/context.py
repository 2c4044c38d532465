"""Step 3: some settings never recognise: forensic assessment, transfusion …, as the catalogue says for each item."""

from __future__ import annotations

from hub.recognition.model import Order, Step


def context(order: Order) -> Step:
    params = {"context": order.context}
    if order.context in order.item.excluded_contexts:
        return Step(3, "context", "fail", "context-excluded", params)
    return Step(3, "context", "pass", "context-allowed", params)
