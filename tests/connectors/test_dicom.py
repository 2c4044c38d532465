"""Real senders (DCMTK's storescu and echoscu, and our own) against the real listener."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import threading
import tomllib
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid
from pynetdicom import AE

from connectors.base import JournalUnavailable, SourceRecord, SourceUnavailable
from connectors.dicom import sender
from connectors.dicom.config import DicomConfig
from connectors.dicom.listener import DicomListener
from demo.pacs_objects import chest_film, head_ct, twelve_lead_ecg
from mappers.dicom.header import read_header
from tests.mappers.dicom.material import NOW, SAMPLES, changed, exam, mapped, read

HOST = "127.0.0.1"
CT = head_ct(exam(), slices=3, size=32)


class Kept:
    """An intake that keeps in memory, or has no room."""

    def __init__(self):
        self.records: list[SourceRecord] = []
        self.full = False
        self.gates: dict[str, threading.Event] = {}  # calling AE title → what its intake waits for
        self.entered = threading.Event()

    def __call__(self, *records):
        if gate := self.gates.get(records[0].hints["peer"]):
            self.entered.set()
            assert gate.wait(60)
        if self.full:
            raise JournalUnavailable
        self.records.extend(records)
        return tuple(range(len(records)))


@pytest.fixture
def kept():
    return Kept()


@pytest.fixture
def listen(kept):
    started = []

    def start(*, facility="", **options):
        config = DicomConfig(port=0, ae_titles={"CTYPACS": "CTY"}, **options)
        listener = DicomListener(config, kept, source="county-pacs", facility=facility, hints={"zone": "+08:00"}, clock=lambda: NOW)
        listener.check()
        listener.start()
        started.append(listener)
        return listener

    yield start
    for listener in started:
        listener.stop()


def dcmtk(tool, *arguments):
    program = shutil.which(tool)
    assert program, f"{tool} is missing: install Debian's dcmtk"
    environment = {**os.environ, "TCP_NODELAY": "1"}
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=60, env=environment, check=False)


def dataset_bytes(file: bytes) -> bytes:
    """What follows the file meta information."""
    length = struct.unpack_from("<I", file, 140)[0]
    return file[144 + length :]


@pytest.mark.servers
def test_echoscu_is_answered(listen):
    assert dcmtk("echoscu", HOST, listen().port).returncode == 0


# storescu's option for the transfer syntax it proposes
SYNTAXES = {
    "ct/CT_small.dcm": "-xe",
    "transfer-syntax/MR_small_implicit.dcm": "-xi",
    "transfer-syntax/MR_small_bigendian.dcm": "-xb",
    "transfer-syntax/MR_small_RLE.dcm": "-xr",
    "transfer-syntax/MR_small_jp2klossless.dcm": "-xv",
    "transfer-syntax/MR_small_jpeg_ls_lossless.dcm": "-xt",
    "transfer-syntax/SC_rgb_jpeg_dcmtk.dcm": "-xy",
    "transfer-syntax/JPGLosslessP14SV1_1s_1f_8b.dcm": "-xs",
}


@pytest.mark.servers
@pytest.mark.parametrize("file", SYNTAXES)
def test_storescu_stores_every_element_in_every_transfer_syntax(file, listen, kept):
    path = SAMPLES / "dicom" / file
    original = read_header(read(path))
    run = dcmtk("storescu", SYNTAXES[file], "-aet", "CTYPACS", HOST, listen().port, path)
    assert run.returncode == 0, run.stderr
    (record,) = kept.records
    assert read_header(record.content).transfer_syntax == original.transfer_syntax == record.hints["transfer_syntax"]
    assert record.content[:132] == bytes(128) + b"DICM"
    # storescu drops group lengths and trailing padding when it reads a file; every element it sends is compared
    stored, sent = dcmread(BytesIO(record.content)), dcmread(path)
    assert {e.tag: e.value for e in stored} == {e.tag: e.value for e in sent if e.tag.element and e.tag != 0xFFFCFFFC}
    mapped(record.content)


@pytest.mark.servers
@pytest.mark.parametrize("option", ["-R", "--no-halt"])
def test_storescu_with_many_objects_in_one_association(option, listen, kept, tmp_path):
    for number, content in enumerate(CT):
        (tmp_path / f"{number}.dcm").write_bytes(content)
    assert dcmtk("storescu", option, "-xe", HOST, listen(facility="TWP").port, *sorted(tmp_path.iterdir())).returncode == 0
    assert [dataset_bytes(record.content) for record in kept.records] == [dataset_bytes(content) for content in CT]


def test_a_record_says_who_sent_what(listen, kept):
    assert sender.send(HOST, listen().port, CT[:1], "CTYPACS") == [0]
    (record,) = kept.records
    uid = dcmread(BytesIO(CT[0])).SOPInstanceUID
    assert (record.kind, record.source, record.facility, record.key) == ("dicom", "county-pacs", "CTY", uid)
    assert record.hints["peer"] == "CTYPACS"
    assert record.received_at == NOW
    assert dataset_bytes(record.content) == dataset_bytes(CT[0])


@pytest.mark.parametrize(
    ("facility", "calling", "expected"), [("", "CTYPACS", "CTY"), ("", "NEWCART", "NEWCART"), ("TWP", "CTYPACS", "TWP")]
)
def test_the_facility_is_the_channels_or_the_calling_systems(facility, calling, expected, listen, kept):
    sender.send(HOST, listen(facility=facility).port, CT[:1], calling)
    assert kept.records[0].facility == expected


def test_text_under_a_wrong_label_arrives_as_it_was_sent(listen, kept):
    film = chest_film(exam(label="ISO_IR 100"), size=32)[0]
    assert sender.send(HOST, listen().port, [film, *twelve_lead_ecg(exam())]) == [0, 0]
    assert dataset_bytes(kept.records[0].content) == dataset_bytes(film)


def test_a_full_journal_is_out_of_resources_and_the_next_attempt_succeeds(listen, kept):
    listener = listen()
    kept.full = True
    assert sender.send(HOST, listener.port, CT[:2]) == [0xA700, 0xA700]
    kept.full = False
    assert sender.send(HOST, listener.port, CT[:1]) == [0]
    assert listener.counts == {"unavailable": 2, "stored": 1}


@pytest.mark.filterwarnings("ignore")
def test_nonsense_is_refused_and_counted_and_the_association_goes_on(listen, kept):
    listener = listen()
    answers = store_raw(
        listener.port,
        [
            ("1.2.3", b"\x08\x00\x05\x00CS\x08\x00GB18030 \0\0\0\0\0\0\0\0garbage"),
            ("1.2.3", b""),
            ("1.2.3", b"no data set at all, only words"),
            ("1.2.999", dataset_bytes(CT[0])),  # not the UID that the data set states
            (str(dcmread(BytesIO(CT[0])).SOPInstanceUID), dataset_bytes(CT[0])),
        ],
    )
    assert [status & 0xF000 for status in answers[:-1]] == [0xC000] * 4
    assert answers[-1] == 0
    assert listener.counts["refused"] == 4
    assert len(kept.records) == 1


def store_raw(port, objects):
    """C-STORE requests whose data set is any bytes."""
    from pynetdicom.dimse_primitives import C_STORE
    from pynetdicom.sop_class import CTImageStorage

    entity = AE()
    entity.add_requested_context(CTImageStorage, "1.2.840.10008.1.2.1")
    association = entity.associate(HOST, port)
    assert association.is_established
    association._reactor_checkpoint.clear()  # as send_c_store does: the answer is ours to take
    statuses = []
    for number, (uid, body) in enumerate(objects, 1):
        request = C_STORE()
        request.MessageID, request.Priority = number, 2
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = CTImageStorage, uid
        request.DataSet = BytesIO(body or b"\0")
        association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
        _, answer = association.dimse.get_msg(block=True)
        statuses.append(answer.Status)
    association._reactor_checkpoint.set()
    association.release()
    return statuses


def test_a_stuck_sender_holds_up_nobody(listen, kept):
    listener = listen()
    kept.gates["STUCK"] = threading.Event()
    answers = []
    stuck = threading.Thread(target=lambda: answers.extend(sender.send(HOST, listener.port, CT[:1], "STUCK")))
    stuck.start()
    assert kept.entered.wait(60)
    with socket.create_connection((HOST, listener.port)):  # another that connected and says nothing
        assert sender.send(HOST, listener.port, CT[1:], "CTYPACS") == [0, 0]
    kept.gates["STUCK"].set()
    stuck.join(60)
    assert answers == [0]


def test_stopping_waits_for_what_is_in_flight_and_frees_the_port(listen, kept):
    listener = listen()
    port = listener.port
    kept.gates["SLOW"] = threading.Event()
    answers = []
    slow = threading.Thread(target=lambda: answers.extend(sender.send(HOST, port, CT[:1], "SLOW")))
    slow.start()
    assert kept.entered.wait(60)
    stopping = threading.Thread(target=listener.stop)
    stopping.start()
    kept.gates["SLOW"].set()
    stopping.join(60)
    slow.join(60)
    assert len(kept.records) == 1
    with pytest.raises(SourceUnavailable):
        sender.echo(HOST, port)
    with socket.create_server((HOST, port)):
        pass


def test_an_instance_beyond_the_limit_loses_its_connection(listen, kept):
    listener = listen(max_instance_bytes=20_000)
    film = chest_film(exam(), size=512)[0]
    assert sender.send(HOST, listener.port, [film]) == [sender.NO_ANSWER]
    assert sender.send(HOST, listener.port, CT[:1]) == [0]
    assert listener.counts["too-large"] == 1
    assert [len(record.content) < 20_000 for record in kept.records] == [True]


def test_only_known_systems_where_the_channel_says_so(listen):
    listener = listen(known_only=True)
    with pytest.raises(SourceUnavailable):
        sender.echo(HOST, listener.port, "STRANGER")
    assert sender.echo(HOST, listener.port, "CTYPACS") == 0


def test_a_port_in_use_is_told_before_the_first_run(listen, kept):
    taken = DicomConfig(port=listen().port)
    listener = DicomListener(taken, kept, source="second", facility="", hints={}, clock=lambda: NOW)
    with pytest.raises(SourceUnavailable, match="cannot be bound"):
        listener.check()


def test_a_uid_that_would_be_a_path_never_becomes_one(listen, kept):
    listener = listen()
    evil = dataset_bytes(CT[0]).replace(dcmread(BytesIO(CT[0])).SOPInstanceUID.encode(), b"../" * 13 + b"xxx", 1)
    assert store_raw(listener.port, [("1.2.3", evil)]) == [0xC000]
    assert kept.records == []


@pytest.mark.filterwarnings("ignore")
def test_several_senders_at_once(listen, kept):
    listener = listen()
    objects = [[changed(CT[0], SOPInstanceUID=generate_uid(entropy_srcs=[str((s, n))])) for n in range(10)] for s in range(4)]
    threads = [threading.Thread(target=sender.send, args=(HOST, listener.port, own, f"CART{i}")) for i, own in enumerate(objects)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({record.key for record in kept.records}) == 40


def test_the_manifest_names_what_there_is():
    manifest = tomllib.loads((Path(sender.__file__).parent / "manifest.toml").read_text())
    assert manifest["connector"] == f"{DicomListener.__module__}:{DicomListener.__name__}"
    assert manifest["config"] == f"{DicomConfig.__module__}:{DicomConfig.__name__}"
    assert manifest["produces"] == ["dicom"]
