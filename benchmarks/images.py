"""C-STORE: CT slices into the hub, into the listener and its journal alone, and into Orthanc as a comparison, in one run."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from pydicom import dcmread
from pydicom.uid import generate_uid

from benchmarks.hub import BenchHub
from connectors.base import SourceUnavailable
from connectors.dicom.config import DicomConfig
from connectors.dicom.listener import DicomListener
from connectors.dicom.sender import echo, send
from demo.pacs_objects import Exam, head_ct
from demo.process import free_ports
from hub.ingest.journal import Journal
from hub.store.blobs import BlobStore

ASSOCIATIONS, SLICES = 4, 50
NOW = datetime(2026, 11, 1, 2, tzinfo=UTC)
STARTING = 30.0
ORTHANC = which("Orthanc", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def into_hub(hub: BenchHub) -> tuple[float, str]:
    """Acknowledged slices of 512 × 512 a second, while the hub maps what it has."""
    return _into(hub.dicom_port, "YITONG")


def into_listener(folder: Path) -> tuple[float, str]:
    """The listener and its journal without anything that maps."""
    intake = Journal(folder / "journal", BlobStore(folder / "blobs"))
    listener = DicomListener(DicomConfig(port=0), intake, source="bench", facility="CTY", hints={}, clock=lambda: NOW)
    listener.start()
    try:
        rate, seen = _into(listener.port, "YITONG")
    finally:
        listener.stop()
        intake.close()
    return rate, seen


def into_orthanc() -> tuple[float, str]:
    """Debian's Orthanc with TCP_NODELAY set, as it is fastest."""
    with TemporaryDirectory() as made, _orthanc(Path(made)) as port:
        return _into(port, "ORTHANC")


def _into(port: int, called: str) -> tuple[float, str]:
    """By DCMTK's storescu if it is installed: our own sender is the slower."""
    with TemporaryDirectory() as made:
        folders = list(_slices(Path(made)))
        size = (folders[0] / "0.dcm").stat().st_size
        by = _by_storescu if which("storescu") else _by_our_sender
        started = time.perf_counter()
        with ThreadPoolExecutor(ASSOCIATIONS) as pool:
            list(pool.map(lambda folder: by(port, called, folder), folders))
        seconds = time.perf_counter() - started
    return ASSOCIATIONS * SLICES / seconds, f"{size // 1024} KB each, {ASSOCIATIONS} associations, {by.__name__[4:]}"


def _slices(made: Path) -> Iterator[Path]:
    exam = Exam("B1", "测试^影像", "M", NOW.date(), "A1", generate_uid(), NOW - timedelta(days=1))
    slice_ = dcmread(BytesIO(head_ct(exam, slices=1, size=512)[0]))
    for association in range(ASSOCIATIONS):
        folder = made / str(association)
        folder.mkdir()
        for number in range(SLICES):
            slice_.SOPInstanceUID = slice_.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            slice_.save_as(folder / f"{number}.dcm")
        yield folder


def _by_storescu(port: int, called: str, folder: Path) -> None:
    command = ["storescu", "--max-send-pdu", "131072", "--scan-directories", "-aec", called, "127.0.0.1", str(port), str(folder)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "TCP_NODELAY": "1"})


def _by_our_sender(port: int, called: str, folder: Path) -> None:
    if any(send("127.0.0.1", port, sorted(folder.iterdir()), "BENCH", called_ae=called)):
        raise RuntimeError("a C-STORE was refused")


@contextmanager
def _orthanc(folder: Path) -> Iterator[int]:
    http, dicom = free_ports(2)
    settings = {
        "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"), "HttpPort": http, "DicomPort": dicom,
        "RemoteAccessAllowed": False, "DicomAlwaysAllowStore": True, "TcpNoDelay": True,
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([str(ORTHANC), str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        _wait(dicom)
        yield dicom
    finally:
        process.kill()
        process.wait()


def _wait(port: int) -> None:
    until = time.monotonic() + STARTING
    while True:
        try:
            echo("127.0.0.1", port, called_ae="ORTHANC")
        except SourceUnavailable:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return
