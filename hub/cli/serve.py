"""`yitong serve`: the process that writes, and the fronts that answer HTTP; one command supervises them and ends them in order.

Started in order: fronts, which prepare themselves meanwhile; store, journal, pipeline, listeners and pollers; then the fronts
listen. "ready" is printed when all of them answer.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path

import uvloop
from starlette.types import ASGIApp

from hub.api.hl7v2 import install_hl7v2
from hub.app import Hub, create_app, open_hub
from hub.cli.doctor import county_path
from hub.cli.logs import set_up_logs
from hub.errors import Unavailable
from hub.ingest.run import IntakeService
from hub.ingest.status import install_status
from hub.serving.fronts import Fronts
from hub.serving.saves import SAVE, save_with
from hub.serving.tunnel import SETTLE, Calls
from hub.settings import Channel, County, load_county

MLLP_PORT = 2575
DICOM_PORT = 11112
FREED_SECONDS = 1.0  # the fronts of a hub that was killed let the port go within this
MOST_FRONTS = 4  # unless more are asked for


def run_server(
    data: Path,
    *,
    host: str,
    port: int,
    mllp_port: int | None,
    dicom_port: int | None,
    config: Path | None,
    processes: int | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C. Raise Invalid or Unavailable when it cannot start."""
    set_up_logs()
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # it logs what senders wrote
    path = county_path(data, config)
    county = with_channels(load_county(path), data, host=host, mllp_port=mllp_port, dicom_port=dicom_port)
    web = _listen(host, port)
    fronts = Fronts(web, data, path, processes or min(os.cpu_count() or 1, MOST_FRONTS))
    try:
        hub = open_hub(data, county)
    except BaseException:
        fronts.kill()
        raise
    try:
        beside = path.parent if path else data
        intake = IntakeService(data, county, hub.store, hub.blobs, clock=hub.clock, beside=beside)
        intake.start()
        try:
            app = create_app(hub, beside=beside)
            install_status(app, intake)
            install_hl7v2(app, intake)
            sys.setswitchinterval(0.0005)  # listeners answer while the pipeline computes
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve(app, _calls(hub), fronts, _addresses(web, intake)))
        finally:
            intake.stop()
            fronts.kill()
    finally:
        hub.close()


def with_channels(county: County, data: Path, *, host: str, mllp_port: int | None, dicom_port: int | None) -> County:
    """The county with a listener for each port asked for on the command line; with none at all, the usual ones and an inbox."""
    nothing = not county.channels
    if nothing:
        mllp_port = MLLP_PORT if mllp_port is None else mllp_port
        dicom_port = DICOM_PORT if dicom_port is None else dicom_port
    more = []
    if mllp_port is not None:
        more.append(Channel(name="mllp", connector="hl7v2_mllp", zone=county.zone, options={"host": host, "port": mllp_port}))
    if dicom_port is not None:
        more.append(Channel(name="dicom", connector="dicom", zone=county.zone, options={"host": host, "port": dicom_port}))
    if nothing:
        inbox = data / "inbox"
        inbox.mkdir(mode=0o700, parents=True, exist_ok=True)
        more.append(Channel(name="inbox", connector="files", zone=county.zone, options={"folder": str(inbox), "every": 1}))
    return county.model_copy(update={"channels": (*county.channels, *more)})


def _listen(host: str, port: int) -> socket.socket:
    """The web server's socket, bound before anything else starts: a taken port is told at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, for the event loop switches Nagle off only then: with it on, every answer waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    until = time.monotonic() + FREED_SECONDS
    while True:
        try:
            listener.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE and time.monotonic() < until:
                time.sleep(0.05)
                continue
            listener.close()
            raise Unavailable(f"port {port} on {host} cannot be used: {error.strerror}; choose another with --port") from None
        return listener


async def _serve(app: ASGIApp, calls: Calls, fronts: Fronts, ready: str) -> None:
    """Answer what the fronts hand on, until SIGTERM or Ctrl-C."""
    loop = asyncio.get_running_loop()
    ending: list[asyncio.Task[None]] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: ending.append(loop.create_task(fronts.stop())))
    serving = loop.create_task(fronts.serve(app, calls))
    up = loop.create_task(fronts.all_up())
    await asyncio.wait((serving, up), return_when=asyncio.FIRST_COMPLETED)
    if up.done():
        gc.freeze()  # what starting made stays: a long record read at once makes the collector go over all that is not frozen
        sys.stdout.write(ready)
        sys.stdout.flush()
    await serving
    up.cancel()


def _calls(hub: Hub) -> Calls:
    """What the fronts ask beside requests."""

    async def settle(_: bytes) -> bytes:
        await asyncio.to_thread(hub.trail.settle)
        return b""

    return {SETTLE: settle, SAVE: save_with(hub.door)}


def _addresses(web: socket.socket, intake: IntakeService) -> str:
    host, port = web.getsockname()[:2]
    lines = [f"Yitong Hub is ready: http://{host}:{port}/ (pages), http://{host}:{port}/fhir (FHIR R4)"]
    for state in intake.states():
        port = getattr(intake.connector(state.name), "port", None)
        where = f"port {port}" if port else state.connector
        lines.append(f"  {state.name}: {where}, {'up' if state.up else state.problem or 'starting'}")
    return "\n".join(lines) + "\n"
