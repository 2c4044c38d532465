"""A hub with its intake running: a laboratory and a village clinic have sent, some of it wrong. Nobody here exists."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI

from connectors.hl7v2_mllp.client import MllpClient
from hub.app import Hub, create_app, open_hub
from hub.ingest.run import IntakeService
from hub.ingest.status import install_status
from hub.settings import Alert, Channel, County, Facility
from tests.hub.ingest.messages import oru

COUNTY = County(
    name="示范县医共体",
    name_en="Demonstration county",
    facility=(
        Facility(code="CTY", name="示范县人民医院", name_en="County Hospital"),
        Facility(code="TWP", name="青山镇中心卫生院"),
    ),
    alert=(Alert(channel="twp-his", down_minutes=0.0001),),
    channel=(
        Channel(name="cty-lis", connector="hl7v2_mllp", facility="CTY", options={"port": 0}),
        Channel(name="twp-lis", connector="hl7v2_mllp", facility="TWP", options={"port": 0}),
        Channel(
            name="twp-his",
            connector="sql",
            facility="TWP",
            options={
                "url": "mysql+pymysql://reader:s3cret@127.0.0.1:1/his?passwd=s3cret",
                "views": [{"name": "v_patient", "key": ["patient_id"], "changed_at": "changed_at"}],
            },
        ),
    ),
)
GOOD = 4
NO_PATIENT = b"MSH|^~\\&|LIS|CTY|HUB|HUB|20240501080000||ORU^R01|BAD%d|P|2.4\rOBR|1|R9|L9|CHEM^X\r"


@dataclass
class Bench:
    hub: Hub
    app: FastAPI
    tokens: dict[str, str]
    intake: IntakeService

    def send(self, channel: str, *messages: bytes) -> None:
        """Over MLLP; returns when each has its outcome."""
        with MllpClient("127.0.0.1", self.intake.connector(channel).port) as laboratory:
            for message in messages:
                laboratory.send(message)
        assert self.intake.pipeline.wait_until_idle(60)

    def close(self) -> None:
        self.intake.stop()
        self.hub.close()


def build(folder: Path, store: str = "") -> Bench:
    """`store`: the address of a MongoDB, else the folder itself."""
    hub = open_hub(folder, COUNTY, store=store)
    app = create_app(hub)
    intake = IntakeService(folder, COUNTY, hub.store, hub.blobs)
    install_status(app, intake)
    intake.start()
    accounts = {"it": ("it", ""), "it-TWP": ("it", "TWP"), "admin": ("admin", ""), "doctor": ("clinician", "CTY")}
    tokens = {name: hub.tokens.create(name, role, facility) for name, (role, facility) in accounts.items()}
    bench = Bench(hub, app, tokens, intake)
    bench.send("cty-lis", *(oru(number) for number in range(1, GOOD + 1)), NO_PATIENT % 1, NO_PATIENT % 2)
    bench.send("twp-lis", oru(50, patient="T50"))
    _wait_for_the_source_that_is_not_there(intake)
    return bench


def _wait_for_the_source_that_is_not_there(intake: IntakeService) -> None:
    end = time.monotonic() + 30
    while not any(state.name == "twp-his" and state.problem for state in intake.states()):
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(0.05)  # so long that the rule calls it down
    intake.alerts.look()
