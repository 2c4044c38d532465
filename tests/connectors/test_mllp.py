"""The MLLP listener over real sockets: what comes in, what is kept, what is answered."""

import re
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import hl7.client
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.flood import Plan, flood
from connectors.base import JournalUnavailable, SourceRecord, SourceUnavailable
from connectors.hl7v2_mllp.client import MllpClient
from connectors.hl7v2_mllp.config import MllpConfig
from connectors.hl7v2_mllp.framing import FrameReader, FrameTooLarge, frame
from connectors.hl7v2_mllp.listener import MllpListener
from tests.hub.ingest.messages import wait_until

NOW = datetime(2024, 5, 1, 2, 30, tzinfo=UTC)
MESSAGE = "MSH|^~\\&|LIS|CTY|HUB|COUNTY|20240501103000||ORU^R01|42|P|2.5||||||UNICODE UTF-8\rPID|1||7||张三\r".encode()


class Journal:
    """Keeps records in memory; `fail` makes it refuse, `gate` makes it wait."""

    def __init__(self) -> None:
        self.records: list[SourceRecord] = []
        self.calls: list[int] = []
        self.fail: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, *records: SourceRecord) -> tuple[int, ...]:
        self.entered.set()
        assert self.gate.wait(60)
        if self.fail is not None:
            raise self.fail
        with self._lock:
            self.records += records
            self.calls.append(len(records))
            return tuple(range(len(self.records)))


class Hub:
    def __init__(self, journal: Journal, facility: str = "CTY", hints: dict[str, str] | None = None, **options: object) -> None:
        self.journal = journal
        config = MllpConfig.model_validate({"port": 0, **options})
        self.listener = MllpListener(config, journal, source="cty-lis", facility=facility, hints=hints or {}, clock=lambda: NOW)
        self.listener.check()
        self.listener.start()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.listener.port), timeout=60)

    def client(self) -> MllpClient:
        return MllpClient("127.0.0.1", self.listener.port, timeout=60)


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def hub(journal: Journal) -> Iterator[Hub]:
    running = Hub(journal)
    yield running
    running.listener.stop()


@pytest.fixture
def make_hub(journal: Journal) -> Iterator[object]:
    running: list[Hub] = []

    def make(**options: object) -> Hub:
        running.append(Hub(journal, **options))  # type: ignore[arg-type]
        return running[-1]

    yield make
    for one in running:
        one.listener.stop()


def read_blocks(connection: socket.socket, number: int) -> list[bytes]:
    reader, blocks = FrameReader(1 << 20), []
    while len(blocks) < number:
        data = connection.recv(65536)
        assert data, f"closed after {len(blocks)} of {number} answers"
        blocks += reader.feed(data)
    return blocks


def msa(answer: bytes) -> tuple[str, str]:
    line = next(line for line in answer.split(b"\r") if line.startswith(b"MSA")).decode()
    fields = [*line.split(answer[3:4].decode()), ""]  # in the sender's own separator
    return fields[1], fields[2]


def test_a_message_is_kept_whole_and_then_acknowledged(hub: Hub, journal: Journal) -> None:
    with hub.client() as client:
        answer = client.send(MESSAGE)
    assert answer.split(b"\r")[0] == (
        b"MSH|^~\\&|HUB|COUNTY|LIS|CTY|20240501023000+0000||ACK^R01^ACK|202405010230001|P|2.5||||||UNICODE UTF-8"
    )
    assert msa(answer) == ("AA", "42")
    (record,) = journal.records
    assert (record.source, record.facility, record.kind, record.key) == ("cty-lis", "CTY", "hl7v2", "42")
    assert (record.content, record.received_at, record.hints["peer"]) == (MESSAGE, NOW, "127.0.0.1")


def test_the_acknowledgement_waits_for_the_journal(hub: Hub, journal: Journal) -> None:
    journal.gate.clear()
    with hub.connect() as connection:
        connection.sendall(frame(MESSAGE))
        assert journal.entered.wait(60)
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        journal.gate.set()
        assert msa(read_blocks(connection, 1)[0]) == ("AA", "42")


def test_pythons_hl7_client_is_understood(hub: Hub, journal: Journal) -> None:
    with hl7.client.MLLPClient("127.0.0.1", hub.listener.port) as client:
        answer = client.send_message(hl7.parse(MESSAGE.decode()))
    parsed = hl7.parse(answer.strip(b"\x0b\x1c\r").decode())
    assert (str(parsed.segment("MSA")[1]), str(parsed.segment("MSA")[2])) == ("AA", "42")
    assert "张三" in journal.records[0].content.decode()


