"""The listener's upper layer against what peers propose and what strangers send, byte by byte and by pynetdicom."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from contextlib import suppress
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid
from pynetdicom import AE

from connectors.base import SourceUnavailable
from connectors.dicom import command as dimse
from connectors.dicom import pdu, sender
from connectors.dicom.config import DicomConfig
from connectors.dicom.listener import STORAGE_CLASSES, DicomListener
from demo.pacs_objects import head_ct
from mappers.dicom.header import read_header
from tests.connectors.certificates import Certificates
from tests.connectors.test_dicom import CT, HOST, dataset_bytes, kept, listen  # noqa: F401  fixtures
from tests.mappers.dicom.material import NOW, changed, exam

CT_CLASS, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
PRIVATE = "1.2.840.113619.4.26"  # a vendor's own storage class


def item(kind: int, data: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(data)) + data


def request(*, contexts=((1, CT_CLASS, (EXPLICIT,)),), called="YITONG", calling="RAW", window=0, version=1) -> bytes:
    body = struct.pack(">Hxx", version) + called.ljust(16).encode() + calling.ljust(16).encode() + bytes(32)
    body += item(0x10, pdu.APPLICATION_CONTEXT.encode())
    for number, abstract, syntaxes in contexts:
        parts = item(0x30, abstract.encode()) + b"".join(item(0x40, syntax.encode()) for syntax in syntaxes)
        body += item(0x20, bytes([number, 0, 0, 0]) + parts)
    user = item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3")
    if window:
        user += item(0x53, struct.pack(">HH", window, 1))
    body += item(0x50, user)
    return pdu.HEADER.pack(pdu.ASSOCIATE_RQ, len(body)) + body


class Raw:
    """A peer of which every byte is ours."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=60)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def take(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                part = self.socket.recv(size - len(data))
            except ConnectionError:
                part = b""
            if not part:
                return b""
            data += part
        return data

    def answer(self) -> tuple[int, bytes]:
        head = self.take(6)
        if not head:
            return 0, b""
        kind, length = pdu.HEADER.unpack(head)
        return kind, self.take(length)

    def send(self, data: bytes) -> tuple[int, bytes]:
        self.socket.sendall(data)
        return self.answer()

    def store(self, number: int, content: bytes, piece: int = 16000) -> None:
        values = {
            dimse.AFFECTED_CLASS: CT_CLASS.encode() + b"\0",
            dimse.COMMAND_FIELD: struct.pack("<H", 1),
            dimse.MESSAGE_ID: struct.pack("<H", number),
            dimse.DATA_SET_TYPE: struct.pack("<H", 0),
            dimse.AFFECTED_INSTANCE: str(dcmread(BytesIO(content)).SOPInstanceUID).encode(),
        }
        self.socket.sendall(pdu.command_data(1, dimse._written(dict(sorted(values.items())))))
        body = dataset_bytes(content)
        for at in range(0, len(body), piece):
            part = body[at : at + piece]
            last = 2 if at + piece >= len(body) else 0
            self.socket.sendall(pdu.HEADER.pack(pdu.P_DATA, len(part) + 6) + struct.pack(">IBB", len(part) + 2, 1, last) + part)

    def status(self) -> tuple[int, int]:
        kind, body = self.answer()
        assert kind == pdu.P_DATA
        return _answer(body)


def _answer(body: bytes) -> tuple[int, int]:
    fragment = next(pdu.fragments(memoryview(body)))
    values, at = {}, 0
    data = bytes(fragment.data)
    while at < len(data):
        _, element, length = struct.unpack_from("<HHI", data, at)
        values[element] = int.from_bytes(data[at + 8 : at + 8 + length], "little")
        at += 8 + length
    return values[dimse.RESPONDED_TO], values[dimse.STATUS]


def contexts_of(body: bytes) -> dict[int, tuple[int, str]]:
    return {part[0]: (part[2], bytes(part[8:]).decode()) for kind, part in pdu._items(memoryview(body)[68:]) if kind == 0x21}


