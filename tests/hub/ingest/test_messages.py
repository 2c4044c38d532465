"""Messages are found by what a person knows of them; what identifies a patient leaves only masked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from connectors.base import SourceRecord
from hub.clock import utc_ms
from hub.errors import Invalid, NotFound
from hub.ingest.explaining import Explainer
from hub.ingest.inspect import checked_reason, inspect
from hub.ingest.journal import Journal, Selection
from hub.ingest.mapping import MapperHere
from hub.ingest.message_index import NAME
from hub.ingest.messages import Query, causes, count, index_of, message_at, numbers, search
from hub.ingest.pipeline import Pipeline
from hub.ingest.preview import diff, kind_of, preview, stored
from hub.ingest.replay import Filter, Replays
from hub.ingest.summary import summary_of, words
from hub.ingest.tree import Node, show
from hub.settings import County
from hub.store.blobs import BlobStore
from hub.store.sqlite import SqliteStore
from mappers.base import MappingContext
from profiles.catalogue import load_concept_maps
from tests.hub.ingest.messages import RECORD, adt, oru, oru_record

GOLDEN = Path(__file__).parents[2] / "golden"


V3_PATIENT = '<patient><id><item root="1.2" extension="P0007"/></id><name>李四</name><birthTime value="19800102"/></patient>'


class House:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs = BlobStore(folder / "blobs")
        self.journal = Journal(folder, self.blobs)
        self.store = SqliteStore(folder)
        mapper = MapperHere({}, self.blobs)
        self.pipeline = Pipeline(self.journal, self.store, mapper, county=County(), clock=utc_ms)

    def take(self, *records: SourceRecord) -> None:
        self.journal(*records)
        while self.pipeline.run_once():
            pass

    def found(self, **query: object) -> list[int]:
        return [message.seq for message in search(self.journal, self.store, Query(**query)).messages]  # type: ignore[arg-type]

    def close(self) -> None:
        index_of(self.journal).close()
        self.journal.close()
        self.store.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Records 1–12 laboratory reports, 13 an admission of P7, 14 and 15 dead, 16 a CDA document, 17 a row, 18 waiting."""
    opened = House(tmp_path_factory.mktemp("house"))
    opened.take(*(oru_record(number) for number in range(1, 13)), adt(13, "A01", "P7"))
    opened.take(
        replace(RECORD, key="BAD1", content=b"no message"),
        replace(RECORD, key="BAD2", content=b"MSH|^~\\&|x|y|||||ORU^R01|BAD2\rOBX|1"),
    )
    document = (GOLDEN / "cda" / "c0002-outpatient.xml").read_bytes()
    row = (GOLDEN / "rows" / "v_patient.json").read_bytes()
    opened.take(
        replace(RECORD, source="emr", kind="cda", key="doc-1", content=document),
        replace(RECORD, source="his", kind="row/v_patient", key="42", content=row, received_at=datetime(2024, 5, 3, tzinfo=UTC)),
    )
    opened.journal(oru_record(99))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"patient": "P7"}, [13, 7]),
        ({"patient": "p7 "}, [13, 7]),
        ({"patient": "王小芳"}, [13]),
        ({"patient": "P777"}, []),
        ({"control_id": "M3"}, [3]),
        ({"control_id": "M3", "patient": "P4"}, []),
        ({"text": "小芳"}, [13]),
        ({"text": "芳"}, [13]),
        ({"text": "试12"}, [12]),
        ({"text": "芳小"}, []),  # both pairs of characters are somewhere, but not these
        ({"text": "R11 生化"}, [11]),
        ({"text": "!!"}, []),
        ({"kind": "row"}, [17]),
        ({"kind": "row/v_patient", "source": "his"}, [17]),
        ({"type": "C0002"}, [16]),
        ({"source": "nobody"}, []),
        ({"state": "dead"}, [15, 14]),
        ({"state": "waiting"}, [18]),
        ({"state": "dead", "cause": "no MSH segment"}, [14]),
        ({"state": "dead", "text": "message"}, [14]),
        ({"since": "2024-05-02T00:00:00+00:00"}, [17]),
        ({"until": "2024-05-02T00:00:00+00:00", "kind": "cda"}, [16]),
        ({"since": "2031-01-01"}, []),
    ],
)
def test_a_message_is_found_by_what_is_known_of_it(house, query, expected):
    assert house.found(**query) == expected
    assert count(house.journal, house.store, Query(**query)).number == len(expected)


def test_pages_follow_one_another_without_gap_or_repeat(house):
    seen: list[int] = []
    before: int | None = 0
    while before is not None:
        page = search(house.journal, house.store, Query(source="cty-lis", before_seq=before), limit=4)
        seen += [message.seq for message in page.messages]
        before = page.next
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == len(set(seen)) == 16
    assert numbers(house.journal, house.store, Query(source="cty-lis"), 100) == sorted(seen)
    with pytest.raises(Invalid, match="more than 3"):
        numbers(house.journal, house.store, Query(), 3)