@pytest.mark.parametrize("tail", [b"\r", b"\n", b"\r\n", b""])
def test_a_block_may_end_in_several_ways(hub: Hub, tail: bytes) -> None:
    with hub.connect() as connection:
        for _ in range(2):
            connection.sendall(b"\x0b" + MESSAGE + b"\x1c" + tail)
            assert msa(read_blocks(connection, 1)[0]) == ("AA", "42")
    assert hub.listener.counters["bytes skipped"] == 0


def test_garbage_before_a_block_is_counted_and_the_block_kept(hub: Hub, journal: Journal) -> None:
    with hub.connect() as connection:
        connection.sendall(b"HELO\r\n" + frame(MESSAGE))
        assert msa(read_blocks(connection, 1)[0]) == ("AA", "42")
    assert hub.listener.counters["bytes skipped"] == 4


def numbered(number: int) -> bytes:
    return MESSAGE.replace(b"|42|", b"|%d|" % number)


def test_several_blocks_in_one_packet_are_kept_together_and_answered_in_order(hub: Hub, journal: Journal) -> None:
    with hub.connect() as connection:
        connection.sendall(b"".join(frame(numbered(n)) for n in range(20)))
        assert [msa(answer) for answer in read_blocks(connection, 20)] == [("AA", str(n)) for n in range(20)]
    assert [record.key for record in journal.records] == [str(n) for n in range(20)]
    assert len(journal.calls) < 20


def test_one_block_in_many_packets(hub: Hub, journal: Journal) -> None:
    with hub.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in frame(MESSAGE):
            connection.sendall(bytes([byte]))
        assert msa(read_blocks(connection, 1)[0]) == ("AA", "42")
    assert journal.records[0].content == MESSAGE


def test_several_messages_in_one_block_are_several_records(hub: Hub, journal: Journal) -> None:
    batch = b"FHS|^~\\&\rBHS|^~\\&\r" + numbered(1) + numbered(2) + b"BTS|2\rFTS|1\r"
    with hub.connect() as connection:
        connection.sendall(frame(batch))
        assert [msa(answer) for answer in read_blocks(connection, 2)] == [("AA", "1"), ("AA", "2")]
    assert b"".join(record.content for record in journal.records) == batch


@pytest.mark.parametrize(
    ("content", "code", "control_id"),
    [
        (b"PID|1||7", "AR", ""),
        (b"", "AR", ""),
        (b"hello", "AR", ""),
        (MESSAGE.replace(b"|42|", b"||"), "AR", ""),
        (b"MSH|^~\\&|LIS|CTY|||20240501||ORU^R01|9|P|2.5\rPID|1||7||\xff\xff", "AR", "9"),
        ("MSH|^~\\&|LIS|CTY|||20240501||ORU^R01|9|P|2.5\rPID|1||7||张三".encode("gb18030"), "AA", "9"),
        (b"MSH|^~\\&|LIS|CTY|||20240501||ORU^R01|9|P|2.5|||AL|NE\rPID|1", "CA", "9"),
        (b"MSH|^~\\&|LIS|CTY|||20240501||ORU^R01|9|P|2.5|||NE|AL\rPID|1", "AA", "9"),
        (b"MSH|^~\\&|LIS|CTY|||20240501||ORU^R01|9|P|2.5|||ER|NE\rPID|\xff", "CR", "9"),
        (b"MSH|^~\\&|Mindray|BS|||20240501||ORU^R01|9|P|2.3.1||||0||ASCII\rPID|1", "AA", "9"),
        (b"MSH#!@%*#LIS#CTY###20240501##ORU!R01#9#P#2.5\rPID#1", "AA", "9"),
    ],
)
def test_the_answer_and_what_is_kept(hub: Hub, journal: Journal, content: bytes, code: str, control_id: str) -> None:
    with hub.client() as client:
        answer = client.send(content).replace(b"#", b"|")
        assert msa(answer) == (code, control_id)
        assert (b"\rERR|" in answer) == (code[1] != "A")
        assert msa(client.send(MESSAGE)) == ("AA", "42")
    assert [record.content for record in journal.records] == [content, MESSAGE]
    assert journal.records[0].key


