"""Settings of one DICOM listener, as `[[channel]]` in county.toml states them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from connectors.tls import TlsFiles


class DicomConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(default=11112, ge=0, le=65535)  # 0: any free one
    ae_title: str = Field(default="YITONG", min_length=1, max_length=16)
    called_only: bool = False  # refuse who calls us by another title than ae_title or those of called_ae_titles
    ae_titles: dict[str, str] = Field(default_factory=dict)  # calling AE title → facility code
    called_ae_titles: dict[str, str] = Field(default_factory=dict)  # the title we are called by → facility code
    known_only: bool = False  # refuse associations of AE titles that ae_titles does not name
    sop_classes: tuple[str, ...] = ()  # UIDs of private storage classes, taken beside those of the standard
    any_sop_class: bool = False  # take every class that a sender proposes
    tls: TlsFiles | None = None
    certificates: dict[str, str] = Field(default_factory=dict)  # a client certificate's name or sha256:… → its facility's code
    max_pdu: int = Field(default=131072, ge=4096, le=16 * 1024 * 1024)
    max_associations: int = Field(default=64, ge=1)
    max_associations_per_peer: int = Field(default=64, ge=1)  # of one address
    max_instance_bytes: int = Field(default=1 << 30, ge=1024)
    window: int = Field(default=8, ge=1, le=64)  # C-STOREs of one association at a time, where the sender asks for more than one
    network_timeout: float = Field(default=60.0, gt=0)  # silence within an association before it is aborted, s
    artim_timeout: float = Field(default=30.0, gt=0)  # from connection to association request, s
    dimse_timeout: float = Field(default=60.0, gt=0)  # for each further part of a message that began, s
    stop_timeout: float = Field(default=5.0, ge=0)  # how long stopping waits for instances in flight, s

    @model_validator(mode="after")
    def bound_by_certificates_that_are_asked_for(self) -> DicomConfig:
        if self.certificates and (self.tls is None or self.tls.client_ca is None):
            raise ValueError("certificates are bound to facilities only where tls.client_ca says who signs them")
        return self
