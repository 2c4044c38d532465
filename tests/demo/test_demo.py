"""The demo as a newcomer runs it, and what its county promises."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime

from demo.lis import LaboratorySystem
from demo.people import FACILITIES, make_people, old_id_number
from demo.story import make_visits
from mappers.datatypes import id_check, valid_id_number

TODAY = date(2026, 11, 22)
NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)


def test_the_headless_demo_holds_every_line_and_exits_0():
    command = [sys.executable, "-m", "hub", "demo", "--headless", "--people", "25"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "✗" not in run.stdout
    assert run.stdout.count("✓") == 14
    for channel in ("cty-lis", "tcm-lis", "twp-lis", "county-pacs", "cty-his", "tcm-his", "twp-his", "cty-emr", "tcm-emr"):
        sent, acknowledged, mapped, _, dead, resources = _row(run.stdout, channel)
        assert sent == acknowledged == mapped > 0
        assert dead == 0
        assert resources > 0


def _row(table: str, channel: str) -> list[int]:
    line = next(line for line in table.splitlines() if f" {channel} " in line)
    return [int(cell) for cell in re.findall(r"│\s+(\d+) (?=│)", line)]


def test_a_folder_that_holds_a_hub_is_not_used_for_a_demo(tmp_path):
    (tmp_path / "store.sqlite").touch()
    command = [sys.executable, "-m", "hub", "demo", "--headless", "--data", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert run.returncode == 2
    assert "holds a hub already" in run.stdout


def test_the_same_seed_makes_the_same_county():
    assert make_people(120, 7, TODAY) == make_people(120, 7, TODAY)
    assert make_people(120, 7, TODAY) != make_people(120, 8, TODAY)
    people = make_people(60, 7, TODAY)
    visits = make_visits(people, 7, NOW)
    assert visits == make_visits(people, 7, NOW)
    messages = [[m.content for m in LaboratorySystem(f).orders_and_results(visits)] for f in FACILITIES]
    assert messages == [[m.content for m in LaboratorySystem(f).orders_and_results(visits)] for f in FACILITIES]


def test_id_numbers_are_right_and_nobodys():
    people = make_people(500, 1, TODAY)
    numbers = [person.id_number for person in people if person.id_number]
    assert all(number[17] == id_check(number[:17]) and number.startswith("339900") for number in numbers)
    assert len(set(numbers)) == len(numbers)
    assert 10 < sum(not person.id_number for person in people) < 150


def test_the_county_holds_what_makes_registers_hard():
    people = make_people(500, 1, TODAY)
    known = Counter(len(person.local) for person in people)
    assert known[2] + known[3] > known[1]
    alike = Counter((person.name, person.birth) for person in people)
    assert max(alike.values()) > 1
    assert any(person.name.encode("gbk", "ignore").decode("gbk") != person.name for person in people)  # outside GBK
    old = [person for person in people if any(len(number) == 15 for number in person.id_as_written.values())]
    assert old
    assert all(valid_id_number(old_id_number(person.id_number)) == person.id_number for person in old)


def test_nothing_of_the_story_lies_in_the_future():
    visits = make_visits(make_people(300, 3, TODAY), 3, NOW)
    assert all(visit.start <= NOW and (visit.end is None or visit.end <= NOW) for visit in visits)
    assert all(report.reported <= NOW for visit in visits for report in visit.labs)