ENHANCED = {  # (MSH-15, MSH-16) → the answers to what is kept, and to what is refused; HL7 v2.5.1 2.9.3, table 0155
    ("AL", "AL"): ("CA AA", "CR"),
    ("AL", "NE"): ("CA", "CR"),
    ("AL", "ER"): ("CA", "CR"),
    ("AL", "SU"): ("CA AA", "CR"),
    ("AL", ""): ("CA", "CR"),
    ("NE", "AL"): ("AA", "AR"),
    ("NE", "NE"): ("", ""),
    ("NE", "ER"): ("", "AR"),
    ("NE", "SU"): ("AA", ""),
    ("NE", ""): ("", ""),
    ("ER", "AL"): ("AA", "CR"),
    ("ER", "NE"): ("", "CR"),
    ("ER", "ER"): ("", "CR"),
    ("ER", "SU"): ("AA", "CR"),
    ("ER", ""): ("", "CR"),
    ("SU", "AL"): ("CA AA", "AR"),
    ("SU", "NE"): ("CA", ""),
    ("SU", "ER"): ("CA", "AR"),
    ("SU", "SU"): ("CA AA", ""),
    ("SU", ""): ("CA", ""),
    ("", "AL"): ("AA", "AR"),
    ("", "NE"): ("", ""),
    ("", "ER"): ("", "AR"),
    ("", "SU"): ("AA", ""),
    ("", ""): ("AA", "AR"),
}


def test_enhanced_mode_answers_as_both_conditions_ask(hub: Hub, journal: Journal) -> None:
    with hub.connect() as connection:
        for (accept, application), answers in ENHANCED.items():
            for answered, body in zip(answers, (b"PID|1||7", b"PID|1||\xff"), strict=True):
                head = f"MSH|^~\\&|LIS|CTY|||20240501||ORU^R01|9|P|2.5|||{accept}|{application}\r".encode()
                connection.sendall(frame(head + body) + frame(MESSAGE))
                expected = [(code, "9") for code in answered.split()]
                blocks = read_blocks(connection, len(expected) + 1)
                assert [msa(block) for block in blocks] == [*expected, ("AA", "42")], (accept, application, body)
                headers = [block.split(b"\r")[0].split(b"|") for block in blocks]
                assert len({header[9] for header in headers}) == len(blocks)  # each a message of its own
                if accept or application:
                    assert all(header[14:16] == [b"NE", b"NE"] for header in headers[:-1])
    assert len(journal.records) == 4 * len(ENHANCED)


@pytest.mark.parametrize("failure", [JournalUnavailable("full"), RuntimeError("a bug, with 张三 in it")])
def test_what_cannot_be_kept_is_never_acknowledged(hub: Hub, journal: Journal, failure: Exception) -> None:
    journal.fail = failure
    with hub.client() as client:
        answer = client.send(MESSAGE)
        assert msa(answer) == ("AE", "42")
        assert "张三".encode() not in answer
        journal.fail = None
        assert msa(client.send(MESSAGE)) == ("AA", "42")


def test_a_block_over_the_cap_is_refused_and_the_connection_closed(make_hub, journal: Journal) -> None:
    hub = make_hub(max_frame_bytes=2048)
    with hub.connect() as connection:
        connection.sendall(b"\x0b" + MESSAGE + b"x" * 3_000_000)  # more than any buffer on the way holds
        connection.shutdown(socket.SHUT_WR)
        assert msa(read_blocks(connection, 1)[0]) == ("AR", "42")
        assert connection.recv(1) == b""
    (told,) = journal.records
    assert (told.content, told.hints["held"]) == (b"", "a block of more than 2048 bytes")


def test_a_big_message_within_the_cap(hub: Hub, journal: Journal) -> None:
    big = MESSAGE + b"OBX|1|ED|P||a^b^c^Base64^" + b"QUJD" * 1_000_000 + b"\r"
    with hub.client() as client:
        assert msa(client.send(big)) == ("AA", "42")
    assert journal.records[0].content == big


def test_an_interrupted_block_is_asked_for_again(hub: Hub, journal: Journal) -> None:
    with hub.connect() as connection:
        connection.sendall(b"\x0b" + numbered(1)[:80] + frame(numbered(2)))
        assert [msa(answer) for answer in read_blocks(connection, 2)] == [("AE", "1"), ("AA", "2")]
        connection.sendall(b"\x0b" + numbered(3)[:80])
        connection.shutdown(socket.SHUT_WR)
        assert msa(read_blocks(connection, 1)[0]) == ("AE", "3")
    assert [(record.key, record.content) for record in journal.records] == [
        ("1", numbered(1)[:80]),
        ("2", numbered(2)),
        ("3", numbered(3)[:80]),
    ]
    held = [record.hints.get("held", "") for record in journal.records]
    assert held == ["the block was interrupted", "", "the block was interrupted"]


