"""Options of a channel whose connector is hl7v2_http."""

from __future__ import annotations

from pydantic import Field

from connectors.hl7v2_mllp.config import MessageConfig


class HttpConfig(MessageConfig):
    max_body_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    max_messages: int = Field(default=10_000, ge=1)  # of one body
