"""What `/ops/status` says of subscriptions: how much waits and what kind of trouble there is; no address, no header, no patient."""

from __future__ import annotations

from typing import Any

from hub.clock import instant
from hub.store.port import ResourceStore
from hub.subscriptions.outbox import Standing, standings_in


def subscriptions_status(store: ResourceStore) -> list[dict[str, Any]]:
    return [_told(standing) for standing in standings_in(store) if standing.registration.channel != "destination"]


def _told(standing: Standing) -> dict[str, Any]:
    registration, progress = standing.registration, standing.progress
    return {
        "id": registration.id,
        "facility": registration.owner.facility,
        "channel": registration.channel,
        "topic": registration.topic,
        "status": registration.state,
        "events": standing.number,
        "pending": standing.number - progress.done,
        "failures": progress.failures,
        "problem": progress.problem,
        "next": instant(progress.next) if progress.failures else None,
        "delivered": instant(progress.sent) if progress.sent else None,
    }
