"""The splitter: nothing is lost, whatever the terminators, delimiters and character sets are."""

import gc
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappers.base import CannotMap
from mappers.hl7v2.message import REJOINED, Delimiters, Message, escape, parse, split_messages, unescape

MSH = r"MSH|^~\&|LIS|CTY|HUB|HUB|20240501103000||ORU^R01|1|P|2.5"


def text_of(message: Message) -> list[str]:
    return [str(segment) for segment in message]


@pytest.mark.parametrize("ends", ["\r", "\n", "\r\n", "\r\r\n", "\n\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_every_terminator_gives_the_same_segments(ends: str, bom: bytes) -> None:
    segments = [MSH, "PID|1||7||张三", "OBX|1|ST|A||阴性", "ZZZ|x"]
    message = parse(bom + ends.join(segments).encode() + ends.encode())
    assert text_of(message) == segments


def test_mixed_terminators_blank_lines_and_segments_without_fields() -> None:
    message = parse(f"\r\n{MSH}\nPID\r\n\r\nPV1|\n\rZ01".encode())
    assert [segment.name for segment in message] == ["MSH", "PID", "PV1", "Z01"]
    assert message.segments("PID")[0].value(3) == ""


def test_a_line_feed_inside_a_text_of_a_message_that_ends_segments_by_cr_is_text() -> None:
    message = parse(f"{MSH}\rOBX|1|FT|A||第一行\n第二行||||||F\rNTE|1||x\n".encode())
    (obx,) = message.segments("OBX")
    assert obx.text(5) == "第一行\n第二行"
    assert obx.value(11) == "F"
    assert len(message) == 3


def test_a_bare_segment_name_among_mixed_ends_and_what_is_too_much() -> None:
    assert [segment.name for segment in parse(f"{MSH}\rOBX\nPID|1\nNTE\n".encode())] == ["MSH", "OBX", "PID", "NTE"]
    with pytest.raises(CannotMap, match="segments"):
        parse(f"{MSH}".encode() + b"\rA" * 100_001)
    with pytest.raises(CannotMap, match="repetitions"):
        parse(f"{MSH}\rPID|1||{'~' * 10_001}".encode()).segments("PID")[0].count(3)


def test_other_delimiters_and_a_truncated_msh_2() -> None:
    custom = parse(b"MSH#!@%*#SENDER#FAC#RECV#FAC#20260301120000##ADT!A01#MSG007#P#2.5\rPID#1##12!!!MRN@13##DOE%T%X*Y!JOHN")
    pid = custom.segments("PID")[0]
    assert custom.trigger == "A01"
    assert (pid.value(3), pid.value(3, 4), pid.value(3, repetition=2)) == ("12", "MRN", "13")
    assert (pid.value(5), pid.value(5, 1, 2), pid.value(5, 2)) == ("DOE*X", "Y", "JOHN")
    for characters in ("^~\\", "^~", "^", ""):
        truncated = parse(rf"MSH|{characters}|LIS||||||ORU^R01|1|P|2.5".encode() + b"\rOBX|1|ST|A^B~C||x&y\\S\\")
        obx = truncated.segments("OBX")[0]
        assert truncated.delimiters == Delimiters()
        assert (obx.value(3, 2), obx.value(3, repetition=2), obx.value(5, 1, 2)) == ("B", "C", "y^")
    assert parse(rb"MSH|^~\&#|LIS||||||ORU^R01|1|P|2.7").delimiters == Delimiters()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"a\F\b\S\c\T\d\R\e\E\f", "a|b^c&d~e\\f"),
        (r"10\S\9/L", "10^9/L"),
        (r"line\.br\next", "line\nnext"),
        (r"\H\bold\N\ text", "bold text"),
        ("\\XE5BCA0\\", "张"),
        (r"\X0D0A\x", "\r\nx"),
        (r"C:\temp\file", r"C:\temp\file"),
        (r"lone \ backslash", r"lone \ backslash"),
        (r"\XFF\ is no text", r"\XFF\ is no text"),
    ],
)
def test_escapes(written: str, meant: str) -> None:
    assert unescape(written, Delimiters()) == meant


def test_a_deletion_is_not_an_empty_field() -> None:
    pid = parse(f'{MSH}\rPID|1||7||""||'.encode()).first("PID")
    assert pid is not None
    assert pid.deleted(5)
    assert not pid.deleted(7)
    assert pid.value(5) == ""


@pytest.mark.parametrize(
    ("declared", "channel", "codec", "used", "repaired"),
    [
        ("", "", "gb18030", "gb18030", False),
        ("", "", "utf-8", "utf-8", False),
        ("ASCII", "", "gb18030", "gb18030", True),
        ("UNICODE", "", "gb18030", "gb18030", True),
        ("UNICODE UTF-8", "", "gb18030", "gb18030", True),
        ("UNICODE UTF-8", "", "utf-8", "utf-8", False),
        ("8859/1", "", "utf-8", "utf-8", True),
        ("8859/1", "", "gb18030", "gb18030", True),
        ("GB 18030-2000", "", "gb18030", "gb18030", False),
        ("GB2312", "", "gb18030", "gb18030", False),
        ("GB18030", "", "utf-8", "utf-8", True),
        ("~GB18030", "", "gb18030", "gb18030", False),
        ("nonsense", "", "gb18030", "gb18030", True),
        ("", "gb18030", "gb18030", "gb18030", False),
    ],
)
def test_the_charset_is_told_by_evidence(declared: str, channel: str, codec: str, used: str, repaired: bool) -> None:
    content = f"{MSH}||||||{declared}\rPID|1||7||王建国||||||示范省人民路1号".encode(codec)
    message = parse(content, channel)
    assert (message.charset, message.repaired_charset) == (used, repaired)
    assert message.segments("PID")[0].value(5) == "王建国"