@pytest.mark.parametrize(("options", "sent"), [({"idle_seconds": 0.2}, b""), ({"read_seconds": 0.2}, b"\x0bMSH|^~\\&|")])
def test_a_silent_peer_is_let_go(make_hub, options: dict, sent: bytes) -> None:
    hub = make_hub(**options)
    with hub.connect() as connection:
        connection.sendall(sent)
        if sent:
            assert msa(read_blocks(connection, 1)[0]) == ("AE", "")
        assert connection.recv(1) == b""


def test_connections_are_capped_and_freed(make_hub) -> None:
    hub = make_hub(max_connections_per_peer=2)
    with hub.client() as first:
        with hub.client() as second:
            assert msa(first.send(MESSAGE)) == msa(second.send(MESSAGE)) == ("AA", "42")
            with hub.client() as third, pytest.raises(SourceUnavailable):
                third.send(MESSAGE)
        answered = False
        while not answered:  # the freed place is seen as soon as the listener has seen the close
            with hub.client() as third:
                try:
                    answered = msa(third.send(MESSAGE)) == ("AA", "42")
                except SourceUnavailable:
                    answered = False


STUCK = {
    "silent": b"",
    "inside a block": b"\x0bMSH|^~\\&|",
    "does not read": frame(MESSAGE) * 400,
}


@pytest.mark.parametrize("sent", STUCK.values(), ids=STUCK)
def test_stuck_peers_make_room_for_one_that_works(make_hub, sent: bytes) -> None:
    hub = make_hub(max_connections=40, max_connections_per_peer=40)
    stuck = [hub.connect() for _ in range(40)]
    for connection in stuck:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(sent)
    answered = 0
    while answered < 20:  # refused while none has been stuck for long enough
        with hub.client() as client:
            try:
                while answered < 20:
                    assert msa(client.send(MESSAGE)) == ("AA", "42")
                    answered += 1
            except SourceUnavailable:
                continue
    for connection in stuck:
        connection.close()


def test_a_good_peer_among_stuck_ones_and_a_flood(make_hub, journal: Journal) -> None:
    hub = make_hub()
    seen = flood(Plan(hub.listener.port, stuck=60, rate=300, seconds=1.5))
    assert seen.failed == 0
    assert seen.answered > 0
    assert seen.flooded > 0


def test_blocks_that_are_never_ended_do_not_fill_the_memory(make_hub, journal: Journal) -> None:
    hub = make_hub(max_buffered_bytes=1_000_000)
    begun = b"\x0b" + MESSAGE + b"x" * 600_000
    with hub.connect() as first, hub.connect() as second, hub.client() as good:
        first.sendall(begun)
        assert wait_until(lambda: hub.listener.counters["bytes under way"] >= 600_000)
        second.sendall(begun)
        assert msa(read_blocks(second, 1)[0]) == ("AE", "42")  # nobody is stuck yet: who came last is asked to come again
        assert msa(good.send(MESSAGE)) == ("AA", "42")
        first.sendall(b"\x1c")
        assert msa(read_blocks(first, 1)[0]) == ("AA", "42")


def test_whose_messages_they_are(make_hub, journal: Journal) -> None:
    hub = make_hub(facility="", facilities={"CTY": "H01"}, accept=("CTY", "XZ02", ""))
    with hub.client() as client:
        client.send(MESSAGE)
        client.send(MESSAGE.replace(b"|CTY|", b"|XZ02|"))
        client.send(MESSAGE.replace(b"|CTY|", b"||"))
        assert msa(client.send(MESSAGE.replace(b"|CTY|", b"|EVIL|"))) == ("AR", "42")
    assert [record.facility for record in journal.records] == ["H01", "XZ02", "unknown"]


