"""A hub as a child process: for the demo and the measurements."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

import httpx

START_SECONDS = 60


def free_ports(count: int) -> list[int]:
    """Ports that are free now; all are held until all are known, so that they differ."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()


class HubProcess(AbstractContextManager["HubProcess"]):
    """`yitong serve` as a child process; its log lies in the data folder."""

    def __init__(self, data: Path, port: int, *options: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.data = data
        self.log = data / "hub.log"
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._log = self.log.open("ab")
        command = [sys.executable, "-m", "hub", "serve", "--data", str(data), "--port", str(port), *options]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self, seconds: float = START_SECONDS) -> None:
        until = time.monotonic() + seconds
        with httpx.Client(timeout=2) as client:  # one for all: to make one costs more than ten questions
            while time.monotonic() < until:
                if self._process.poll() is not None:
                    raise RuntimeError(f"the hub stopped while starting; see {self.log}")
                try:
                    if client.get(f"{self.url}/health").status_code == httpx.codes.OK:
                        return
                except httpx.TransportError:
                    pass
                time.sleep(0.05)
        raise RuntimeError(f"the hub did not answer within {seconds:g} s; see {self.log}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
