"""What `yitong doctor` says of channels: whether each answers, how long it is silent, what waits; and when certificates end.

Those of destinations too.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectors.base import SourceDenied, SourceUnavailable
from hub.cli.certificates import expires
from hub.ingest.journal import Journal, SourceCount
from hub.ingest.message_index import NAME, MessageIndex
from hub.ingest.messages import Outcomes
from hub.settings import Alert, Channel, County
from hub.store.blobs import BlobStore
from hub.store.opening import LOCK
from hub.store.port import SourceTally

if TYPE_CHECKING:
    from hub.cli.doctor import Finding

SILENT = timedelta(hours=24)  # where no [[alert]] says otherwise
SOON = timedelta(days=30)  # a certificate that ends within it
TCP_SECONDS = 3.0
FAR_BEHIND = 10_000
PEM = (".pem", ".crt", ".cer")
AUTHORITIES = ("ca_file", "client_ca")  # options that name who signs


def channel_findings(county: County, data: Path) -> Iterator[Finding]:
    """Each channel's own check, of a listener whose hub runs, whether its port accepts connections; and when the certificates end
    that channels and destinations name."""
    running = hub_runs(data)
    for channel in county.channels:
        yield _checked(channel, running=running)
        yield from _certificates(channel.options)
    for destination in county.destinations:
        yield from _certificates(destination.options)


def hub_runs(data: Path) -> bool:
    """Whether a process holds the folder."""
    try:
        descriptor = os.open(data / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _checked(channel: Channel, *, running: bool) -> Finding:
    from connectors.registry import UnknownChannel, build, listens
    from hub.cli.doctor import Finding
    from hub.security.outward import HttpOutward

    name = f"Channel {channel.name}"
    try:
        connector = build(channel, lambda *_: (), outward=HttpOutward)
        if running and listens(channel):
            return _listening(channel, name)
        connector.check()
    except SourceDenied as error:
        return Finding(name, "broken", f"refused: {error}", "check the account and its rights")
    except SourceUnavailable as error:
        return Finding(
            name, "broken", f"not reachable: {error}", "check address, port and network; is the port taken by another program?"
        )
    except UnknownChannel as error:
        return Finding(name, "broken", str(error), "mend the channel in county.toml")
    return Finding(name, "ok", f"{channel.connector} answers")


def _listening(channel: Channel, name: str) -> Finding:
    """The running hub has the port: does it accept?"""
    from connectors.registry import config_of
    from hub.cli.doctor import Finding

    config: Any = config_of(channel)
    host, port = str(getattr(config, "host", "127.0.0.1")), int(getattr(config, "port", 0))
    if not port:
        return Finding(name, "ok", "the running hub chose its port; its log names it")
    with suppress(OSError):
        socket.create_connection(("127.0.0.1" if host in ("0.0.0.0", "::") else host, port), TCP_SECONDS).close()  # noqa: S104
        return Finding(name, "ok", f"port {port} of the running hub accepts connections")
    return Finding(name, "broken", f"port {port} accepts no connection although a hub runs", "look at its log, or at /ops")


# ---------------------------------------------------------------- certificates


def _certificates(options: Mapping[str, Any]) -> Iterator[Finding]:
    """Every PEM file that the options name as a certificate."""
    for path in sorted(set(_files(options))):
        yield certificate_finding(f"Certificate {path.name}", path, datetime.now(UTC))


def _files(options: Mapping[str, Any]) -> Iterator[Path]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _files(value)
        elif isinstance(value, str) and ("cert" in name or name in AUTHORITIES) and value.lower().endswith(PEM):
            yield Path(value)


def certificate_finding(name: str, path: Path, now: datetime) -> Finding:
    from hub.cli.doctor import Finding

    try:
        end = expires(path)
    except OSError as error:
        return Finding(name, "broken", f"{path}: {(error.strerror or 'cannot be read').lower()}", "mend the path in county.toml")
    except ValueError as error:
        return Finding(name, "broken", f"{path}: {error}", "a certificate in PEM begins with -----BEGIN CERTIFICATE-----")
    left = end - now
    if left < timedelta():
        return Finding(name, "broken", f"ended on {end:%Y-%m-%d}", "get a new one: senders that check it are refused")
    if left < SOON:
        return Finding(name, "warning", f"ends on {end:%Y-%m-%d}, in {left.days} days", "get a new one before that day")
    return Finding(name, "ok", f"until {end:%Y-%m-%d}")


# ---------------------------------------------------------------- what came, what waits


def record_findings(data: Path, county: County, outcomes: Outcomes) -> Iterator[Finding]:
    """Silence and backlog of each channel, and how far the message index is."""
    from hub.cli.doctor import Finding

    if not (data / "journal.sqlite").is_file():
        return
    with closing(Journal(data, BlobStore(data / "blobs", tidy=False))) as journal:
        counts, tallies, newest = journal.counts(), outcomes.tallies(), journal.newest()
    now = datetime.now(UTC)
    for channel in county.channels:
        yield from _of_channel(channel, county, counts.get(channel.name), tallies.get(channel.name, SourceTally()), now)
    if (data / NAME).is_file():
        with closing(MessageIndex(data)) as index:
            behind = newest - index.position
        state = Finding("Message index", "ok", f"{newest - behind} of {newest} messages can be searched")
        if behind > FAR_BEHIND:
            state = Finding("Message index", "warning", state.found, "it grows while the hub runs; or: yitong messages list")
        yield state


def _of_channel(
    channel: Channel, county: County, count: SourceCount | None, tally: SourceTally, now: datetime
) -> Iterator[Finding]:
    from hub.cli.doctor import Finding

    name = f"Records of {channel.name}"
    if count is None:
        yield Finding(name, "warning", "none has come yet", "is the source told where to send, or what may be read?")
        return
    rule = next((rule for rule in (*county.alerts, Alert()) if rule.channel in (channel.name, "")), Alert())
    allowed = timedelta(minutes=rule.silence_minutes) if rule.silence_minutes else SILENT
    silent = now - count.last
    if silent > allowed and not rule.is_quiet(now.astimezone()):
        long = f"{silent.total_seconds() / 3600:.0f} h" if silent > timedelta(hours=2) else f"{silent.total_seconds() / 60:.0f} min"
        yield Finding(name, "warning", f"silent for {long}", "ask the source's vendor; see when it last sent: yitong messages list")
    waiting = count.received - tally.finished
    if waiting > (rule.backlog or FAR_BEHIND):
        yield Finding(name, "warning", f"{waiting} wait to be mapped", "is the hub running, and its store writable? see its log")
