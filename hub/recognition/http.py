"""What the calls at order time share: who calls, errors as JSON that says what to do, and CORS."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse

from hub.api.auth import hub_of, note_refusal
from hub.errors import HubError, operation_outcome, place_of
from hub.recognition.callers import Callers
from hub.recognition.decisions import Decisions
from hub.recognition.facts import recognition_of
from hub.recognition.ordering import OrderTime

if TYPE_CHECKING:
    from hub.app import Hub

log = logging.getLogger(__name__)

ALLOWED = {
    "access-control-allow-methods": "GET, POST, OPTIONS",
    "access-control-allow-headers": "authorization, content-type, accept, accept-language",
    "access-control-expose-headers": "www-authenticate",
    "access-control-max-age": "600",
}
BODY_BYTES = 2 * 1024 * 1024


class JsonRoute(APIRoute):
    """Whatever goes wrong is an OperationOutcome without patient data; pages of the origins that the county names may call."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                answer = await handler(request)
            except HubError as error:
                await note_refusal(request, error)
                headers = {"www-authenticate": "Bearer"} if error.reason.status == 401 else {}
                answer = JSONResponse(error.outcome(), error.reason.status, headers)
            except Exception as error:
                log.error("%s at %s", type(error).__name__, place_of(error))  # noqa: TRY400  a traceback may hold patient data
                answer = JSONResponse(operation_outcome("the server failed", code="exception"), 500)
            return _for_origin(request, answer)

        return handle


def _for_origin(request: Request, answer: Response) -> Response:
    origin = request.headers.get("origin", "")
    if origin and origin in hub_of(request).county.recognition.cors_origins:
        answer.headers.update({**ALLOWED, "access-control-allow-origin": origin})
    answer.headers["vary"] = "Origin, Accept-Language"
    return answer


class Desk:
    """The parts that one application needs at order time; `of` keeps it in its state."""

    def __init__(self, app_state: Any) -> None:
        self.hub: Hub = app_state.hub
        self.service = recognition_of(app_state)
        self.order_time = OrderTime(self.hub, self.service)
        self.decisions = Decisions(self.hub, self.service)
        self.callers = Callers.of(self.hub.county.recognition.clients, app_state.county_folder)

    @classmethod
    def of(cls, request: Request) -> Desk:
        state = request.app.state
        desk: Desk | None = getattr(state, "recognition_desk", None)
        if desk is None:
            desk = state.recognition_desk = cls(state)
        return desk

    def address(self, request: Request) -> str:
        """Of the hub, without a slash at its end."""
        return (self.hub.county.recognition.base or str(request.base_url)).rstrip("/")


def language_of(request: Request) -> str:
    return "en" if request.headers.get("accept-language", "").lower().startswith("en") else "zh"
