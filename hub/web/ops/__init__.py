"""The workbench of hospital IT: what comes in, what became of it, what hangs and why. For the roles admin and it."""

from __future__ import annotations

from fastapi import APIRouter

from hub.web.ops.code_tables import router as code_tables
from hub.web.ops.codes import router as codes
from hub.web.ops.connector import router as connector
from hub.web.ops.dead import router as dead
from hub.web.ops.discards import router as discards
from hub.web.ops.emergencies import router as emergencies
from hub.web.ops.identity import router as identity
from hub.web.ops.mapping import router as mapping
from hub.web.ops.message import router as message
from hub.web.ops.messages import router as messages
from hub.web.ops.outbox import router as outbox
from hub.web.ops.overview import router as overview
from hub.web.ops.quality import router as quality
from hub.web.ops.recognition import router as recognition
from hub.web.ops.replays import router as replays

router = APIRouter()
for part in (
    *(overview, connector, messages, message, dead, discards, identity, codes, code_tables, mapping, outbox, quality, replays),
    *(emergencies, recognition),
):
    router.include_router(part)
