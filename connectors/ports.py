"""The port of a connector that listens."""

from __future__ import annotations

import socket

from connectors.base import SourceUnavailable


def bound(host: str, port: int) -> socket.socket:
    """Bound, not yet listening. Raise SourceUnavailable saying why the port cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, for event loops switch Nagle off only then: with it on, an answer may wait 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SourceUnavailable(f"port {port} on {host} cannot be bound: {error.strerror}") from None
    return listener
