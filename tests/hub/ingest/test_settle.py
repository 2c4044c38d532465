"""The law of settling: how statements arrive never decides what is known in the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.ingest.settle import Mode, Origin, settle
from profiles.names import HEALTH_CARD, ID_CARD

START = datetime(2024, 5, 1, 8, 0, tzinfo=UTC)
Statement = tuple[dict[str, Any], Mode, Origin]


def said(minute: int, mode: Mode, digest: str = "a", **elements: Any) -> Statement:
    return {"resourceType": "Patient", "id": "p", **elements}, mode, Origin(START + timedelta(minutes=minute), digest)


def said_of_visit(minute: int, mode: Mode, digest: str = "a", **elements: Any) -> Statement:
    return {"resourceType": "Encounter", "id": "e", **elements}, mode, Origin(START + timedelta(minutes=minute), digest)


def told(statements: list[Statement] | tuple[Statement, ...]) -> tuple[Any, dict[str, str]]:
    resource, stamps = None, {}
    for stated, mode, origin in statements:
        settled = settle(resource, stamps, stated, mode, origin)
        resource, stamps = settled.resource, settled.stamps
    return resource, stamps


def link(to: str, kind: str) -> dict[str, Any]:
    return {"other": {"reference": f"Patient/{to}"}, "type": kind}


def number(system: str, value: str = "") -> dict[str, str]:
    return {"system": system, **({"value": value} if value else {})}


LOCAL, UNCHECKED, CARD = "urn:hub:CTY:patient", "urn:hub:CTY:unchecked-id", ID_CARD


def test_a_later_message_without_the_cards_leaves_the_cards_that_another_stated():
    statements = [
        said(1, "patch", identifier=[number(LOCAL, "1"), number(CARD, "110101199003071233"), number(HEALTH_CARD, "H1")]),
        said(2, "patch", "b", identifier=[number(LOCAL, "1"), number("urn:hub:CTY:ss", "S")]),
        said(3, "fill", "c", identifier=[number(LOCAL, "1"), number(HEALTH_CARD, "H2")]),
        said(4, "patch", "d", identifier=[number(HEALTH_CARD, "H3")]),
    ]
    for order in permutations(statements):
        found = {entry["system"]: entry["value"] for entry in told(order)[0]["identifier"]}
        assert found == {LOCAL: "1", CARD: "110101199003071233", HEALTH_CARD: "H3", "urn:hub:CTY:ss": "S"}


def test_an_identifier_goes_when_it_is_stated_to_be_gone():
    statements = [
        said(1, "patch", identifier=[number(LOCAL, "1"), number(CARD, "110101199003071233")]),
        said(2, "patch", "b", identifier=[number(CARD)]),
    ]
    for order in permutations(statements):
        assert told(order)[0]["identifier"] == [number(LOCAL, "1")]
    for order in permutations([*statements, said(3, "patch", "c", identifier=None), said(2, "replace", "d", identifier=[])]):
        assert "identifier" not in told(order)[0]


def test_a_corrected_id_number_takes_the_place_of_the_one_that_failed_its_check():
    statements = [
        said(1, "patch", identifier=[number(UNCHECKED, "110101199003071230")]),
        said(2, "patch", "b", identifier=[number(CARD, "110101199003071233")]),
    ]
    for order in permutations(statements):
        assert told(order)[0]["identifier"] == [number(CARD, "110101199003071233")]


def test_a_discharge_that_does_not_repeat_the_admission_leaves_its_time():
    statements = [
        said_of_visit(1, "patch", status="in-progress", period={"start": "2024-05-01"}),
        said_of_visit(2, "patch", "b", status="finished", period={"end": "2024-05-09"}),
    ]
    for order in permutations(statements):
        assert told(order)[0]["period"] == {"start": "2024-05-01", "end": "2024-05-09"}
    taken_back = said_of_visit(3, "patch", "c", status="in-progress", period={"end": None})
    for order in permutations([*statements, taken_back]):
        assert told(order)[0]["period"] == {"start": "2024-05-01"}


SIX = [
    said(1, "patch", gender="female", birthDate="1970", name=[{"text": "王芳"}]),
    said(2, "patch", birthDate="1970-03-01", telecom=[{"value": "1"}]),
    said(3, "patch", telecom=None, deceasedBoolean=False),
    said(4, "fill", name=[{"text": "WANG FANG"}], gender="unknown", maritalStatus={"text": "已婚"}),
    said(5, "patch", active=False, link=[link("q", "replaced-by")], deceasedDateTime="2024-05-01"),
    said(6, "replace", gender="male", link=[link("r", "seealso")]),
]


def test_all_orders_of_six_messages_end_in_one_state():
    states = [told(order) for order in permutations(SIX)]
    assert all(state == states[0] for state in states)
    resource, _ = states[0]
    assert resource == {"resourceType": "Patient", "id": "p", "gender": "male", "link": [link("r", "seealso")]}


def test_without_the_replacement_each_element_is_the_last_one_stated():
    resource, _ = told(SIX[:5])
    assert resource == {
        "resourceType": "Patient",
        "id": "p",
        "active": False,
        "birthDate": "1970-03-01",
        "deceasedDateTime": "2024-05-01",  # a choice element is one element: the boolean went
        "gender": "female",
        "link": [link("q", "replaced-by")],
        "maritalStatus": {"text": "已婚"},  # filled: nobody else says
        "name": [{"text": "王芳"}],  # a fill never outranks a patch
    }


def test_two_merges_of_one_survivor_stand_side_by_side():
    merges = [said(1, "patch", link=[link("b", "replaces")]), said(2, "patch", "z", link=[link("c", "replaces")])]
    both = [link("b", "replaces"), link("c", "replaces")]
    for order in permutations(merges):
        links = told(order)[0]["link"]
        assert sorted(links, key=str) == both
        assert links == told(merges)[0]["link"]


def test_a_deleted_element_does_not_come_back_with_a_late_message():
    resource, _ = told([said(2, "patch", birthDate=None), said(1, "patch", birthDate="1970")])
    assert "birthDate" not in resource


def test_an_extension_on_a_primitive_goes_with_its_value():
    resource, _ = told([said(1, "patch", birthDate="1970", _birthDate={"id": "x"}), said(2, "patch", birthDate="1971")])
    assert resource["birthDate"] == "1971"
    assert "_birthDate" not in resource


def test_a_mended_mapper_wins_over_its_own_former_word_and_over_nothing_newer():
    former, newer = said(1, "replace", "z", gender="male"), said(2, "patch", "b", name=[{"text": "新"}])
    mended = said(1, "replace", "z", gender="female", name=[{"text": "旧"}])
    resource, _ = told([former, newer, mended])
    assert resource["gender"] == "female"
    assert resource["name"] == [{"text": "新"}]


def test_the_same_statement_again_changes_nothing():
    resource, stamps = told(SIX)
    for stated, mode, origin in SIX:
        again = settle(resource, stamps, stated, mode, origin)
        assert (again.changed, again.resource, again.stamps) == (False, resource, stamps)


def test_of_two_statements_of_one_second_the_further_status_is_the_later():
    for first, second in (("a", "b"), ("b", "a")):
        preliminary, final = said(1, "replace", first, status="preliminary"), said(1, "replace", second, status="final")
        assert told([preliminary, final]) == told([final, preliminary])
        assert told([final, preliminary])[0]["status"] == "final"


def test_a_source_clock_far_ahead_does_not_win_for_ever():
    received = START
    ahead = Origin.of(START + timedelta(days=3650), received, "a" * 64)
    assert ahead.time == received + timedelta(days=1)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "gender": st.sampled_from(["male", "female", None]),
    "birthDate": st.sampled_from(["1970", "1971-02", None]),
    "active": st.booleans(),
    "deceasedBoolean": st.booleans(),
    "deceasedDateTime": st.sampled_from(["2020", "2021"]),
    "identifier": st.one_of(
        st.none(),
        st.lists(
            st.builds(number, st.sampled_from([LOCAL, UNCHECKED, CARD, HEALTH_CARD]), st.sampled_from(["", "1", "2"])), max_size=4
        ),
    ),
    "link": st.one_of(
        st.none(), st.lists(st.sampled_from([link(to, kind) for to in "bcd" for kind in ("replaces", "seealso")]), unique_by=str)
    ),
}
STATEMENTS = st.lists(
    st.tuples(st.sampled_from(["patch", "fill", "replace"]), st.fixed_dictionaries({}, optional=VALUES)), min_size=2, max_size=8
)


@settings(max_examples=300, deadline=None)
@given(stated=STATEMENTS, minutes=st.lists(st.integers(0, 3), min_size=8, max_size=8), data=st.data())
def test_any_sequence_in_any_order_with_any_repeats_ends_in_one_state(stated, minutes, data):
    messages = []
    for number, (mode, elements) in enumerate(stated):
        whole = {name: value for name, value in elements.items() if value is not None} if mode == "replace" else elements
        messages.append(said(minutes[number], mode, f"{number}", **whole))
    order = data.draw(st.permutations(messages))
    repeats = data.draw(st.lists(st.sampled_from(messages), max_size=3))
    assert told([*order, *repeats])[0] == told(messages)[0]


def test_the_first_statement_has_the_order_of_members_that_every_later_one_has():
    stated = {"resourceType": "Observation", "id": "o", "status": "final", "_status": {"id": "x"}, "valueString": "a", "code": {}}
    origin = Origin(START, "a")
    first = settle(None, {}, stated, "replace", origin)
    again = settle(None, first.stamps, stated, "replace", origin)
    assert list(first.resource) == list(again.resource) == ["resourceType", "id", "code", "_status", "status", "valueString"]
