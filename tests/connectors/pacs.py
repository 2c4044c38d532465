"""A real PACS for tests: Debian's Orthanc in a folder of its own, by DIMSE, REST and (where its plugin is installed) DICOMweb."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

STARTING = 60
PLUGINS = (
    Path(os.environ.get("ORTHANC_DICOMWEB", "/nowhere")),
    Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"),
    Path("/usr/lib/orthanc/libOrthancDicomWeb.so"),
)
USER, PASSWORD = "hub", "not-a-secret"


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def dicomweb_plugin() -> Path | None:
    return next((path for path in PLUGINS if path.is_file()), None)


class Orthanc:
    """AE title ORTHANC; knows the AE title HUB on `move_port` as a destination."""

    def __init__(self, folder: Path, *, move_port: int = 11112) -> None:
        program = shutil.which("Orthanc", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            pytest.fail("Orthanc is not installed; this test needs it: apt-get install orthanc")
        self._program = program
        self._folder = folder
        self.dicom_port, self.http_port = free_ports(2)
        plugin = dicomweb_plugin()
        self.web = f"http://127.0.0.1:{self.http_port}/dicom-web" if plugin else ""
        configuration: dict[str, Any] = {
            "Name": "test", "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"),
            "HttpPort": self.http_port, "RemoteAccessAllowed": False, "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: PASSWORD}, "DicomPort": self.dicom_port, "DicomAet": "ORTHANC",
            "DicomModalities": {"hub": ["HUB", "127.0.0.1", move_port]}, "DicomAlwaysAllowEcho": True, "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True, "DicomAlwaysAllowStore": True, "TcpNoDelay": True,
            "DefaultEncoding": "Chinese", "StableAge": 1, "OverwriteInstances": True, "Plugins": [str(plugin)] if plugin else [],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableMetadataCache": False},
        }  # fmt: skip
        self._configuration = folder / "orthanc.json"
        self._configuration.write_text(json.dumps(configuration))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = (self._folder / "orthanc.log").open("ab")
        self._process = subprocess.Popen([self._program, str(self._configuration)], stdout=log, stderr=log)
        until = time.monotonic() + STARTING
        while time.monotonic() < until and self._process.poll() is None:
            try:
                if self._rest("GET", "/system").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        pytest.fail(f"Orthanc did not start: {(self._folder / 'orthanc.log').read_text()[-800:]}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def put(self, files: Iterable[bytes]) -> None:
        for content in files:
            assert self._rest("POST", "/instances", content).status_code == 200

    def clear(self) -> None:
        for study in self._rest("GET", "/studies").json():
            self._rest("DELETE", f"/studies/{study}")

    def files(self) -> list[bytes]:
        """What it holds, as it keeps it."""
        return [self._rest("GET", f"/instances/{each}/file").content for each in self._rest("GET", "/instances").json()]

    def _rest(self, method: str, path: str, content: bytes = b"") -> httpx.Response:
        url = f"http://127.0.0.1:{self.http_port}{path}"
        return httpx.request(method, url, content=content, auth=(USER, PASSWORD), timeout=60)
