"""A laboratory repeats itself: what was learnt of one message changes nothing of what is said of the next."""

from __future__ import annotations

from dataclasses import replace

from connectors.base import SourceRecord
from mappers.base import Mapped, MappingContext
from mappers.registry import map_record
from tests.hub.ingest.messages import RECORD

HEAD = (
    "MSH|^~\\&|LIS|CTY|HUB|HUB|20240501080000||ORU^R01|M{0}|P|2.4|||||CHN|UNICODE UTF-8",
    "PID|1||P{0}||测试||19700301|F",
    "OBR|1|R{0}|L{0}|CHEM^生化|||20240501080000|||||||||||||||20240501080000|||F",
)
ODD = "|NM|K^★钾||4.{0}|furlong|3.5-5.3|zz^own||F|Q|||2024|LAB^检验科"
USUAL = "|ST|NA^钠||1{0}|mmol/L|135-145|H|||F|||20240501080000"


def _record(number: int, *results: str) -> SourceRecord:
    lines = [line.format(number) for line in HEAD]
    lines += [f"OBX|{place}{result.format(number)}" for place, result in enumerate(results, 1)]
    return replace(RECORD, key=f"M{number}", content="\r".join(lines).encode())


def test_what_is_remembered_says_what_a_first_reading_says() -> None:
    habits = MappingContext()
    records = [_record(1, ODD, USUAL), _record(2, USUAL, ODD, ODD), _record(3, ODD, "|TX|K^★钾||text|furlong|3.5-5.3|zz^own||F|Q")]
    again = [map_record(record, habits) for record in records for _ in range(2)]
    for record, first, second in zip(records, again[::2], again[1::2], strict=True):
        anew = map_record(record, MappingContext())
        assert first == second == anew
        traced = map_record(record, MappingContext(explain=True))
        assert (traced.changes, traced.issues, traced.ledger) == (anew.changes, anew.issues, anew.ledger)
    assert {issue.where for issue in again[2].issues} >= {"OBX[2]-3", "OBX[3]-3", "OBX[2]-6", "OBX[3]-6", "OBX[2]-8", "OBX[3]-8"}


def test_two_senders_with_habits_of_their_own_do_not_mix() -> None:
    loinc = ({"system": "http://loinc.org", "code": "2951-2", "display": "Sodium"},)
    mapped = MappingContext(concept_maps={("urn:hub:CTY:item", "NA"): loinc})
    for _ in range(2):
        plain, known = (map_record(_record(4, USUAL), habits) for habits in (MappingContext(), mapped))
        other = map_record(replace(_record(4, USUAL), facility="XZ"), mapped)
        systems = [_systems(found) for found in (plain, known, other)]
        assert systems == [{"urn:hub:CTY:item"}, {"urn:hub:CTY:item", "http://loinc.org"}, {"urn:hub:XZ:item"}]


def _systems(found: Mapped) -> set[str]:
    codes = [each["code"] for each in found.resources if each["resourceType"] == "Observation"]
    return {coding["system"] for code in codes for coding in code["coding"]}
