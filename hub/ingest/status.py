"""`GET /ops/status`: what came in by each channel and what became of it. For roles admin and it; counts only, no patient data."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hub.api.auth import access_of
from hub.api.responses import error_answer
from hub.errors import HubError, NotAllowed
from hub.ingest.alerts import told
from hub.ingest.metrics import install_metrics
from hub.ingest.run import IntakeService
from hub.ingest.workbench import serve_workbench
from hub.outbox.queue import lanes
from hub.store.port import ResourceStore, SourceTally
from hub.subscriptions.status import subscriptions_status

if TYPE_CHECKING:
    from hub.app import Hub


MOST_LISTED = 50


def install_status(app: FastAPI, intake: IntakeService) -> None:
    """The pages read `app.state.intake` too: they say whose newest data may be missing."""
    app.state.intake = intake
    serve_workbench(app.state.hub, intake)
    install_metrics(app, intake)

    @app.get("/ops/status")
    async def status(request: Request) -> Response:
        try:
            if access_of(request).role not in {"admin", "it"}:
                raise NotAllowed("the intake's state is for the roles admin and it")
        except HubError as error:
            return error_answer(error)
        hub: Hub = app.state.hub
        return JSONResponse(await run_in_threadpool(intake_status, intake, hub.store))


def intake_status(intake: IntakeService, store: ResourceStore) -> dict[str, Any]:
    """Per channel: received, duplicates, done, dead, issues (records that have some), resources; what waits; the newest dead
    records with their reasons; how subscriptions stand; and the codes that most records hold and no table maps."""
    counts, tallies = intake.journal.counts(), store.tallies()
    states = {state.name: state for state in intake.states()}
    channels = []
    for source in sorted({*counts, *tallies, *states}):
        count, state = counts.get(source), states.get(source)
        channels.append(
            {
                "source": source,
                "connector": state.connector if state else "",
                "up": bool(state and state.up),
                "problem": state.problem if state else "not in county.toml",
                "received": count.received if count else 0,
                "duplicates": count.duplicates if count else 0,
                "last": count.last.isoformat() if count else None,
                **asdict(tallies.get(source, SourceTally())),
            }
        )
    dead = store.outcomes(state="dead", limit=MOST_LISTED, newest=True)
    return {
        "waiting": intake.pipeline.lag,
        "problem": intake.problem,
        "alerts": [told(alert) for alert in intake.alerts.firing()],
        "channels": channels,
        "dead": [{"seq": o.seq, "source": o.source, "facility": o.facility, "kind": o.kind, "reason": o.reason} for o in dead],
        "subscriptions": subscriptions_status(store),
        "destinations": [asdict(lane) for lane in lanes(store)],
        "unmapped": [asdict(code) for code in store.unmapped(MOST_LISTED)],
    }
