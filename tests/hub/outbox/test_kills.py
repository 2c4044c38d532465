"""kill -9 of a hub in the midst of sending: no report is lost, none overtakes, and a repeated one is known by its control id."""

from __future__ import annotations

import os
import signal

import httpx
import pytest

from demo.process import HubProcess, free_ports
from tests.hub.outbox.peers import MllpPeer
from tests.hub.outbox.resources import bundle, patient, put, report, sodium
from tests.hub.subscriptions.served import token

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]
PATIENCE = 120.0
COUNTY = """
[[facility]]
code = "CTY"
name = "示范县人民医院"
[[destination]]
name = "lis"
kind = "mllp"
facility = "*"
criteria = ["DiagnosticReport?status=final"]
host = "127.0.0.1"
port = {port}
first_retry_seconds = 0.05
longest_retry_seconds = 0.2
"""


def serve(folder, peer):
    config = folder / "county.toml"
    config.write_text(COUNTY.format(port=peer.port))
    http, mllp, dicom = free_ports(3)
    options = ["--mllp-port", str(mllp), "--dicom-port", str(dicom), "--processes", "1", "--config", str(config)]
    return HubProcess(folder / "data", http, *options)


def until(peer, id):
    with peer.changed:
        assert peer.changed.wait_for(lambda: id in peer.ids(), PATIENCE), peer.ids()[-3:]


def test_kill_9_loses_no_report_mixes_no_order_and_repeats_under_the_same_control_id(tmp_path):
    ids = [f"R{number:03}" for number in range(50)]
    with MllpPeer() as peer:
        # answers that come, that fail, that never come: whenever the hub is killed it is in the midst of something
        peer.answer = lambda message: {9: "AE", 17: ""}.get(len(peer.messages) % 20, "AA")
        bearer = ""
        for turn in range(2):
            with serve(tmp_path, peer) as process:
                process.wait_until_ready()
                bearer = bearer or token(process, "")
                with httpx.Client(base_url=process.url, headers={"authorization": f"Bearer {bearer}"}, timeout=30) as client:
                    for id in ids[turn * 25 : turn * 25 + 25]:
                        entries = bundle("transaction", put(patient()), put(sodium(f"o-{id}")), put(report(id)))
                        assert client.post("/fhir", json=entries).status_code == 200
                    until(peer, ids[turn * 25 + 4])
                    if turn == 0:
                        os.kill(process.pid, signal.SIGKILL)
                    else:
                        until(peer, ids[-1])
        control_ids = {}
        for message in peer.messages:
            id = str(message.segment("OBR")[3])
            assert control_ids.setdefault(id, str(message.segment("MSH")[10])) == str(message.segment("MSH")[10])
        assert list(control_ids) == ids
        assert len(set(control_ids.values())) == len(ids)
