"""Options of a channel whose connector is hl7v2_mllp."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from connectors.hl7v2_mllp.binding import NATIONAL, Senders
from connectors.tls import TlsFiles


class MessageConfig(BaseModel):
    """What holds of messages, whatever carries them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    facilities: dict[str, str] = Field(default_factory=dict)  # MSH-4 → facility code, for a channel that several facilities share
    accept: tuple[str, ...] = ()  # MSH-4 values that may send here; empty: any
    authorities: tuple[str, ...] = NATIONAL  # of PID-3 that are no facility's: a sender bound to a facility may state them too
    control_id_days: float = Field(
        default=7, ge=0
    )  # in which MSH-10 names one message; 0: the source counts anew whenever it likes

    def senders(self) -> Senders:
        return Senders(self.facilities, frozenset(self.accept), frozenset(self.authorities))


class Address(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(default=2575, ge=0, le=65535)  # 0: any free port


class MllpConfig(MessageConfig, Address):
    tls: TlsFiles | None = None
    certificates: dict[str, str] = Field(default_factory=dict)  # a client certificate's name or sha256:… → its facility's code
    max_frame_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    max_buffered_bytes: int = Field(default=256 * 1024 * 1024, ge=1024)  # of blocks begun and not ended, all connections together
    idle_seconds: float = Field(default=60.0, gt=0)  # without a block
    read_seconds: float = Field(default=30.0, gt=0)  # for a whole block, once begun
    max_connections: int = Field(default=1024, ge=1)
    max_connections_per_peer: int = Field(default=768, ge=1)
    max_messages_per_second: float = Field(default=1000.0, gt=0)  # of one connection; beyond it reading waits
    workers: int = Field(default=4, ge=1, le=64)  # hand-overs to the journal at one time: each takes what waits

    @model_validator(mode="after")
    def bound_by_certificates_that_are_asked_for(self) -> MllpConfig:
        if self.certificates and (self.tls is None or self.tls.client_ca is None):
            raise ValueError("certificates are bound to facilities only where tls.client_ca says who signs them")
        return self
