"""Nothing is lost: of each message every segment and every stated field is mapped, kept, or named as unmapped."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from mappers.base import CannotMap, Mapped, MappingContext
from mappers.hl7v2.destinations import destination
from mappers.hl7v2.message import REJOINED, parse, split_messages
from tests.mappers.hl7v2.conftest import mapped, stored

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "hl7v2"
EXPLAIN = MappingContext(explain=True)


def check_ledger(content: bytes, done: Mapped) -> None:
    """Against the message itself, split here by hand."""
    text = parse(content)
    stated = Counter[str]()
    for segment in text:
        values = str(segment).split(text.delimiters.field)
        first = 2 if segment.name in {"MSH", "FHS", "BHS"} else 1  # MSH-2 is values[1]
        stated[segment.where] += sum(bool(value.strip()) for value in values[first:])
    assert Counter(line.where.rpartition("-")[0] for line in done.lines) == +stated
    assert Counter(line.state for line in done.lines) == +Counter(done.ledger)
    assert len({line.where for line in done.lines}) == len(done.lines)


def in_the_corpus(samples: Path) -> Iterator[tuple[str, bytes]]:
    for path in [*sorted(samples.glob("*.hl7")), *sorted(GOLDEN.glob("*/input.hl7"))]:
        for part in split_messages(path.read_bytes()):
            yield path.name, part


def test_over_the_whole_corpus_nothing_is_lost_and_all_is_valid(samples: Path) -> None:
    undeclared: set[str] = set()
    lines = segments = 0
    for _, content in in_the_corpus(samples):
        text = re.split(rb"[\r\n]+", content.lstrip(b"\xef\xbb\xbf"))
        try:
            message = parse(content)
            done = mapped(content, context=EXPLAIN)
        except CannotMap:
            continue
        lines += sum(bool(line.strip(b" \t\x0b\x1c")) for line in text)
        lines += sum(-1 if repair.detail == REJOINED else 1 for repair in message.repairs)  # joined by a repair, or cut apart
        segments += len(message)
        check_ledger(content, done)
        assert mapped(content).ledger == done.ledger
        assert stored(done)
        undeclared |= {re.sub(r"\[\d+\]", "", line.where) for line in done.lines if line.state == "mapped" and not line.to}
    assert (lines, undeclared) == (segments, set())
    assert segments > 900


MESSAGE = "\r".join(
    [
        r"MSH|^~\&|HIS|CTY|HUB|HUB|20240501103000||ADT^A08|1|P|2.5",
        "PID|1||7^^^CTY^MR^^20240101||张三||Aux 15, 1942|?||x",
        "ZZZ|1|x",
        "PV1|1|I|||||||||||||||||V1",
        "ZZZ||y",
        "???",
    ]
)


def test_of_each_field_a_line_says_what_became_of_it() -> None:
    done = mapped(MESSAGE, context=EXPLAIN)
    check_ledger(MESSAGE.encode(), done)
    found = {line.where: (line.state, line.to) for line in done.lines}
    assert found["MSH[1]-7"] == ("kept", "")
    assert found["PID[1]-1"] == ("kept", "")
    assert found["PID[1]-3"] == ("mapped", "Patient.identifier, Patient.id; not read: PID-3.7")
    assert found["PID[1]-5"] == ("mapped", "Patient.name")
    assert found["PID[1]-7"] == ("unmapped", "")  # read, and not a date
    assert found["PID[1]-10"] == ("unmapped", "")
    assert found["ZZZ[1]-2"] == found["ZZZ[2]-2"] == ("unmapped", "")
    assert {(issue.code, issue.where) for issue in done.issues} >= {
        ("invalid-value", "PID[1]-7"),
        ("not-mapped", "ZZZ"),
    }
    assert mapped(MESSAGE).lines == ()


@pytest.mark.parametrize(
    ("code", "segment", "element"),
    [("ORM", "OBR", "ServiceRequest.code"), ("ORU", "OBR", "DiagnosticReport.code"), ("ORU", "PID", "Patient.identifier")],
)
def test_a_field_goes_where_its_message_sends_it(code: str, segment: str, element: str) -> None:
    assert destination(code, segment, 4) == element
