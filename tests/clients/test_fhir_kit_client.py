"""fhir-kit-client, under node: https://github.com/Vermonster/fhir-kit-client (installed by scripts/setup.sh)"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.conftest import Server

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "yitong-hub"
KIT = CACHE / "fhir-kit-client-1.9.2"


@pytest.mark.skipif(not shutil.which("node") or not (KIT / "node_modules").is_dir(), reason=f"no node, or nothing at {KIT}")
def test_it_walks_the_whole_server(server: Server) -> None:
    done = subprocess.run(
        ["node", HERE / "kit.mjs", KIT, server.base, server.token], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "fhirVersion": "4.0.1",
        "read": "赵",
        "updated": "2",
        "patched": "male",
        "vread": "none",
        "history": 3,
        "pages": [["钱0", "钱1"], ["钱2", "钱3"], ["钱4"]],
        "posted": 1,
        "compartment": 0,
        "batch": "200 OK",
        "everything": True,
        "deleted": 410,
        "unknown": 404,
        "invalid": 400,
        "stranger": 401,
    }
