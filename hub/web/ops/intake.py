"""The running intake, as the workbench's pages reach it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.errors import Unavailable
from hub.web.view import View

if TYPE_CHECKING:
    from hub.ingest.run import IntakeService


def intake_of(view: View) -> IntakeService:
    """Raise Unavailable where this process takes nothing in."""
    intake: IntakeService | None = getattr(view.request.app.state, "intake", None)
    if intake is None:
        raise Unavailable("this process takes nothing in")
    return intake
