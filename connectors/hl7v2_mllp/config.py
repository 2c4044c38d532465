"""Options of a channel whose connector is hl7v2_mllp."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class MllpConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(default=2575, ge=0, le=65535)  # 0: any free port
    facilities: dict[str, str] = Field(default_factory=dict)  # MSH-4 → facility code, for a channel that several facilities share
    accept: tuple[str, ...] = ()  # MSH-4 values that may send here; empty: any
    max_frame_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    idle_seconds: float = Field(default=60.0, gt=0)  # without a block
    read_seconds: float = Field(default=30.0, gt=0)  # for a whole block, once begun
    max_connections: int = Field(default=256, ge=1)
    max_connections_per_peer: int = Field(default=64, ge=1)
    workers: int = Field(default=16, ge=1, le=256)  # hand-overs to the journal at one time: they share its syncs
