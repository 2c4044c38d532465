"""A hub process under measurement, in a folder of its own, with an administrator's token."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from demo.process import HubProcess, free_ports


class BenchHub:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.mllp_port, self.dicom_port = free_ports(3)
        options = ("--mllp-port", str(self.mllp_port), "--dicom-port", str(self.dicom_port))
        self._process = HubProcess(folder, self.port, *options)
        self.token = ""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def url(self) -> str:
        return self._process.url

    def wait(self) -> None:
        """Until it answers."""
        self._process.wait_until_ready()

    def settle(self) -> None:
        """Wait until the AuditEvents of what was measured before are in the store: whoever asks for one sees all."""
        asked = {"_id": "none", "_summary": "count"}
        headers = {"Authorization": f"Bearer {self.token}"}
        httpx.get(f"{self.url}/fhir/AuditEvent", params=asked, headers=headers, timeout=600).raise_for_status()

    def __enter__(self) -> Self:
        self.wait()
        command = [sys.executable, "-m", "hub", "token", "create", "--data", str(self.folder), "--name", "bench", "--role", "admin"]
        self.token = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.__exit__(kind, error, trace)
