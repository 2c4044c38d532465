"""What goes on beside requests where catalogues and evidence are published, and publishing itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hub.recognition.publishing.library import Facts, Publication
from hub.recognition.publishing.review import Reviews
from hub.recognition.publishing.what_if import WhatIf
from hub.recognition.service import RecognitionService
from hub.security.access import Access
from hub.store.port import Saved

if TYPE_CHECKING:
    from hub.app import Hub


def serve_publishing(hub: Hub, service: RecognitionService) -> None:
    """The work of a running hub."""
    Reviews(hub, service).serve()
    WhatIf(hub, service).serve()


async def publish_facts(hub: Hub, service: RecognitionService, access: Access, facts: Facts) -> Saved:
    """From its day on it holds, and open prompts that rest on what it takes away are marked. Raise NotAllowed, Published."""
    publication = Publication(facts)
    saved = await hub.door.writing(access, lambda writes: writes.publish(publication), "operation")
    await asyncio.to_thread(Reviews(hub, service).look)
    return saved