def test_a_patient_of_the_hub_is_found_by_the_numbers_that_its_sources_gave(house):
    (reference,) = [each for each in house.store.outcome(13).resources if each.startswith("Patient/")]
    assert house.found(patient=reference) == [13, 7]
    assert house.found(patient="Patient/nobody") == []


def test_a_message_that_several_numbers_find_stands_once(tmp_path):
    house = House(tmp_path)
    house.take(adt(1, "A01", "P1", card="11010519491231002X"), adt(2, "A01", "P2"), adt(3, "A08", "P1"))
    (reference,) = [each for each in house.store.outcome(1).resources if each.startswith("Patient/")]
    assert house.found(patient=reference) == [3, 1]
    assert count(house.journal, house.store, Query(patient=reference)).number == 2
    assert house.found(patient=reference, control_id="A1") == [1]
    assert house.found(patient=reference, control_id="A2") == []
    house.close()


def test_a_line_names_no_patient(house):
    message = message_at(house.journal, house.store, 16)
    assert (message.type, message.source, message.patient) == ("C0002", "emr", "•••01")
    assert message_at(house.journal, house.store, 99) is None
    assert "王小芳" not in repr(search(house.journal, house.store, Query(patient="王小芳")))
    assert [(cause.cause, cause.records) for cause in causes(house.store)] == [("no MSH segment", 1), ("no PID segment", 1)]


@pytest.mark.parametrize("query", [{"state": "lost"}, {"since": "yesterday"}, {"until": "2024-13-01"}])
def test_a_question_that_cannot_be_meant_is_refused(query):
    with pytest.raises(Invalid, match=str(next(iter(query.values())))):
        Query(**query)


def test_an_index_that_is_lost_damaged_or_of_another_release_is_made_anew(tmp_path):
    for harm in (lambda path: path.unlink(), lambda path: path.write_bytes(b"x" * 5000), _other_layout):
        house = House(tmp_path / harm.__name__.strip("<>"))
        house.take(oru_record(1), adt(2, "A01", "P7"))
        assert house.found(patient="P7") == [2]
        house.close()
        for name in (f"{NAME}-wal", f"{NAME}-shm"):
            (house.folder / name).unlink(missing_ok=True)
        harm(house.folder / NAME)
        again = House(house.folder)
        assert again.found(patient="P7") == [2]
        again.close()


