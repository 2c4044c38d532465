"""Messages late, doubled and permuted, a pipeline that stops and starts, replays in between: one final state.

What a laboratory and a registration desk send (demo.lis), corrections of their results, and messages of the golden cases, by way of
the listener's desk, journal, mapper and store.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from benchmarks.data import START
from connectors.base import SourceRecord
from connectors.hl7v2_mllp.binding import Senders
from connectors.hl7v2_mllp.receiving import Desk
from demo.lis import LaboratorySystem
from demo.people import make_people
from demo.story import make_visits
from hub.ingest.replay import Filter
from tests.hub.ingest.test_pipeline import House

GOLDEN = Path(__file__).parents[2] / "golden" / "hl7v2"
REAL = ("adt-a01-chinese", "adt-a03-discharge", "adt-a08-deletes-and-keeps", "oru-utf8-specimen-and-correction")
RECEIVED = datetime(2026, 12, 1, tzinfo=UTC)
PER_RECORD = {"AuditEvent"}  # what was done, not what is: a repeated message leaves another one


@cache
def world() -> tuple[SourceRecord, ...]:
    """Oldest first. Two of the results are corrected later, one of them twice."""
    now = START + timedelta(days=200)
    people = make_people(10, 3, now.date())
    laboratory = LaboratorySystem("CTY")
    contents = [m.content for m in laboratory.registrations(people, now - timedelta(days=90))]
    contents += [m.content for m in laboratory.orders_and_results(make_visits(people, 3, now))][:8]
    results = [content for content in contents if b"|ORU^R01" in content]
    contents += [_corrected(results[0], 1), _corrected(results[0], 2), _corrected(results[1], 1)]
    contents += [(GOLDEN / name / "input.hl7").read_bytes() for name in REAL]
    desk = Desk("cty-lis", "CTY", Senders(), {}, lambda: RECEIVED, 7)
    records = [desk.receive(content, "127.0.0.1").record for content in contents]
    assert all(record is not None and "held" not in record.hints for record in records)
    return tuple(record for record in records if record is not None)


def _corrected(content: bytes, times: int) -> bytes:
    """The same report, so many days later, its first value changed."""
    lines = content.split(b"\r")
    header = lines[0].split(b"|")
    day = datetime.strptime(header[6][:8].decode(), "%Y%m%d").replace(tzinfo=UTC) + timedelta(days=times)
    header[6] = day.strftime("%Y%m%d").encode() + header[6][8:]
    header[9] += b"C%d" % times
    lines[0] = b"|".join(header)
    first = next(n for n, line in enumerate(lines) if line.startswith(b"OBX|"))
    result = lines[first].split(b"|")
    result[5], result[11] = b"%d.%d" % (times, times), b"C"
    lines[first] = b"|".join(result)
    return b"\r".join(lines)


def state(house: House) -> dict[str, Any]:
    """All that can be seen by FHIR, but for versions, times of writing and what is done once a record."""
    found: dict[str, Any] = {}
    kinds = {reference.partition("/")[0] for outcome in house.store.outcomes() for reference in outcome.resources}
    for kind in sorted(kinds | {"Provenance"} - PER_RECORD):
        for resource in house.all(kind):
            known = {name: value for name, value in resource.items() if name not in {"meta", "recorded"}}
            found[_name(resource)] = _provenance(known) if kind == "Provenance" else known
    found["persons"] = {id: house.store.person_of(id) for id in sorted(_patients(found))}
    return found


def _name(resource: dict[str, Any]) -> str:
    """A Provenance's id holds its record's number, which the order of arrival gives."""
    own = resource["entity"][0]["what"]["identifier"]["value"] if resource["resourceType"] == "Provenance" else resource["id"]
    return f"{resource['resourceType']}/{own}"


def _provenance(known: dict[str, Any]) -> dict[str, Any]:
    targets = {target["reference"] for target in known["target"]}
    return {"targets": targets, "agent": known["agent"], "occurred": known["occurredDateTime"], "of": known.get("extension")}


def _patients(found: dict[str, Any]) -> Iterator[str]:
    return (name.partition("/")[2] for name in found if name.startswith("Patient/"))


def _persons_as_sets(found: dict[str, Any]) -> dict[str, Any]:
    """A person's own id may differ; who belongs together may not."""
    groups: dict[str, set[str]] = {}
    for patient, person in found["persons"].items():
        groups.setdefault(person, set()).add(patient)
    together = {frozenset(group) for group in groups.values()}
    return {**found, "persons": together}


@cache
def in_order() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder))
        house.journal(*world())
        house.drain()
        assert house.store.outcomes(state="dead") == []
        found = _persons_as_sets(state(house))
        house.close()
    return found


class Arrivals(RuleBasedStateMachine):
    """A source that sends as it likes, and a hub that is stopped and started as it likes."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.house = House(Path(self.folder.name))
        self.running = self.house.pipeline()

    @rule(numbers=st.lists(st.integers(0, len(world()) - 1), min_size=1, max_size=8))
    def arrive(self, numbers: list[int]) -> None:
        self.house.journal(*(world()[number] for number in numbers))

    @rule()
    def work(self) -> None:
        self.running.run_once()

    @rule()
    def restart(self) -> None:
        self.running = self.house.pipeline()

    @rule()
    def replay(self) -> None:
        self.house.replays.request(Filter())
        self.work()

    def teardown(self) -> None:
        self.house.journal(*reversed(world()))
        self.house.drain()
        found = _persons_as_sets(state(self.house))
        self.house.close()
        self.folder.cleanup()
        expected = in_order()
        assert found.keys() == expected.keys()
        assert {name: (found[name], expected[name]) for name in found if found[name] != expected[name]} == {}


TestArrivals = Arrivals.TestCase
TestArrivals.settings = settings(max_examples=8, stateful_step_count=12, suppress_health_check=list(HealthCheck))
