"""What every pull of studies promises, against Orthanc and DCMTK by DIMSE, and DICOMweb archives over HTTP."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from pydicom import dcmread

from connectors.base import Page, SourceDenied, SourceRecord, SourceUnavailable
from connectors.dicom import sender
from connectors.dicom.config import DicomConfig
from connectors.dicom.listener import DicomListener
from connectors.dicom.pull import Pull
from connectors.dicom_query.config import DicomQueryConfig
from connectors.dicom_query.connector import DicomQueryConnector
from connectors.dicomweb.config import DicomWebConfig
from connectors.dicomweb.connector import DicomWebConnector
from connectors.dicomweb.multipart import BadMultipart, parts
from demo.pacs_objects import chest_film, head_ct, twelve_lead_ecg, uid
from hub.security.outward import HttpOutward
from tests.connectors.pacs import PASSWORD, USER, Orthanc, dicomweb_plugin, free_ports
from tests.connectors.web_archive import WebArchivePeer
from tests.mappers.dicom.material import CHINA, SAMPLES, changed, exam, read

NOW = datetime(2026, 11, 1, 12, tzinfo=CHINA)
TODAY = NOW.date()


class Kept(list[SourceRecord]):
    def __call__(self, *records: SourceRecord) -> tuple[int, ...]:
        self.extend(records)
        return tuple(range(len(records)))

    def uids(self) -> list[str]:
        return [str(dcmread(BytesIO(record.content), stop_before_pixels=True).SOPInstanceUID) for record in self]


@dataclass
class Hub:
    """Runs a pull as the pipeline does: journal the page, then remember its cursor."""

    make: Callable[..., Pull]
    kept: Kept
    now: datetime = NOW
    cursor: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=lambda: {"look_back_days": 1})

    def look(self, pages: int = 10_000) -> None:
        """A look that may be killed behind its first pages, the cursor of the last of them not saved."""
        connector = self.make(lambda: self.now, **self.options)
        for number, page in enumerate(connector.fetch(dict(self.cursor)), 1):
            self.kept.extend(page.records)
            if number > pages:
                return
            connector.done(page)
            self.cursor = dict(page.cursor)

    def taken(self) -> int:
        return len(self.kept)


@pytest.fixture(scope="module")
def destination():
    """Our own Storage SCP, where C-MOVE sends to."""
    kept = Kept()
    config = DicomConfig(port=0, ae_title="HUB", called_only=True)
    listener = DicomListener(config, kept, source="scp", facility="CTY", hints={}, clock=lambda: NOW)
    listener.start()
    yield listener, kept
    listener.stop()


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory, destination):
    peer = Orthanc(tmp_path_factory.mktemp("orthanc"), move_port=destination[0].port)
    peer.start()
    yield peer
    peer.stop()


@pytest.fixture(scope="module")
def web():
    peer = WebArchivePeer()
    yield peer
    peer.stop()


def by_dimse(port: int, called: str = "ORTHANC", **fixed):
    def make(clock, **options):
        stated = {"host": "127.0.0.1", "port": port, "called_ae": called, "calling_ae": "HUB", "stable_seconds": 0}
        config = DicomQueryConfig(**{**stated, **fixed, **options})
        return DicomQueryConnector(config, source="pacs", facility="CTY", hints={"zone": "+08:00"}, clock=clock)

    return make


def by_web(base: str, user: str = USER):
    def make(clock, **options):
        stated = {"base_url": base, "auth": "basic", "user": user, "secret_env": "YITONG_TEST_PACS", "stable_seconds": 0}
        config = DicomWebConfig(**{**stated, **options})
        return DicomWebConnector(config, source="pacs", facility="CTY", hints={}, clock=clock, outward=HttpOutward)

    return make


WAYS = ["orthanc-get", "orthanc-move", "orthanc-web", "web"]


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """A peer that is empty, and a hub that asks it in one way."""
    monkeypatch.setenv("YITONG_TEST_PACS", PASSWORD)
    if request.param == "web":
        peer = request.getfixturevalue("web")
        peer.clear()
        peer.broken.clear()
        peer.counts = peer.pages = True
        return peer, Hub(by_web(peer.web), Kept())
    if request.param == "orthanc-web" and not dicomweb_plugin():
        pytest.fail("Orthanc's DICOMweb plugin is not installed: apt-get install orthanc-dicomweb, or set ORTHANC_DICOMWEB")
    peer = request.getfixturevalue("orthanc")
    peer.clear()
    if request.param == "orthanc-web":
        return peer, Hub(by_web(peer.web), Kept())
    kept = Kept()
    if request.param == "orthanc-move":
        _, kept = request.getfixturevalue("destination")
        kept.clear()
        return peer, Hub(by_dimse(peer.dicom_port, method="move", move_to="HUB"), kept)
    return peer, Hub(by_dimse(peer.dicom_port), kept)


def study(number: int, day: date = TODAY, slices: int = 3) -> list[bytes]:
    name = f"A{number:04}"
    at = datetime(day.year, day.month, day.day, 9, tzinfo=CHINA)
    return head_ct(exam(accession=name, study_uid=uid("study", name), started=at), slices=slices, size=16)


def uids(files: list[bytes]) -> list[str]:
    return sorted(str(dcmread(BytesIO(content), stop_before_pixels=True).SOPInstanceUID) for content in files)


@pytest.mark.servers
def test_every_study_once_the_old_ones_too_and_a_second_look_asks_for_nothing(way):
    peer, hub = way
    files = [
        *study(1),
        *study(2, TODAY - timedelta(days=40)),
        *twelve_lead_ecg(exam(study_uid=uid("study", "E"), accession="E")),
    ]
    peer.put([*files, *study(3, TODAY - timedelta(days=400))])  # before the channel's beginning
    hub.options = {"start": TODAY - timedelta(days=60), "window_days": 40, "look_back_days": 1, "chunk": 2}
    hub.make(lambda: NOW, **hub.options).check()
    hub.look()
    assert sorted(hub.kept.uids()) == uids(files)
    assert {record.facility for record in hub.kept} == {"CTY"}
    for record in hub.kept:  # as it was kept there: pixels and text byte for byte
        ours = dcmread(BytesIO(record.content))
        (theirs,) = (ds for ds in map(dcmread, map(BytesIO, files)) if ds.SOPInstanceUID == ours.SOPInstanceUID)
        assert {e.tag: e.value for e in ours} == {e.tag: e.value for e in theirs}
    hub.look()
    assert hub.taken() == len(files)


@pytest.mark.servers
def test_killed_behind_any_page_nothing_is_lost(way):
    peer, hub = way
    files = [*study(1, slices=5), *study(2, slices=2)]
    peer.put(files)
    hub.options = {"chunk": 2, "look_back_days": 0}
    for pages in (0, 3):
        hub.look(pages)  # the last page is journaled, its cursor is not saved
    hub.look()
    assert sorted(set(hub.kept.uids())) == uids(files)


@pytest.mark.servers
def test_a_late_series_is_taken_once_the_study_stopped_growing(way):
    peer, hub = way
    first, (film,) = study(1), chest_film(exam(accession="A0001", study_uid=uid("study", "A0001")), size=16)
    late = [changed(film, SeriesInstanceUID=uid("series", "late"), SOPInstanceUID=uid("instance", "late"))]
    peer.put(first)
    hub.options = {"stable_seconds": 60, "look_back_days": 1}
    hub.look()
    assert hub.taken() == 0  # it may still grow
    hub.now += timedelta(seconds=61)
    hub.look()
    assert sorted(hub.kept.uids()) == uids(first)
    peer.put(late)
    hub.look()
    hub.now += timedelta(seconds=61)
    hub.look()
    assert sorted(set(hub.kept.uids())) == uids([*first, *late])
    hub.now += timedelta(days=5)
    hub.look()
    assert hub.cursor["studies"] == "{}"  # what is behind us for good is not remembered
    before = hub.taken()
    hub.look()
    assert hub.taken() == before


@pytest.mark.servers
@pytest.mark.parametrize("kind", ["jp2klossless", "RLE"])
def test_compressed_images_come_as_they_are_kept(kind, orthanc):
    content = read(SAMPLES / "dicom" / "transfer-syntax" / f"MR_small_{kind}.dcm")
    orthanc.clear()
    orthanc.put([content])
    hub = Hub(by_dimse(orthanc.dicom_port), Kept(), options={"start": date(2004, 8, 1), "window_days": 366})
    hub.now = datetime(2004, 9, 1, tzinfo=CHINA)
    hub.look()
    kept, sent = (dcmread(BytesIO(each)) for each in (hub.kept[0].content, content))
    assert (kept.file_meta.TransferSyntaxUID, kept.PixelData) == (sent.file_meta.TransferSyntaxUID, sent.PixelData)


@pytest.mark.servers
def test_an_archive_that_goes_away_in_the_middle_and_comes_back(orthanc):
    orthanc.clear()
    files = [*study(1, slices=4), *study(2, slices=4)]
    orthanc.put(files)
    hub = Hub(by_dimse(orthanc.dicom_port, seconds=5), Kept(), options={"chunk": 2})
    connector = hub.make(lambda: NOW, **hub.options)
    pages = connector.fetch({})
    while not hub.kept:
        page = next(pages)
        hub.kept.extend(page.records)
        hub.cursor = dict(page.cursor)
    orthanc.stop()
    with pytest.raises(SourceUnavailable):
        list(pages)
    with pytest.raises(SourceUnavailable, match="ORTHANC: nothing listens"):
        connector.check()
    orthanc.start()
    hub.look()
    assert sorted(set(hub.kept.uids())) == uids(files)


def test_a_web_archive_that_is_down_denies_us_or_is_none(web, monkeypatch):
    monkeypatch.setenv("YITONG_TEST_PACS", PASSWORD)
    web.clear()
    web.put(study(1))
    hub = Hub(by_web(web.web), Kept())
    web.down = True
    with pytest.raises(SourceUnavailable, match="503"):
        hub.make(lambda: NOW).check()
    web.down = False
    hub.make(lambda: NOW).check()
    with pytest.raises(SourceDenied, match="401"):
        by_web(web.web, user="stranger")(lambda: NOW).check()
    with pytest.raises(SourceUnavailable):
        by_web("http://127.0.0.1:1/rs")(lambda: NOW).check()


def test_a_web_archive_that_counts_nothing_knows_no_pages_and_cannot_give_one_file(web, monkeypatch, caplog):
    monkeypatch.setenv("YITONG_TEST_PACS", PASSWORD)
    web.clear()
    first, second = study(1, slices=4), study(2)
    web.put([*first, *second])
    web.counts = web.pages = False
    web.broken = {uids(first)[0]}
    hub = Hub(by_web(web.web), Kept(), options={"page": 2, "tries": 3})
    hub.look()
    assert sorted(set(hub.kept.uids())) == sorted([*uids(first)[1:], *uids(second)])  # its neighbours are not held up
    web.broken.clear()
    hub.look()
    assert sorted(set(hub.kept.uids())) == sorted([*uids(first), *uids(second)])
    web.broken = set(uids(study(3)))
    web.put(study(3))
    for _ in range(4):
        hub.look()
    assert "left until the study grows" in caplog.text
    asked = len(web.asked)
    hub.look()
    assert not [path for path in web.asked[asked:] if path.count("/") == 7]  # and is not asked for any more


@pytest.fixture(scope="module")
def dcmqrscp(tmp_path_factory):
    """DCMTK's archive, which refuses who calls it by another name or is not listed."""
    program = shutil.which("dcmqrscp")
    assert program, "dcmqrscp is missing: install Debian's dcmtk"
    folder = tmp_path_factory.mktemp("dcmqrscp")
    (folder / "db").mkdir()
    (port,) = free_ports(1)
    (folder / "dcmqrscp.cfg").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nhub = (HUB, 127.0.0.1, 11112)\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nQRSCP {folder / 'db'} RW (200, 1024mb) ANY\nAETable END\n"
    )
    process = subprocess.Popen([program, "-c", str(folder / "dcmqrscp.cfg")], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while True:
        try:
            sender.echo("127.0.0.1", port, called_ae="QRSCP")
            break
        except SourceUnavailable:
            assert time.monotonic() < until, "dcmqrscp did not start"
            time.sleep(0.05)
    yield port
    process.kill()
    process.wait(30)


@pytest.mark.servers
def test_dcmtks_archive_by_c_get(dcmqrscp):
    files = [*study(1), *chest_film(exam(accession="X", study_uid=uid("study", "X")), size=16)]
    assert sender.send("127.0.0.1", dcmqrscp, files, called_ae="QRSCP") == [0] * len(files)
    hub = Hub(by_dimse(dcmqrscp, "QRSCP"), Kept(), options={"chunk": 1})  # it gives one instance for a list of UIDs
    hub.make(lambda: NOW).check()
    hub.look()
    assert sorted(hub.kept.uids()) == uids(files)


@pytest.mark.servers
def test_check_says_what_is_wrong(dcmqrscp, destination):
    (nobody,) = free_ports(1)
    for port, called, kind, words in (
        (nobody, "QRSCP", SourceUnavailable, "nothing listens"),
        (dcmqrscp, "OTHER", SourceDenied, "called_ae"),
        (destination[0].port, "HUB", SourceDenied, "does not offer us C-FIND"),
    ):
        with pytest.raises(kind, match=words):
            by_dimse(port, called)(lambda: NOW).check()
    hub = Hub(by_dimse(dcmqrscp, "QRSCP", method="move", move_to="NOBODY"), Kept())
    sender.send("127.0.0.1", dcmqrscp, study(1), called_ae="QRSCP")
    with pytest.raises(SourceDenied, match="move_to"):
        hub.look()


def test_parts_of_an_answer():
    body = b"preamble\r\n--x\r\nContent-Type: application/dicom\r\n\r\nDICM\r\n--xy\r\n\r\n--x \r\n\r\nplain\r\n--x--\r\nepilogue"
    found = list(parts('multipart/related; boundary="x"; type="application/dicom"', body))
    assert [part.content for part in found] == [b"DICM\r\n--xy\r\n", b"plain"]
    assert [part.content for part in parts("application/dicom; transfer-syntax=1.2.840.10008.1.2.1", b"whole")] == [b"whole"]
    for header, cut in (
        ("multipart/related", body),
        ("multipart/related; boundary=x", body[:40]),
        ("multipart/related; boundary=nowhere", body),
        ("multipart/related; boundary=x", b"--x\r\n" + b"a" * 20_000 + b"\r\n--x--"),
        ("multipart/related; boundary=x", b"--x"),
    ):
        with pytest.raises(BadMultipart):
            list(parts(header, cut))
    for end in range(len(body)):
        try:
            list(parts("multipart/related; boundary=x", body[:end]))
        except BadMultipart:
            continue


def test_pages_carry_cursors(web, monkeypatch):
    monkeypatch.setenv("YITONG_TEST_PACS", PASSWORD)
    web.clear()
    web.put(study(1))
    pages: list[Page] = list(by_web(web.web)(lambda: NOW).fetch({}))
    assert all(set(page.cursor) == {"day", "studies"} for page in pages)