@pytest.mark.parametrize(("charset", "declared"), [("gb18030", ""), ("utf-8", "UNICODE UTF-8"), ("gbk", "UNICODE UTF-8")])
def test_a_facility_may_write_its_name_in_chinese(make_hub, journal: Journal, charset: str, declared: str) -> None:
    hub = make_hub(facility="", facilities={"青石县石玘医院": "CTY"})  # the second byte of 玘 in GBK is a delimiter
    texts = [
        f"MSH|^~\\&|LIS|{name}|||20240501||ORU^R01|9|P|2.5||||||{declared}\rPID|1||7||张三\r"
        for name in ("青石县石玘医院", "玘诊所")
    ]
    with hub.client() as client:
        assert all(msa(client.send(text.encode(charset)))[0] == "AA" for text in texts)
    assert [record.facility for record in journal.records] == ["CTY", "玘诊所"]


def test_the_channels_charset_counts_for_what_is_decodable(make_hub, journal: Journal) -> None:
    hub = make_hub(hints={"charset": "big5"})
    content = "MSH|^~\\&|LIS|CTY|||20240501||ORU^R01|9|P|2.5\rPID|1||7||張".encode("big5")
    with hub.client() as client:
        assert msa(client.send(content)) == ("AA", "9")
    assert journal.records[0].hints["charset"] == "big5"


def test_many_connections_each_in_order(hub: Hub, journal: Journal) -> None:
    def send(who: int) -> None:
        with hub.client() as client:
            for n in range(20):
                assert msa(client.send(numbered(who * 100 + n))) == ("AA", str(who * 100 + n))

    threads = [threading.Thread(target=send, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    keys = [int(record.key) for record in journal.records]
    assert len(keys) == 160
    assert all([key for key in keys if key // 100 == who] == [who * 100 + n for n in range(20)] for who in range(8))


def test_a_taken_port_is_told_and_a_stopped_listener_frees_it(hub: Hub, journal: Journal) -> None:
    other = MllpListener(MllpConfig(port=hub.listener.port), journal, source="b", facility="", hints={}, clock=lambda: NOW)
    with pytest.raises(SourceUnavailable):
        other.check()
    with pytest.raises(SourceUnavailable):
        other.start()
    hub.listener.stop()
    other.check()
    other.start()
    other.stop()


def test_stopping_lets_what_is_in_flight_finish(journal: Journal) -> None:
    hub = Hub(journal)
    journal.gate.clear()
    with hub.connect() as connection:
        connection.sendall(frame(MESSAGE))
        assert journal.entered.wait(60)
        stopping = threading.Thread(target=hub.listener.stop)
        stopping.start()
        journal.gate.set()
        assert msa(read_blocks(connection, 1)[0]) == ("AA", "42")
        stopping.join(60)
        assert not stopping.is_alive()


def test_every_sample_is_answered_and_kept(hub: Hub, journal: Journal) -> None:
    from tests.mappers.hl7v2.conftest import SAMPLES

    if not SAMPLES.is_dir():
        pytest.skip(f"the public sample messages are not here: set YITONG_SAMPLES ({SAMPLES})")
    for path in sorted(Path(SAMPLES).glob("*.hl7")):
        content = path.read_bytes()
        before, messages = len(journal.records), max(1, len(re.findall(rb"(?:^|[\r\n])(?:\xef\xbb\xbf)?MSH[^A-Za-z0-9]", content)))
        with hub.connect() as connection:
            connection.sendall(frame(content) + frame(MESSAGE))
            reader, answers = FrameReader(1 << 20), []
            while not answers or msa(answers[-1]) != ("AA", "42"):
                answers += reader.feed(connection.recv(65536))
        assert len(journal.records) - before == messages + 1, path.name
        assert b"".join(record.content for record in journal.records[before:-1]) == content


@settings(deadline=None)
@given(
    st.lists(st.binary(max_size=60).map(lambda b: b.translate(None, b"\x0b\x1c")), max_size=5),
    st.lists(st.integers(1, 40), max_size=20),
)
def test_how_the_bytes_are_cut_never_changes_the_blocks(blocks: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(frame(block) for block in blocks)
    reader, found, position = FrameReader(1000), [], 0
    for cut in [*cuts, len(stream)]:
        found += reader.feed(stream[position : position + cut])
        position += cut
    assert found == blocks
    assert reader.skipped == 0


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=10))
def test_no_bytes_break_the_framing(pieces: list[bytes]) -> None:
    reader = FrameReader(200)
    for piece in pieces:
        try:
            blocks = reader.feed(piece)
        except FrameTooLarge:
            continue
        assert all(len(block) <= 200 for block in blocks)