def test_every_storage_class_in_any_syntax_and_no_class_that_is_none(listen):  # noqa: F811
    proposed = [
        (1, CT_CLASS, ("1.2.840.10008.1.2.4.201", EXPLICIT)),
        (3, PRIVATE, (EXPLICIT,)),
        (5, CT_CLASS, ("1.2.840.113619.5.2",)),
    ]
    proposed += [(7, "1.2.840.10008.5.1.4.1.2.2.1", (EXPLICIT,)), (9, CT_CLASS, ())]  # a query, and one that offers no syntax
    with Raw(listen().port) as peer:
        kind, body = peer.send(request(contexts=proposed))
    assert kind == pdu.ASSOCIATE_AC
    assert {number: result for number, (result, _) in contexts_of(body).items()} == {1: 0, 3: 3, 5: 0, 7: 3, 9: 4}
    assert contexts_of(body)[1][1] == "1.2.840.10008.1.2.4.201"  # the sender's own order: nothing is decompressed for us
    assert contexts_of(body)[5][1] == "1.2.840.113619.5.2"
    assert len(STORAGE_CLASSES) > 150
    for options in ({"sop_classes": (PRIVATE,)}, {"any_sop_class": True}):
        with Raw(listen(**options).port) as peer:
            assert contexts_of(peer.send(request(contexts=proposed))[1])[3][0] == 0


def test_a_private_class_in_a_private_syntax_is_kept_as_it_was_sent(listen, kept):  # noqa: F811
    content = changed(CT[0], SOPClassUID=PRIVATE)
    listener = listen(any_sop_class=True)
    assert sender.send(HOST, listener.port, [content]) == [0]
    (record,) = kept.records
    assert dataset_bytes(record.content) == dataset_bytes(content)
    header = read_header(record.content)
    assert (header.transfer_syntax, header.meta[0x00020002].value.strip(b"\0").decode()) == (EXPLICIT, PRIVATE)


@pytest.mark.parametrize(
    ("options", "asked", "refused"),
    [
        ({"known_only": True}, {"calling": "STRANGER"}, (1, 1, 3)),
        ({"called_only": True}, {"called": "OTHER"}, (1, 1, 7)),
        ({}, {"version": 2}, (1, 2, 2)),
    ],
)
def test_why_an_association_is_rejected(options, asked, refused, listen):  # noqa: F811
    with Raw(listen(**options).port) as peer:
        kind, body = peer.send(request(**asked))
    assert (kind, tuple(body[1:])) == (pdu.ASSOCIATE_RJ, refused)


def test_the_title_that_we_are_called_by_may_name_the_facility(listen, kept):  # noqa: F811
    listener = listen(called_ae_titles={"TWPIN": "TWP"}, called_only=True)
    assert sender.send(HOST, listener.port, CT[:1], "ANYCART", called_ae="TWPIN") == [0]
    assert kept.records[0].facility == "TWP"


def test_more_associations_than_allowed_are_told_to_come_back(listen):  # noqa: F811
    listener = listen(max_associations=2)
    with Raw(listener.port) as one, Raw(listener.port) as two, Raw(listener.port) as three:
        assert [peer.send(request())[0] for peer in (one, two)] == [pdu.ASSOCIATE_AC] * 2
        kind, body = three.send(request())
        assert (kind, tuple(body[1:])) == (pdu.ASSOCIATE_RJ, pdu.REJECT_CONGESTION)
        assert one.send(pdu.HEADER.pack(pdu.RELEASE_RQ, 4) + bytes(4))[0] == pdu.RELEASE_RP
    assert listener.counts["rejected"] == 1


def test_several_stores_outstanding_are_each_answered(listen, kept):  # noqa: F811
    """While the first waits for its sync the second and third are already here, and are answered."""
    objects = head_ct(exam(), slices=4, size=64)
    kept.gates["RAW"] = threading.Event()
    with Raw(listen(window=3).port) as peer:
        kind, body = peer.send(request(window=5))
        assert kind == pdu.ASSOCIATE_AC
        assert struct.pack(">BxHHH", 0x53, 4, 3, 1) in body
        for number, content in enumerate(objects[:3], 1):
            peer.store(number, content)
        assert kept.entered.wait(60)
        kept.gates["RAW"].set()
        assert sorted(peer.status() for _ in range(3)) == [(1, 0), (2, 0), (3, 0)]
        peer.store(4, objects[3])
        assert peer.status() == (4, 0)
    assert {dataset_bytes(record.content) for record in kept.records} == set(map(dataset_bytes, objects))


