"""A hub process under measurement, in a folder of its own, with an administrator's token."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from demo.process import HubProcess, free_ports
from hub.security.tokens import TokenStore


class BenchHub:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.mllp_port, self.dicom_port = free_ports(3)
        options = ("--mllp-port", str(self.mllp_port), "--dicom-port", str(self.dicom_port))
        self._process = HubProcess(folder, self.port, *options)
        self.token = TokenStore(folder).create("benchmark", "admin")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def url(self) -> str:
        return self._process.url

    def __enter__(self) -> BenchHub:
        self._process.wait_until_ready()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.__exit__(kind, error, trace)