def test_rare_characters_whose_second_byte_is_a_delimiter() -> None:
    """珅 玘 竱 hold | ^ ~ or \\ as second byte of GBK: splitting before decoding would tear them."""
    message = parse(f"{MSH}||||||GBK\rPID|1||7||王珅玘竱||19900101".encode("gbk"))
    pid = message.segments("PID")[0]
    assert (pid.value(5), pid.value(7)) == ("王珅玘竱", "19900101")


def test_two_byte_utf8_lookalikes_are_gbk_where_the_channel_says_so() -> None:
    content = f"{MSH}\rPID|1||7||模旅".encode("gb18030")
    assert parse(content, "gb18030").segments("PID")[0].value(5) == "模旅"
    assert parse(f"{MSH}||||||8859/1\rPID|1||7||M\xfcller".encode("latin-1")).segments("PID")[0].value(5) == "Müller"


def test_what_fits_nothing_is_refused_and_never_replaced() -> None:
    with pytest.raises(CannotMap, match="not decodable"):
        parse(MSH.encode() + b"\rPID|1||7||\xff\xfe\xff")
    with pytest.raises(CannotMap, match="not decodable"):
        parse(MSH.encode() + b"\rPID|1||7||M\xfcller")
    with pytest.raises(CannotMap, match="no MSH"):
        parse(b"PID|1||7")


def test_messages_of_a_batch_keep_every_byte() -> None:
    one, two = f"{MSH}\rPID|1\r".encode(), f"{MSH}\rPID|2\r".encode()
    content = b"FHS|^~\\&|x\rBHS|^~\\&|y\r" + one + b"\r\n" + two + b"BTS|2\rBHS|^~\\&|z\r" + two + b"BTS|1\rFTS|1\r"
    parts = split_messages(content)
    assert b"".join(parts) == content
    assert [len(parse(part).segments("PID")) for part in parts] == [1, 1, 1]
    assert [segment.name for segment in parse(parts[0])][:3] == ["FHS", "BHS", "MSH"]
    assert [segment.name for segment in parse(parts[2])] == ["BHS", "MSH", "PID", "BTS", "FTS"]


def test_a_glued_segment_is_taken_apart_and_named() -> None:
    message = parse(f"{MSH}\rSPM|1|S1||BLD|||20130116-0800ORC|NW|231\rOBX|1|ST|ORC||OBX|1|x".encode())
    assert [segment.name for segment in message] == ["MSH", "SPM", "ORC", "OBX"]
    assert [repair.where for repair in message.repairs] == ["ORC[1]"]


def lines_of(content: bytes) -> list[bytes]:
    return [line for line in re.split(rb"[\r\n]+", content) if line.strip(b"\xef\xbb\xbf \t\x1c\x0b")]


def test_no_segment_of_any_sample_is_lost(samples: Path) -> None:
    files = sorted(samples.glob("*.hl7"))
    assert len(files) == 79
    for path in files:
        content = path.read_bytes()
        if content.find(b"MSH") < 0:
            continue
        messages = [parse(part) for part in split_messages(content)]
        repairs = [repair for message in messages for repair in message.repairs]
        cut_apart = sum(-1 if repair.detail == REJOINED else 1 for repair in repairs)
        assert sum(map(len, messages)) == len(lines_of(content)) + cut_apart, path.name
        assert (cut_apart > 0) == ("oml_o21__goog_oml-o21-ex4" in path.name), path.name
        assert (cut_apart < 0) == ("oru_r01__dcm_oru-r01-pdf" in path.name), path.name


VALUE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
END = st.sampled_from(["\r", "\n", "\r\n"])
SEGMENT_NAME = st.from_regex(r"[A-Z][A-Z0-9]{2}", fullmatch=True).filter(lambda name: name not in {"MSH", "FHS", "BHS"})


@settings(deadline=None)
@given(st.lists(st.tuples(SEGMENT_NAME, st.lists(VALUE, min_size=1, max_size=5)), max_size=6), END)
def test_what_is_written_is_read(segments: list[tuple[str, list[str]]], end: str) -> None:
    lines = [f"{MSH}||||||UNICODE UTF-8", *("|".join([name, *map(escape, values)]) for name, values in segments)]
    message = parse((end.join(lines) + end).encode())
    assert not message.repairs
    read = [(s.name, [s.plain(s[n], strip=False) for n in range(1, len(s) + 1)]) for s in message.all[1:]]
    expected = [(name, ["" if value.strip() == '""' else value for value in values]) for name, values in segments]
    assert read == expected


@settings(deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=80).map(lambda tail: MSH.encode() + tail))
def test_no_bytes_make_the_splitter_fail_otherwise(content: bytes) -> None:
    assert b"".join(split_messages(content)) == content
    try:
        message = parse(content)
    except CannotMap:
        return
    for segment in message:
        for number in segment.stated():
            segment.components(number)
            segment.value(number, 2, 2, 2)


def test_a_name_that_is_too_short_ends_at_the_separator():
    message = parse(b"MSH|^~\\&|a|b|||||ORU^R01|1|P|2.4\rPV|1|O\r")
    assert [segment.name for segment in message] == ["MSH", "PV"]
    assert message.all[1].value(2) == "O"


def test_a_message_is_gone_with_the_last_who_holds_it():
    """Not when the collector comes by: thousands a second would wait for it."""
    content = b"MSH|^~\\&|a|b|||||ORU^R01|1|P|2.4\rPID|1||P1^^^H~P2^^^H\rOBX|1|NM|K||4.1\r"
    parse(content)
    gc.collect()
    gc.disable()
    try:
        message = parse(content)
        assert message.all[1].value(3, repetition=2) == "P2"
        del message
        assert gc.collect() == 0
    finally:
        gc.enable()
