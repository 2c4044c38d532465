"""TLS of a listener and of a sender, and what a client certificate says of who shows it.

TLS 1.2 and later, as IHE ATNA's "BCP 195" option asks. https://www.rfc-editor.org/rfc/rfc9325
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from connectors.base import SourceUnavailable


class TlsFiles(BaseModel):
    """PEM files of a listener. `client_ca`: who signs the certificates that senders must then show."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    certificate: Path  # with its chain
    key: Path
    client_ca: Path | None = None


def listening(files: TlsFiles) -> ssl.SSLContext:
    """Raise SourceUnavailable naming the file that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, files.certificate, files.key)
    if files.client_ca is not None:
        _trust(context, files.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def calling(ca: Path | None = None, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """A sender's side: the receiver's certificate is checked against `ca`, or the system's, and against its name."""
    context = ssl.create_default_context(cafile=None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        _trust(context, ca)
    if certificate is not None:
        _load(context, certificate, key or certificate)
    return context


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise SourceUnavailable(f"tls: {certificate} and {key} cannot be used: {_said(error)}") from None


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise SourceUnavailable(f"tls: {ca} cannot be used: {_said(error)}") from None


def _said(error: OSError) -> str:
    return str(getattr(error, "reason", None) or error.strerror or type(error).__name__)


def facility_of(certificate: Mapping[str, Any], encoded: bytes, bound: Mapping[str, str]) -> str:
    """The facility that a checked client certificate is bound to, by any of its names or its fingerprint; "" for none."""
    return next((bound[name] for name in names_of(certificate, encoded) if name in bound), "")


def names_of(certificate: Mapping[str, Any], encoded: bytes) -> list[str]:
    """sha256:… of the certificate, then its subject alternative names, then its common names."""
    alternative = [str(value) for kind, value in certificate.get("subjectAltName", ()) if kind in {"DNS", "URI", "IP Address"}]
    common = [str(value) for part in certificate.get("subject", ()) for name, value in part if name == "commonName"]
    return [f"sha256:{hashlib.sha256(encoded).hexdigest()}", *alternative, *common]
