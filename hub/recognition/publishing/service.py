"""What goes on beside requests where catalogues and evidence are published, and publishing itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hub.errors import HubError, Kind
from hub.recognition.held import FILE, Held
from hub.recognition.publishing.library import Facts, Publication, head_of
from hub.recognition.publishing.review import Reviews
from hub.recognition.publishing.what_if import WhatIf
from hub.recognition.service import RecognitionService
from hub.security.access import Access
from hub.security.policy import check_publish
from hub.store.port import Saved

if TYPE_CHECKING:
    from hub.app import Hub


def serve_publishing(hub: Hub, service: RecognitionService) -> None:
    """The work of a running hub."""
    Reviews(hub, service).serve()
    WhatIf(hub, service).serve()


class Outdated(HubError):
    """What is to be published is dated before what holds for its area: it would never hold."""

    kind = Kind.CONFLICT


async def publish_facts(hub: Hub, service: RecognitionService, access: Access, facts: Facts) -> Saved:
    """From its day on it holds, and open prompts that rest on what it takes away are marked.

    Raise NotAllowed, Published, or Outdated.
    """
    publication = Publication(facts)
    check_publish(access)
    _check_day(await service.look(), publication)
    saved = await hub.door.writing(access, lambda writes: writes.publish(publication), "operation")
    await asyncio.to_thread(Reviews(hub, service).look)
    return saved


def _check_day(held: Held, publication: Publication) -> None:
    head, kind = head_of(publication.facts), publication.kind
    region = getattr(head, "region", "")
    for each in held.holds:
        same = (each.kind, each.region) == (kind, region) and each.library not in (FILE, publication.id)
        if same and head.published < each.published:
            raise Outdated(f"version {each.version}, which holds, is of {each.published}: choose that day or a later one")
