"""Step 8: the images can be opened now, not only listed; a laboratory result has a value."""

from __future__ import annotations

from hub.recognition.model import Candidate, Step
from profiles.catalogue import Item


def data(candidate: Candidate, item: Item) -> Step:
    if item.requires_images:
        return Step(8, "data", "pass" if candidate.images == "reachable" else "fail", f"images-{candidate.images}")
    return Step(8, "data", "pass", "value-present") if candidate.has_value else Step(8, "data", "fail", "value-absent")