@pytest.mark.parametrize(
    "hostile",
    [
        b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n",
        pdu.HEADER.pack(pdu.ASSOCIATE_RQ, 0xFFFFFFFF),
        pdu.HEADER.pack(pdu.ASSOCIATE_RQ, 10) + bytes(10),
        pdu.HEADER.pack(pdu.P_DATA, 4) + bytes(4),
        request()[:60] + b"\xff" * 200,
        request() + pdu.HEADER.pack(pdu.P_DATA, 0x7FFFFFFF),
        request() + pdu.HEADER.pack(pdu.P_DATA, 8) + struct.pack(">IBB", 900, 1, 3) + b"ab",
        request() + pdu.command_data(9, b"no context"),
        request() + pdu.command_data(1, b"\0" * 40),
        request() + pdu.HEADER.pack(pdu.P_DATA, 8) + struct.pack(">IBB", 4, 1, 2) + b"ab",
        request() + pdu.HEADER.pack(pdu.ASSOCIATE_AC, 4) + bytes(4),
    ],
)
def test_bytes_that_are_no_dicom_end_the_connection_and_nothing_else(hostile, listen, kept):  # noqa: F811
    listener = listen()
    with Raw(listener.port) as peer:
        with suppress(OSError):  # it may be gone before all is said
            peer.socket.sendall(hostile)
            peer.socket.shutdown(socket.SHUT_WR)
        answers = iter(peer.answer, (0, b""))
        assert [kind for kind, _ in answers if kind not in (pdu.ASSOCIATE_AC, pdu.ABORT)] == []
    assert sender.send(HOST, listener.port, CT[:1]) == [0]
    assert len(kept.records) == 1


def test_silence_ends_an_association(listen):  # noqa: F811
    listener = listen(artim_timeout=0.2, network_timeout=0.2)
    with Raw(listener.port) as silent:
        assert silent.answer() == (pdu.ABORT, bytes([0, 0, 2, 0]))
    with Raw(listener.port) as idle:
        assert idle.send(request())[0] == pdu.ASSOCIATE_AC
        assert idle.answer()[0] == pdu.ABORT


def test_a_service_that_is_not_served_is_told_so(listen):  # noqa: F811
    query = {dimse.AFFECTED_CLASS: CT_CLASS.encode() + b"\0", dimse.COMMAND_FIELD: b"\x20\0", dimse.MESSAGE_ID: b"\1\0"}
    with Raw(listen().port) as peer:
        peer.send(request())
        peer.socket.sendall(pdu.command_data(1, dimse._written({**query, dimse.DATA_SET_TYPE: b"\1\1"})))
        assert peer.status() == (1, 0x0211)


def test_a_certificate_speaks_for_its_facility(tmp_path, kept):  # noqa: F811
    made = Certificates(tmp_path)
    certificate, key = made.make("hub")
    own = made.make("cart.cty")
    config = DicomConfig(
        port=0,
        tls={"certificate": certificate, "key": key, "client_ca": made.ca},
        certificates={"cart.cty": "CTY"},
    )
    listener = DicomListener(config, kept, source="tls", facility="", hints={}, clock=lambda: NOW)
    listener.check()
    listener.start()
    try:
        context = ssl.create_default_context(cafile=str(made.ca))
        context.load_cert_chain(*own)
        entity = AE(ae_title="PROVEN")
        entity.add_requested_context(CT_CLASS, EXPLICIT)
        association = entity.associate(HOST, listener.port, tls_args=(context, "hub"))
        assert association.is_established
        fresh = dcmread(BytesIO(changed(CT[0], SOPInstanceUID=generate_uid())))
        assert association.send_c_store(fresh).Status == 0
        association.release()
        assert [record.facility for record in kept.records] == ["CTY"]
        with pytest.raises(SourceUnavailable):
            sender.echo(HOST, listener.port, timeout=5)  # no TLS at all
    finally:
        listener.stop()
