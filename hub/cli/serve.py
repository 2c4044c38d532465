"""`yitong serve`: one process that runs everything and ends in order.

Started in order: store, journal, pipeline, listeners and pollers, then the web server; "ready" is printed when all of them answer.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from pathlib import Path

import uvicorn
import uvloop

from hub.app import Hub, create_app, open_hub
from hub.cli.doctor import county_path
from hub.errors import Unavailable
from hub.ingest.run import IntakeService
from hub.ingest.status import install_status
from hub.settings import Channel, County, load_county

MLLP_PORT = 2575
DICOM_PORT = 11112
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def run_server(data: Path, *, host: str, port: int, mllp_port: int | None, dicom_port: int | None, config: Path | None) -> None:
    """Serve until SIGTERM or Ctrl-C. Raise Invalid or Unavailable when it cannot start."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # it logs what senders wrote
    path = county_path(data, config)
    county = with_channels(load_county(path), data, host=host, mllp_port=mllp_port, dicom_port=dicom_port)
    web = _listen(host, port)
    hub = open_hub(data, county)
    try:
        beside = path.parent if path else data
        intake = IntakeService(data, county, hub.store, hub.blobs, clock=hub.clock, beside=beside)
        intake.start()
        try:
            _serve(hub, intake, web, beside)
        finally:
            intake.stop()
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
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Unavailable(f"port {port} on {host} cannot be used: {error.strerror}; choose another with --port") from None
    return listener


class _Server(uvicorn.Server):
    """Says when it is ready, and leaves signals to us."""

    def __init__(self, config: uvicorn.Config, ready: str) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        sys.stdout.write(self._ready)
        sys.stdout.flush()


def _serve(hub: Hub, intake: IntakeService, web: socket.socket, beside: Path) -> None:
    app = create_app(hub, beside=beside)
    install_status(app, intake)
    config = uvicorn.Config(
        app,
        http="httptools",
        lifespan="off",
        log_level="warning",
        access_log=False,  # paths of searches may carry what a client should not have put there
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
        limit_concurrency=1000,
        h11_max_incomplete_event_size=64 * 1024,
    )
    server = _Server(config, _addresses(web, intake))
    sys.setswitchinterval(0.0005)  # listeners answer while the pipeline computes
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve(sockets=[web]))


def _addresses(web: socket.socket, intake: IntakeService) -> str:
    host, port = web.getsockname()[:2]
    lines = [f"Yitong Hub is ready: http://{host}:{port}/ (pages), http://{host}:{port}/fhir (FHIR R4)"]
    for state in intake.states():
        port = getattr(intake.connector(state.name), "port", None)
        where = f"port {port}" if port else state.connector
        lines.append(f"  {state.name}: {where}, {'up' if state.up else state.problem or 'starting'}")
    return "\n".join(lines) + "\n"
