"""The port of a connector that listens, and the port of a system that is called."""

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


def connected(host: str, port: int, seconds: float) -> socket.socket:
    """Raise SourceUnavailable, which tells silence, refusal and an unknown name apart."""
    try:
        return socket.create_connection((host, port), seconds)
    except TimeoutError:
        said = f"{host}:{port} does not answer within {seconds:g} s: a firewall, or the wrong address"
    except ConnectionRefusedError:
        said = f"nothing listens on {host}:{port}: the service is down, or has another port"
    except (socket.gaierror, UnicodeError):
        said = f"no computer of the name {host} is known here (DNS)"
    except OSError as error:
        said = f"{host}:{port} cannot be reached ({error.strerror or type(error).__name__})"
    raise SourceUnavailable(said)
