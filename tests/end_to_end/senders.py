"""A county's systems that go on sending whatever happens to the hub: each until it is acknowledged, and now and then once more.

Every one is a thread with its own chance. `delivered` holds what the hub owes an effect: what was acknowledged over a wire, what
was committed in a database that is polled, what was put into a folder whole.
"""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path

from pydicom import dcmread

from connectors.base import SourceUnavailable
from connectors.dicom.sender import send
from connectors.hl7v2_mllp.client import MllpClient
from connectors.sql.rows import key_text
from demo.pacs_objects import Exam, chest_film, uid
from tests.hub.ingest.messages import oru

START_SECONDS = 60.0
PAUSE = 0.02  # seconds between two records: the pipeline works while they come
AGAIN = 0.05  # of the records are sent a second time
ITEMS = 5
NOW = "strftime('%Y-%m-%d %H:%M:%f', 'now', '+8 hours')"
TAKEN = datetime(2024, 5, 1, 8, tzinfo=timezone(timedelta(hours=8)))


class Sender(threading.Thread):
    """One system; `name` is its channel's."""

    pause = PAUSE

    def __init__(self, name: str, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.sent = 0
        self.delivered: set[str] = set()
        self._chance = random.Random(f"{seed}/{name}")
        self._answered = threading.Condition()
        self._ended = threading.Event()

    @property
    def channel(self) -> str:
        """Its [[channel]] of county.toml, without the name."""
        raise NotImplementedError

    def deliver(self, number: int) -> str:
        """Send one record: the journal's key of it once it is the hub's, "" if it has to be sent again."""
        raise NotImplementedError

    def run(self) -> None:
        number = 0
        while not self._ended.is_set():
            number += 1
            while not self._ended.is_set() and not self._delivered(number):
                self._ended.wait(PAUSE)
            self._ended.wait(self.pause)
            if self._chance.random() < AGAIN:
                self._delivered(self._chance.randint(1, number))

    def _delivered(self, number: int) -> bool:
        key = self.deliver(number)
        if not key:
            return False
        with self._answered:
            self.sent += 1
            self.delivered.add(key)
            self._answered.notify_all()
        return True

    def next_is_delivered(self) -> bool:
        with self._answered:
            before = self.sent
            return self._answered.wait_for(lambda: self.sent > before, START_SECONDS)

    def stop(self) -> None:
        self._ended.set()
        self.join(60)


class Laboratory(Sender):
    """HL7 v2 over MLLP."""

    def __init__(self, port: int, seed: int) -> None:
        super().__init__("cty-lis", seed)
        self.port = port
        self._client = MllpClient("127.0.0.1", port, timeout=20)

    @property
    def channel(self) -> str:
        return f'connector = "hl7v2_mllp"\nfacility = "CTY"\nport = {self.port}\n'

    def deliver(self, number: int) -> str:
        try:
            answer = self._client.send(oru(number, items=ITEMS, patient=f"P{number % 50}"))
        except SourceUnavailable:
            return ""
        return f"M{number}" if b"MSA|AA|" in answer else ""

    def stop(self) -> None:
        super().stop()
        self._client.close()


class Hospital(Sender):
    """A database whose rows the hub polls; a row is changed now and then."""

    pause = 0.1

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__("cty-his", seed)
        self.path = folder / "his.sqlite"
        with self._connect() as database:
            database.executescript(
                "PRAGMA journal_mode=WAL;"
                "CREATE TABLE v_patient(patient_id TEXT PRIMARY KEY, name TEXT, sex TEXT, birth TEXT, phone TEXT, changed_at TEXT)"
            )

    @property
    def channel(self) -> str:
        view = '{ name = "v_patient", key = ["patient_id"], changed_at = "changed_at" }'
        return f'connector = "sql"\nfacility = "CTY"\nurl = "sqlite:///{self.path}"\nevery = 0.2\nviews = [{view}]\n'

    def deliver(self, number: int) -> str:
        row = (f"H{number}", f"测试{number}", "2", "1970-03-01", f"138{self._chance.randrange(10**8):08d}")
        with self._connect() as database:
            database.execute(f"INSERT OR REPLACE INTO v_patient VALUES (?, ?, ?, ?, ?, {NOW})", row)
        return key_text(row[:1])

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=30)


class Documents(Sender):
    """Files put whole into a folder that the hub empties."""

    pause = 0.2

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__("cty-emr", seed)
        self.folder = folder / "emr"
        self.folder.mkdir()

    @property
    def channel(self) -> str:
        return f'connector = "files"\nfacility = "CTY"\nfolder = "{self.folder}"\nevery = 0.2\nsettle_seconds = 0.2\n'

    def deliver(self, number: int) -> str:
        name = f"report-{number}.hl7"
        part = self.folder / f".{name}.part"
        part.write_bytes(oru(1_000_000 + number, patient=f"D{number % 20}"))
        part.rename(self.folder / name)
        return name


class Imaging(Sender):
    """A modality: one association an image."""

    pause = 0.2

    def __init__(self, port: int, seed: int) -> None:
        super().__init__("cty-pacs", seed)
        self.port = port

    @property
    def channel(self) -> str:
        return f'connector = "dicom"\nfacility = "CTY"\nport = {self.port}\n'

    def deliver(self, number: int) -> str:
        image = dcmread(BytesIO(picture(number)))
        try:
            (status,) = send("127.0.0.1", self.port, [image], timeout=20)
        except (SourceUnavailable, OSError):
            return ""
        return str(image.SOPInstanceUID) if status == 0 else ""


def picture(number: int) -> bytes:
    exam = Exam(
        patient_id=f"I{number % 20}",
        name=f"测试{number % 20}",
        sex="F",
        birth_date=date(1970, 3, 1),
        accession=f"A{number}",
        study_uid=uid("senders", str(number)),
        started=TAKEN,
    )
    return chest_film(exam, seed=number, size=64)[0]


def county(senders: Sequence[Sender]) -> str:
    """county.toml."""
    channels = "".join(f'[[channel]]\nname = "{sender.name}"\n{sender.channel}' for sender in senders)
    return f'[[facility]]\ncode = "CTY"\nname = "示范县人民医院"\n{channels}'
