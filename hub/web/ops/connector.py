"""`/ops/connectors/{name}`: one channel: its state and cause, its settings, its newest messages, and a check of its source."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from connectors.base import SourceDenied, SourceUnavailable
from connectors.registry import UnknownChannel, build, listens
from hub.errors import NotFound
from hub.ingest.messages import Message, Query, search
from hub.security.outward import HttpOutward
from hub.settings import Channel
from hub.web.ops.intake import intake_of
from hub.web.ops.overview import Card, line_of, overview_of, visible
from hub.web.pages import PageRoute, check_form, workbench_session
from hub.web.session import Session
from hub.web.view import View

NEWEST = 10
SECRET = re.compile(r"passw|pwd|secret|token|credential|private", re.IGNORECASE)
HIDDEN = "••••"

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Checked:
    ok: bool
    text: str


@router.get("/ops/connectors/{name}")
async def connector(request: Request, name: str) -> Response:
    session = workbench_session(request)
    return await _page(View(request, session), session, name)


@router.post("/ops/connectors/{name}")
async def check(request: Request, name: str, csrf: Annotated[str, Form()] = "") -> Response:
    """Ask the source now whether it can be reached and read, beside what runs."""
    session = workbench_session(request)
    check_form(session, csrf)
    view = View(request, session)
    channel = _channel(view, session, name)
    checked = await asyncio.to_thread(_checked, view, channel) if channel and not listens(channel) else None
    return await _page(view, session, name, checked)


def _checked(view: View, channel: Channel) -> Checked:
    try:
        build(channel, lambda *_: (), outward=HttpOutward).check()
    except (SourceDenied, SourceUnavailable, UnknownChannel) as error:
        return Checked(False, str(error))
    return Checked(True, view.t("ops.check.well"))


def _channel(view: View, session: Session, name: str) -> Channel | None:
    """Raise NotFound for one that this account may not see."""
    channel = next((one for one in view.hub.county.channels if one.name == name), None)
    if channel is not None and not visible(session.access, channel.facility):
        raise NotFound(f"no channel {name}")
    return channel


async def _page(view: View, session: Session, name: str, checked: Checked | None = None) -> Response:
    intake = intake_of(view)
    channel = _channel(view, session, name)
    card, newest = await asyncio.to_thread(_seen, view, session, name)
    state = next((one for one in intake.states() if one.name == name), None)
    running = intake.connector(name) if state else None
    values: dict[str, Any] = {
        "here": "overview",
        "card": card,
        "newest": newest,
        "line_of": line_of,
        "settings": settings_of(channel) if channel else (),
        "polls": channel is not None and not listens(channel),
        "port": getattr(running, "port", None),
        "checked": checked,
    }
    return view.page("ops/connector.html", values)


def _seen(view: View, session: Session, name: str) -> tuple[Card, tuple[Message, ...]]:
    intake, store = intake_of(view), view.hub.store
    seen = overview_of(intake, store, session.access, view.hub.clock())
    card = next((card for card in seen.cards if card.source == name), None)
    if card is None:
        raise NotFound(f"no channel {name}")
    return card, search(intake.journal, store, Query(source=name, facility=session.access.facility), NEWEST).messages


def settings_of(channel: Channel) -> list[tuple[str, str]]:
    """As county.toml has them; what may be a secret is not shown, nor a password within an address."""
    stated = channel.model_dump(exclude={"options"}, exclude_defaults=True) | channel.options
    return [(name, HIDDEN if SECRET.search(name) else without_password(_shown(value))) for name, value in stated.items()]


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return str(value.get("name") or ", ".join(f"{name} = {_shown(each)}" for name, each in value.items()))
    return ", ".join(map(_shown, value)) if isinstance(value, list | tuple) else str(value)


def without_password(text: str) -> str:
    """mariadb://reader:secret@his?password=secret → mariadb://reader:••••@his?password=••••"""
    text = re.sub(r"(?<=://)([^/@:\s]*):\S*@", rf"\1:{HIDDEN}@", text)
    return re.sub(rf"((?:{SECRET.pattern})\w*=)[^&;,\s]*", rf"\1{HIDDEN}", text, flags=re.IGNORECASE)