def _other_layout(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("DROP TABLE message; PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize(
    ("kind", "content", "terms"),
    [
        ("hl7v3", f'<P_IN1><interactionId extension="P_IN1"/>{V3_PATIENT}</P_IN1>'.encode(), ("p0007", "李四")),
        (
            "fhir",
            '{"resourceType": "Patient", "identifier": [{"value": "P 7"}], "name": [{"text": "李四"}]}'.encode(),
            ("p7", "李四"),
        ),
        ("fhir", b'{"resourceType": "Observation", "subject": {"reference": "Patient/p1"}}', ("p1",)),
        ("fhir", b"[]", ()),
        ("hl7v3", b"<a", ()),
    ],
)
def test_other_kinds_are_found_by_their_patients_too(kind, content, terms):
    assert summary_of(replace(RECORD, kind=kind, content=content)).terms == terms


def test_words_are_cut_so_that_chinese_is_found_anywhere():
    assert words("血清钾 K+ ABC-12") == "血清 清钾 钾 k abc 12"
    assert words("A" * 41) == ""
    assert summary_of(replace(RECORD, kind="dicom", key="x", content=b"\0" * 300)).control == "x"
    assert summary_of(replace(RECORD, kind="unheard-of", key="x", content="中文".encode("gb18030"))).text == "中文"


# ---------------------------------------------------------------- one message


def _flat(nodes: tuple[Node, ...]) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from _flat(node.children)


def test_a_message_is_opened_with_its_bytes_its_parts_and_where_they_went(house):
    explainer = Explainer(dict, house.folder / "blobs")
    try:
        masked, plain = (inspect(house.journal, house.store, explainer, 13, unmasked=opened) for opened in (False, True))
        with pytest.raises(NotFound):
            inspect(house.journal, house.store, explainer, 4711)
        bad = inspect(house.journal, house.store, explainer, 14)
    finally:
        explainer.close()
    assert "王小芳" in plain.shown.raw.text
    assert "王小芳" in repr(plain.made)
    assert "王小芳" not in repr(masked)
    assert "19700301" not in repr(masked.shown)
    content = house.journal.read(13).record.content
    for node in _flat(plain.shown.tree):
        if node.start >= 0 and "-" in node.where:
            assert content[node.start : node.end].decode() == node.value
    assert len([line for line in masked.lines if line.state == "mapped"]) == masked.ledger["mapped"]
    assert {made.reference for made in masked.made} == set(masked.outcome.resources)
    assert [touch.seq for touch in masked.lineage] == [7]
    assert (bad.reason, bad.made) == ("no MSH segment", ())


@pytest.mark.parametrize(
    ("kind", "content", "secret"),
    [
        ("hl7v2", "MSH|^~\\&|A|B\rPID|||1^^^X||李四\rZZ1|李四|secret\rNTE|1||李四 calls".encode(), ("李四", "secret")),
        ("hl7v2", b"MSH|^~\\&|A|B\rPID|||1||\xff\xfe\xff", ("\\xff",)),
        ("row/x", '{"xm": "李四", "remark": "李四", "status": "1"}'.encode(), ("李四",)),
        ("cda", (GOLDEN / "cda" / "c0002-outpatient.xml").read_bytes(), ("欧阳晓华", "339900198503120021", "P0001")),
        ("pdf", "李四".encode("gb18030"), ("李四",)),
        ("fhir", '{"resourceType": "Patient", "name": [{"text": "李四"}], "birthDate": "1980-01-02"}'.encode(), ("李四", "1980")),
        ("hl7v3", f"<A>{V3_PATIENT}</A>".encode(), ("李四", "P0007", "1980")),
    ],
)
def test_what_is_not_known_to_be_harmless_is_masked(kind, content, secret):
    shown = show(replace(RECORD, kind=kind, content=content), opened=False)
    for each in secret:
        assert each not in repr(shown)


def test_a_reason_says_something():
    for reason in ("", "  x ", "y" * 201):
        with pytest.raises(Invalid, match="why"):
            checked_reason(reason)


# ---------------------------------------------------------------- before it goes live


def test_a_file_is_previewed_record_by_record_and_nothing_is_stored(house):
    before = house.journal.newest()
    found = preview(oru(1) + oru(2), MappingContext(), facility="CTY")
    assert [each["resourceType"] for each in found[1].resources][:2] == ["Patient", "ServiceRequest"]
    assert found[0].lines
    assert "测试1" not in repr(found)
    assert house.journal.newest() == before


@pytest.mark.parametrize(
    ("content", "name", "kind"),
    [
        (b"\x0bMSH|^~\\&|", "", "hl7v2"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><ClinicalDocument/>", "", "cda"),
        (b"\0" * 128 + b"DICM", "", "dicom"),
        (b' {"a": 1}', "V_Patient.json", "row/v_patient"),
        (b'{"resourceType": "Patient"}', "x.json", "fhir"),
        (b"<PRPA_IN1><interactionId/></PRPA_IN1>", "", "hl7v3"),
    ],
)
def test_a_file_says_itself_what_it_is(content, name, kind):
    assert kind_of(content, name) == kind


@pytest.mark.parametrize("content", [b"", b"hello", b"\n"])
def test_a_file_that_is_nothing_is_refused(content):
    with pytest.raises(Invalid):
        preview(content, MappingContext())


def test_a_changed_map_is_a_diff_and_what_is_worse_is_a_regression(house):
    mapped = {"cty-lis": MappingContext(concept_maps=load_concept_maps(["cty-item"]))}
    bare = {"cty-lis": MappingContext()}
    chosen = [1, 2, 14]
    worse = diff(mapped, bare, stored(house.journal, chosen), house.folder / "blobs")
    assert (worse.looked, worse.same, worse.regressions) == (3, 1, 2)
    assert worse.messages[0].regression == "3 more issues: unmapped-code OBX[1]-3"
    assert worse.elements["Observation.code.coding.code removed"] == 6
    assert worse.issues == {"unmapped-code added": 6}


# ---------------------------------------------------------------- replay


def test_a_replay_waits_while_paused_keeps_to_its_rate_and_can_be_ended(tmp_path):
    house = House(tmp_path)
    house.take(*(oru_record(number) for number in range(1, 8)))
    now = [0.0]
    replays = Replays(house.journal, house.store, monotonic=lambda: now[0])
    number = replays.request(Filter(selection=Selection(source="cty-lis"), rate=2, paused=True))
    assert replays.open() is None
    assert replays.resume(number)
    request = replays.open()
    assert replays.next(request) == [1, 2]
    replays.advance(request, [1, 2])
    assert replays.open() is None
    now[0] = 1.0
    assert replays.next(replays.open()) == [3, 4]
    assert replays.cancel(number)
    assert not replays.cancel(number)
    now[0] = 9.0
    assert replays.open() is None
    house.close()


def test_the_index_costs_the_acknowledgement_nothing(tmp_path):
    """It shares neither file nor lock with the journal: while somebody holds it for writing, records are kept all the same."""
    house = House(tmp_path)
    house.take(oru_record(1))
    assert house.found() == [1]
    other = apsw.Connection(str(tmp_path / NAME))
    other.execute("BEGIN IMMEDIATE")
    house.journal(oru_record(2))  # were the lock theirs too, its patience would end with an error
    other.execute("ROLLBACK")
    other.close()
    assert house.found() == [2, 1]
    house.close()
