"""A hub as `yitong serve` runs it, with receivers on the loopback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from demo.process import HubProcess, free_ports

CONFIG = """
[egress]
allow = ["127.0.0.1"]
[store]
takeover_seconds = 2
[subscriptions]
first_retry_seconds = 0.05
longest_retry_seconds = 0.2
"""


def serve(folder: Path, store: str, *, processes: int = 1) -> HubProcess:
    """`store`: an address, or "" for its own folder."""
    folder.mkdir(exist_ok=True)
    config = folder / "county.toml"
    config.write_text(CONFIG)
    http, mllp, dicom = free_ports(3)
    options = ["--mllp-port", str(mllp), "--dicom-port", str(dicom), "--processes", str(processes), "--config", str(config)]
    return HubProcess(folder / "data", http, *options, *_on(store))


def _on(store: str) -> list[str]:
    return ["--store", store] if store else []


def token(hub: HubProcess, store: str) -> str:
    command = [sys.executable, "-m", "hub", "token", "create", "--data", str(hub.data), "--name", "a", "--role", "admin"]
    return subprocess.run([*command, *_on(store)], capture_output=True, text=True, check=True).stdout.split()[-1]


def client(hub: HubProcess, bearer: str) -> httpx.Client:
    return httpx.Client(base_url=f"{hub.url}/fhir/", headers={"authorization": f"Bearer {bearer}"}, timeout=30)


def socket(hub: HubProcess, **headers: str) -> ClientConnection:
    return connect(f"{hub.url.replace('http', 'ws')}/fhir/$websocket", additional_headers=headers, proxy=None)


def put(asking: httpx.Client, resource: dict[str, Any]) -> None:
    answer = asking.put(f"{resource['resourceType']}/{resource['id']}", json=resource)
    assert answer.status_code in (200, 201), answer.text
