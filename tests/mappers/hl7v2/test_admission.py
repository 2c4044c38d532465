"""ADT: each event's effect, and what stands beside patient and visit. Entered by the mapper's front door."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappers.base import CannotMap, Mapped, MappingContext
from mappers.hl7v2.encounter import STATUS_BY_TRIGGER
from mappers.hl7v2.merge import MERGES
from mappers.hl7v2.message import split_messages
from mappers.hl7v2.messages import MAPS
from mappers.identity_keys import resource_id
from profiles.validation import validate
from tests.mappers.hl7v2.conftest import check_r4, mapped, of_type, only, stored

PID = "PID|1||7^^^CTY^MR||张三||19850712|M"
PV1 = "PV1|1|I|内一科^201^03||||D1^陈医生||||||||||||V1|||||||||||||||||||||||||20240501082000"


def adt(trigger: str, *segments: str, at: str = "20240501103000", structure: str = "") -> str:
    kind = f"ADT^{trigger}{structure and '^' + structure}"
    return "\r".join([rf"MSH|^~\&|HIS|CTY|HUB|HUB|{at}||{kind}|1|P|2.5", *(segments or (PID, PV1))])


def settled(*messages: str) -> dict[tuple[str, str], dict]:
    """What the store holds after these messages, valid R4."""
    return stored(*map(mapped, messages))


def one(state: dict[tuple[str, str], dict], kind: str) -> dict:
    (found,) = [resource for (its_kind, _), resource in state.items() if its_kind == kind]
    return found


def patient(number: str) -> str:
    return resource_id("Patient", "CTY", number)


# ---------------------------------------------------------------- events


@pytest.mark.parametrize(("trigger", "status"), sorted(STATUS_BY_TRIGGER.items()))
def test_each_event_states_its_status(trigger: str, status: str) -> None:
    if trigger == "A17":
        message = adt(trigger, PID, PV1, PID.replace("|7^", "|8^"), PV1.replace("|V1|", "|V2|"))
        assert {visit["status"] for visit in of_type(mapped(message), "Encounter")} == {status}
        return
    done = mapped(adt(trigger))
    assert only(done, "Encounter")["status"] == status
    check_r4(done)


@pytest.mark.parametrize(
    "trigger", sorted({key[1] for key in MAPS if key[0] == "ADT"} - {*STATUS_BY_TRIGGER, *MERGES, "A24", "A37", "A29"})
)
def test_an_event_that_says_nothing_of_the_status_leaves_it(trigger: str) -> None:
    state = settled(adt("A03", at="20240501100000"), adt(trigger, at="20240501110000"))
    assert one(state, "Encounter")["status"] == "finished"


@pytest.mark.parametrize(
    ("events", "status", "ended"),
    [
        (("A05", "A01", "A03"), "finished", True),
        (("A01", "A03", "A13"), "in-progress", False),
        (("A01", "A11"), "cancelled", False),
        (("A05", "A38"), "cancelled", False),
        (("A14", "A27"), "cancelled", False),
        (("A01", "A21", "A22"), "in-progress", False),
        (("A01", "A21", "A52"), "in-progress", False),
        (("A01", "A21", "A22", "A53"), "onleave", False),
        (("A01", "A16", "A25", "A08"), "in-progress", False),
        (("A04", "A06"), "in-progress", False),
        (("A01", "A23"), "entered-in-error", False),
    ],
)
def test_a_chain_of_events_ends_the_same_in_any_order(events: tuple[str, ...], status: str, ended: bool) -> None:
    out = "|20240508100000"
    chain = [
        adt(event, PID, PV1 + (out if event == "A03" else ""), at=f"202405{number + 1:02d}100000")
        for number, event in enumerate(events)
    ]
    state = settled(*chain)
    assert state == settled(*reversed(chain)) == settled(*chain, chain[0])  # late, doubled
    visit = one(state, "Encounter")
    assert (visit["status"], "end" in visit["period"]) == (status, ended)


TWO_DOCTORS = PV1.replace("D1^陈医生|", "D1^陈医生|D2^王医生")
STORY = [
    adt("A28", at="20240501080000"),
    adt("A05", PID, PV1, at="20240501090000"),
    adt("A01", PID + "||||||138|0579", TWO_DOCTORS, "AL1|1|DA|J01^青霉素", at="20240501100000"),
    adt("A02", PID, PV1.replace("201^03", "202^01"), at="20240502100000"),
    adt("A54", PID, PV1.replace("D1^陈医生", "D9^周医生"), at="20240503100000"),
    adt("A08", PID + '||||||||||A7', PV1, "DG1|1||I10^高血压^I10|||F", at="20240504100000"),
    adt("A40", PID, "MRG|8^^^CTY^MR", at="20240505100000"),
    adt("A03", PID, PV1 + "|20240506100000", at="20240506100000"),
    adt("A24", PID, PID.replace("|7^", "|9^"), at="20240507100000"),
    adt("A13", PID, PV1, at="20240507110000"),
    adt("A37", PID, PID.replace("|7^", "|9^"), at="20240508100000"),
]  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(len(STORY))), st.lists(st.integers(0, len(STORY) - 1), max_size=3))
def test_a_story_told_in_any_order_and_twice_ends_the_same(order: list[int], again: list[int]) -> None:
    told = {number: mapped(STORY[number]) for number in range(len(STORY))}
    state = stored(*(told[number] for number in [*order, *again]), numbers=[*order, *again])
    assert state == stored(*told.values(), numbers=list(told))
    visit = one(state, "Encounter")
    assert (visit["status"], visit["diagnosis"][0]["use"]["coding"][0]["code"]) == ("in-progress", "DD")
    assert "end" not in visit["period"]
    assert state["Patient", patient("7")]["link"] == [{"other": {"reference": f"Patient/{patient('8')}"}, "type": "replaces"}]


def test_an_update_before_its_admission_is_settled_by_the_sources_time() -> None:
    update, admission = adt("A08", PID.replace("张三", "张叁"), PV1, at="20240502"), adt("A01", at="20240501")
    assert settled(update, admission) == settled(admission, update)
    assert one(settled(update, admission), "Patient")["name"][0]["text"] == "张叁"


def test_the_times_of_the_event_itself() -> None:
    pv1 = "PV1|1|I|内一科^201^03||||D1^陈医生||||||||||||V1"
    admitted = mapped(adt("A01", "EVN|A01|20240501103000||||20240501101500", PID, pv1))
    assert only(admitted, "Encounter")["period"] == {"start": "2024-05-01T10:15:00+08:00"}
    discharged = mapped(adt("A03", "EVN|A03|20240508103000||||20240508101500", PID, pv1))
    assert only(discharged, "Encounter")["period"] == {"end": "2024-05-08T10:15:00+08:00"}
    assert ("mapped", "Encounter.period, Encounter.location.period") in {
        (line.state, line.to)
        for line in mapped(adt("A01", "EVN|A01|1||||20240501101500", PID, pv1), context=MappingContext(explain=True)).lines
    }


def test_a_transfer_its_cancel_and_a_pending_one() -> None:
    pv1 = "PV1|1|I|外科^1^2|||内一科^201^03|||||||||||||V1"
    where = [
        [
            (place["location"]["display"], place.get("status"))
            for place in only(mapped(adt(trigger, PID, text)), "Encounter")["location"]
        ]
        for trigger, text in (
            ("A02", pv1),
            ("A12", pv1.replace("外科^1^2|||内一科^201^03", "内一科^201^03|||外科^1^2")),
            (
                "A15",
                PV1.replace("||20240501082000", "20240501082000").replace(
                    "V1|||||||||||||||||||||||", "V1|||||||||||||||||||||||外科^1^2|"
                ),
            ),
        )
    ]
    assert where[0] == [("外科 1 2", "active"), ("内一科 201 03", "completed")]
    assert where[1] == [("内一科 201 03", "active")]
    assert where[2][-1] == ("外科 1 2", "planned")


def test_a_swap_of_beds_is_about_two_patients() -> None:
    other = PID.replace("|7^", "|8^").replace("张三", "李四")
    done = mapped(adt("A17", PID, PV1, "AL1|1|DA|青霉素", other, PV1.replace("|V1|", "|V2|").replace("201^03", "202^01")))
    visits = {visit["subject"]["reference"]: visit["location"][0]["location"]["display"] for visit in of_type(done, "Encounter")}
    assert visits == {f"Patient/{patient('7')}": "内一科 201 03", f"Patient/{patient('8')}": "内一科 202 01"}
    assert only(done, "AllergyIntolerance")["patient"] == {"reference": f"Patient/{patient('7')}"}
    assert sum(done.ledger.values()) == 9 + (5 + 6 + 3) + (5 + 6)
    check_r4(done)
    with pytest.raises(CannotMap, match="two patients, the message of 1"):
        mapped(adt("A17"))
    with pytest.raises(CannotMap, match="several PID"):
        mapped(adt("A01", PID, PV1, other))


@pytest.mark.parametrize(
    ("kind", "event", "done"),
    [
        ("ADT", "EVN|A03|20240501", "A03"),
        ("ADT^", "EVN||20240501", ""),
        ("ADT^A03^JUNK", "EVN|A03|1", "A03"),
        ("ADT^A03^ADT_A01", "EVN|A01|1", "A03"),
        ("ADT^^ADT_A03", "EVN||1", "A03"),
        ("ADT^^ADT_A01", "EVN||1", ""),  # A01, A04, A08 and A13 share it
        ("ADT_A03", "EVN||1", "A03"),
    ],
)
def test_the_trigger_decides_not_the_structure(kind: str, event: str, done: str) -> None:
    message = adt("A01", event, PID, PV1).replace("ADT^A01", kind)
    if not done:
        with pytest.raises(CannotMap, match="no map for this structure ADT"):
            mapped(message)
    else:
        assert only(mapped(message), "Encounter")["status"] == STATUS_BY_TRIGGER[done]


# ---------------------------------------------------------------- empty says nothing, "" deletes


def test_a_later_message_that_leaves_fields_empty_takes_nothing_away() -> None:
    full = "PV1|1|I|内一科^201^03||PRE1||D1^陈医生|D2^王医生||||||7|||D3^赵医生||V1"
    later = 'PV1|1|I||||||D4^孙医生|||||||||""||V1|||||||||||||||||1^医嘱离院'
    state = settled(
        adt("A01", PID + "|||人民路1号||13800000001|0579-1||20||||||汉", full, at="20240501"),
        adt("A08", 'PID|1||7^^^CTY^MR||||||||||""', later, at="20240502"),
    )
    visit, person = one(state, "Encounter"), one(state, "Patient")
    roles = {entry["type"][0]["coding"][0]["code"]: entry["individual"]["display"] for entry in visit["participant"]}
    assert roles == {"ATND": "陈医生", "REF": "孙医生"}  # ADM was deleted
    assert set(visit["hospitalization"]) == {"preAdmissionIdentifier", "admitSource", "dischargeDisposition"}
    assert visit["location"][0]["location"]["display"] == "内一科 201 03"
    assert "telecom" not in person
    assert (person["name"][0]["text"], person["maritalStatus"]["text"]) == ("张三", "20")
    only_work = settled(adt("A01", PID + "|||||138|0579"), adt("A08", "PID|1||7||||||||||139", at="20240601"))
    assert [(phone["value"], phone.get("use")) for phone in one(only_work, "Patient")["telecom"]] == [
        ("139", None),
        ("0579", "work"),
    ]


# ---------------------------------------------------------------- merges and links


def merge(trigger: str, pid: str, *mrg: str, pv1: tuple[str, ...] = (), at: str = "20240601") -> str:
    return adt(trigger, pid, *mrg, *pv1, at=at)


@pytest.mark.parametrize("trigger", [trigger for trigger, steps in MERGES.items() if steps[0].__name__ == "merge_patients"])
def test_a_merged_patient_is_inactive_and_points_to_the_survivor(trigger: str) -> None:
    state = settled(adt("A01", PID.replace("|7^", "|8^"), PV1), merge(trigger, PID + "||||||||||A7", "MRG|8^^^CTY^MR||A8||||张叁"))
    gone, stays = state["Patient", patient("8")], state["Patient", patient("7")]
    assert (gone["active"], gone["link"]) == (False, [{"other": {"reference": f"Patient/{stays['id']}"}, "type": "replaced-by"}])
    assert stays["link"] == [{"other": {"reference": f"Patient/{gone['id']}"}, "type": "replaces"}]
    assert (gone["name"][0]["text"], "active" in stays) == ("张三", False)
    assert one(state, "Encounter")["subject"]["reference"] == f"Patient/{gone['id']}"  # clinical resources stay as they are


def test_one_survivor_of_two_and_a_circle() -> None:
    state = settled(merge("A40", PID, "MRG|8", "MRG|9"))
    assert len(state["Patient", patient("7")]["link"]) == 2
    with pytest.raises(CannotMap, match="circle"):
        mapped(merge("A40", PID, "MRG|8", "PID|2||8||李四", "MRG|7"))


@pytest.mark.parametrize("trigger", ["A35", "A41", "A49"])
def test_a_merged_account_is_inactive_and_its_number_an_old_one(trigger: str) -> None:
    pid = PID + "||||||||||A7"
    state = settled(adt("A01", PID + "||||||||||A8", PV1), merge(trigger, pid, "MRG|7||A8"))
    accounts = {account["identifier"][0]["value"]: account for (kind, _), account in state.items() if kind == "Account"}
    assert (accounts["A8"]["status"], accounts["A7"]["status"]) == ("inactive", "active")
    assert [(number.get("use"), number["value"]) for number in accounts["A7"]["identifier"]] == [(None, "A7"), ("old", "A8")]
    with pytest.raises(CannotMap, match="same account"):
        mapped(merge(trigger, pid, "MRG|7||A7"))


@pytest.mark.parametrize("trigger", ["A42", "A50"])
def test_a_visit_under_a_number_that_is_no_more(trigger: str) -> None:
    state = settled(adt("A01", PID, PV1.replace("|V1|", "|V0|")), merge(trigger, PID, "MRG|7||||V0", pv1=(PV1,)))
    visits = {visit["id"]: visit for (kind, _), visit in state.items() if kind == "Encounter"}
    gone, stays = visits[resource_id("Encounter", "CTY", "V0")], visits[resource_id("Encounter", "CTY", "V1")]
    assert (gone["status"], gone["partOf"]) == ("entered-in-error", {"reference": f"Encounter/{stays['id']}"})
    assert [(number.get("use"), number["value"]) for number in stays["identifier"]] == [(None, "V1"), ("old", "V0")]
    with pytest.raises(CannotMap, match="same visit"):
        mapped(merge(trigger, PID, "MRG|7||||V1", pv1=(PV1,)))


def test_what_moves_to_another_patient() -> None:
    state = settled(adt("A01", PID.replace("|7^", "|8^") + "||||||||||A1"), merge("A45", PID, "MRG|8||||V1", pv1=(PV1,)))
    assert one(state, "Encounter")["subject"]["reference"] == f"Patient/{patient('7')}"
    state = settled(adt("A01", PID.replace("|7^", "|8^") + "||||||||||A1"), merge("A44", PID, "MRG|8||A1"))
    assert one(state, "Account")["subject"] == [{"reference": f"Patient/{patient('7')}"}]
    done = mapped(merge("A43", PID, "MRG|7"))
    assert "nothing of the Patient moves" in done.issues[-1].detail
    assert not any("link" in person for person in of_type(done, "Patient"))
    renumbered = only(mapped(merge("A51", PID, "MRG|7|||||X0", pv1=(PV1,))), "Encounter")
    assert [(number.get("use"), number["value"]) for number in renumbered["identifier"]] == [(None, "V1"), ("old", "X0")]
    with pytest.raises(CannotMap, match="MRG-6"):
        mapped(merge("A51", PID, "MRG|7", pv1=(PV1,)))


def test_a_link_and_its_end() -> None:
    pair = (PID, PID.replace("|7^", "|8^"))
    linked, ended = adt("A24", *pair, at="20240501"), adt("A37", *pair, at="20240502")
    state = settled(linked)
    assert {kind: person["link"] for kind, person in state.items()} == {
        ("Patient", patient("7")): [{"other": {"reference": f"Patient/{patient('8')}"}, "type": "seealso"}],
        ("Patient", patient("8")): [{"other": {"reference": f"Patient/{patient('7')}"}, "type": "seealso"}],
    }
    assert settled(linked, ended) == settled(ended, linked)
    assert not any("link" in person for person in settled(linked, ended).values())
    assert "link" in settled(linked, ended, adt("A24", *pair, at="20240503"))["Patient", patient("7")]
    merged = settled(merge("A40", PID, "MRG|8", at="20240501"), ended)
    assert merged["Patient", patient("8")]["link"][0]["type"] == "replaced-by"  # what a merge says is not what an unlink ends
    with pytest.raises(CannotMap, match="same patient"):
        mapped(adt("A24", PID, PID))


def test_segments_in_another_order_are_grouped_all_the_same() -> None:
    done = mapped(adt("A01", "AL1|1|DA|青霉素", PV1, "NK1|1|李四|SPO", PID))
    assert sorted((issue.code, issue.where) for issue in done.issues) == [
        ("moved", "AL1[1]"),
        ("moved", "NK1[1]"),
        ("moved", "PV1[1]"),
    ]
    expected = mapped(adt("A01", PID, "NK1|1|李四|SPO", PV1, "AL1|1|DA|青霉素"))
    assert (done.resources, done.ledger) == (expected.resources, expected.ledger)


def test_a_person_deleted_or_added() -> None:
    state = settled(adt("A28", PID, at="20240501"), adt("A29", PID, at="20240502"))
    assert one(state, "Patient")["active"] is False
    again = settled(adt("A28", PID, at="20240501"), adt("A29", PID, at="20240502"), adt("A28", PID, at="20240503"))
    assert one(again, "Patient")["active"] is True
    assert not of_type(mapped(adt("A31", PID, "PV1|1|N")), "Encounter")


# ---------------------------------------------------------------- what stands beside


def test_insurance_guarantor_and_account() -> None:
    pid = PID + "||||||||||A7^^^CTY"
    insured = (
        "IN1|1|310^城镇职工|YB01^^^3399|示范县医保局|||0579-1|||||20240101|20241231||1|张大|CHD^子女|19500101||||1||||||||||||||P-9"
    )
    done = mapped(adt("A01", pid, PV1, "GT1|1|G1|张大||示范路2号|138|||M||FTH", insured))
    check_r4(done)
    for change in done.changes:
        assert validate(change.resource) == () or change.mode == "patch", change.resource
    coverage, account = only(done, "Coverage"), only(done, "Account")
    insurer, subscriber = coverage["contained"]
    assert (insurer["name"], insurer["identifier"][0]["value"]) == ("示范县医保局", "YB01")
    assert (subscriber["name"][0]["text"], subscriber["birthDate"]) == ("张大", "1950-01-01")
    assert coverage["relationship"]["coding"][0]["code"] == "child"
    assert (coverage["identifier"][0]["value"], coverage["order"], coverage["period"]["end"]) == ("P-9", 1, "2024-12-31")
    party = only(done, "RelatedPerson")
    assert account["guarantor"] == [{"party": {"reference": f"RelatedPerson/{party['id']}"}}]
    assert only(done, "Encounter")["account"] == [{"reference": f"Account/{account['id']}"}]
    shifted = mapped(adt("A01", PID, PV1, "IN1|1|P1|BC^Blue|BOX 1^^TOWN^IL^62701|||G|||S|1973"))
    assert only(shifted, "Coverage")["payor"][0]["display"] == "Blue"
    assert "IN1[1]-4" in {issue.where for issue in shifted.issues}


def test_relatives_and_a_newborns_mother() -> None:
    pid = PID + "|||||||||||||M88^^^CTY^MR||||2"
    kin = "NK1|1|李四|SPO||138|139|N^^HL70131|20200101|20190101||||||F|19860101|||||||||||||||||K1^^^CTY^PI"
    done = mapped(adt("A01", pid, PV1, kin, "NK1|2||BRO"))
    check_r4(done)
    (contact,) = only(done, "Patient")["contact"]
    assert contact["relationship"][0]["coding"][0] == {"system": "http://terminology.hl7.org/CodeSystem/v2-0063", "code": "SPO"}
    assert (contact["gender"], contact["period"]) == ("female", {"start": "2020-01-01"})
    assert "NK1[1]-9" in {issue.where for issue in done.issues}
    relatives = {person["relationship"][0]["coding"][0]["code"]: person for person in of_type(done, "RelatedPerson")}
    assert relatives["MTH"]["identifier"][0]["value"] == "M88"
    assert relatives["SPO"]["birthDate"] == "1986-01-01"
    assert only(done, "Patient")["multipleBirthInteger"] == 2


def test_allergies_with_actions() -> None:
    iam = "IAM|1|DA|J01^青霉素|SV|皮疹|{}|AL-1|误报|AL||20100601||||||C"
    added, deleted = (
        settled(adt("A60", PID, iam.format("A"))),
        settled(adt("A60", PID, iam.format("A"), at="20240401"), adt("A60", PID, iam.format("D"))),
    )
    allergy, gone = one(added, "AllergyIntolerance"), one(deleted, "AllergyIntolerance")
    assert (allergy["type"], allergy["criticality"], allergy["verificationStatus"]["coding"][0]["code"]) == (
        "allergy",
        "high",
        "confirmed",
    )
    assert gone["verificationStatus"]["coding"][0]["code"] == "entered-in-error"
    assert "clinicalStatus" not in gone


@pytest.mark.parametrize(
    ("substance", "code"),
    [
        ("6334447^NKA^ALLERGY", "716186003"),
        ("^无", "409137002"),  # of AL1-2 = DA: no more is denied than was asked about
        ("0^否认药物过敏史", "409137002"),
        ("J01^青霉素", None),
        ("^不详", ""),
    ],
)
def test_no_known_allergy_is_no_allergy_to_a_substance(substance: str, code: str | None) -> None:
    done = mapped(adt("A01", PID, PV1, f"AL1|1|DA|{substance}"))
    if code == "":
        assert not of_type(done, "AllergyIntolerance")
        assert "AL1[1]-3" in {issue.where for issue in done.issues}
        return
    codes = {coding["system"]: coding["code"] for coding in only(done, "AllergyIntolerance")["code"]["coding"]}
    assert codes.get("http://snomed.info/sct") == code


def test_diagnoses_procedures_and_a_death() -> None:
    done = mapped(
        adt(
            "A03",
            PID + "|" * 22,
            PV1,
            "PDA|I21.9^急性心肌梗死^I10||Y",
            "DG1|1||I10^高血压^I10||20240501|F|||||||||1|D9^周医生||||DX1|A",
            "DG1|2||E11^糖尿病^I10|||W|||||||||||||||D",
            "PR1|1||47.0^阑尾切除^I9C||20240502093000|S|45||||S1^刘医生||||K35^阑尾炎^I10",
            "OBX|1|NM|H^身高||172|cm|||||F",
            "OBX|2|NM|H^身高||173|cm|||||F|||20240502",
        )
    )
    check_r4(done)
    assert only(done, "Patient")["deceasedBoolean"] is True
    status = {c["code"]["coding"][0]["code"]: c["verificationStatus"]["coding"][0]["code"] for c in of_type(done, "Condition")}
    assert status == {"I10": "confirmed", "E11": "entered-in-error"}
    assert [entry.get("rank") for entry in only(done, "Encounter")["diagnosis"]] == [1]
    procedure = only(done, "Procedure")
    assert procedure["performedPeriod"] == {"start": "2024-05-02T09:30:00+08:00", "end": "2024-05-02T10:15:00+08:00"}
    assert (procedure["performer"][0]["function"]["text"], procedure["status"]) == ("surgeon", "unknown")  # stated before it
    assert len(of_type(done, "Observation")) == 3
    later = mapped(adt("A08", PID, PV1, "PR1|1||47.0^阑尾切除^I9C||20240430"))
    assert only(later, "Procedure")["status"] == "completed"


def test_a_code_system_in_a_field_of_its_own() -> None:
    done = mapped(adt("A08", PID, PV1, "DG1|1|I10|I21.9|心肌梗死||F", "DG1|2|院内码|B2|||F", "PR1|1|C4|73630", "PR1|2|I9C|1^x^C4"))
    check_r4(done)
    conditions = {c["code"]["coding"][0]["code"]: c["code"]["coding"][0]["system"] for c in of_type(done, "Condition")}
    assert conditions == {"I21.9": "http://hl7.org/fhir/sid/icd-10", "B2": "urn:hub:CTY:diagnosis"}
    procedures = {c["code"]["coding"][0]["code"]: c["code"]["coding"][0]["system"] for c in of_type(done, "Procedure")}
    assert procedures == {"73630": "http://www.ama-assn.org/go/cpt", "1": "http://www.ama-assn.org/go/cpt"}


def test_roles_of_patient_and_visit() -> None:
    done = mapped(
        adt(
            "A08",
            PID,
            "PD1|||城关镇卫生院^^^^^^^^^W1|D5^吴医生",
            "ROL|1|AD|FHCP|D6^郑医生",
            PV1,
            "ROL|2|AD|RP|D7^冯医生||20240501",
            "ROL|3|DE|CP|D8^褚医生",
        )
    )
    check_r4(done)
    assert [doctor["display"] for doctor in only(done, "Patient")["generalPractitioner"]] == ["吴医生", "城关镇卫生院", "郑医生"]
    roles = [(e["type"][0]["coding"][0]["code"], e["individual"]["display"]) for e in only(done, "Encounter")["participant"]]
    assert roles == [("ATND", "陈医生"), ("REF", "冯医生")]


def test_an_id_card_that_says_something_else_is_named() -> None:
    done = mapped(adt("A08", "PID|1||7~339900198507120440^^^CN^ID||张三||19850713|M"))
    assert {issue.where: issue.code for issue in done.issues} == {"PID[1]-7": "conflict", "PID[1]-8": "conflict"}
    assert not mapped(adt("A08", "PID|1||7~339900198507120440^^^CN^ID||张三||198507|F")).issues


@pytest.mark.parametrize(
    ("pv1", "where"),
    [
        ("PV1|1|I|||||||||||||||||V1|||||||||||||||||||||||||20240502|20240501", "PV1[1]-45"),
        ("PV1|1|I|||||||||||||||||V1|||||||||||||||||||||||||20240502080000|20240501", "PV1[1]-45"),
        ("PV1|1|ZZ|||||||||||||||||V1", "PV1[1]-2"),
    ],
)
def test_what_cannot_be_is_named_and_left_out(pv1: str, where: str) -> None:
    done = mapped(adt("A08", PID, pv1))
    assert where in {issue.where for issue in done.issues}
    assert "end" not in only(done, "Encounter").get("period", {})


@pytest.mark.parametrize(
    ("name", "text", "given", "moved"),
    [
        ("张三", "张三", None, False),
        ("张^三", "张三", ["三"], False),
        ("张三^男", "张三", None, True),
        ("张三^^男", "张三", None, True),
        ("张^三^男", "张三", ["三"], True),
        ("王^男", "王男", ["男"], False),
        (r"张\S\三", "张三", ["三"], False),
        ("MÜLLER^JOSÉ^^^Dr", "Dr JOSÉ MÜLLER", ["JOSÉ"], False),
    ],
)
def test_names_as_sources_write_them(name: str, text: str, given: list[str] | None, moved: bool) -> None:
    done = mapped(adt("A08", f"PID|1||7||{name}"))
    (found,) = only(done, "Patient")["name"]
    assert (found["text"], found.get("given")) == (text, given)
    assert ("moved" in {issue.code for issue in done.issues}) is moved


def test_what_r4_has_no_element_for() -> None:
    number = "7^^^&1.2.156.1&ISO^MR"
    stated = {
        3: number,
        5: "张三",
        6: "李",
        7: "19850712083000",
        10: "2106-3^White^CDCREC~X",
        17: "佛教",
        22: "01",
        23: "杭州",
        26: "CN",
    }
    pid = "PID|" + "|".join(stated.get(field, "") for field in range(1, 27))
    done = mapped(adt("A08", pid))
    check_r4(done)
    patient = only(done, "Patient")
    urls = {extension["url"].rpartition("/")[2]: extension for extension in patient["extension"]}
    assert set(urls) == {
        "patient-mothersMaidenName",
        "patient-birthPlace",
        "patient-religion",
        "patient-citizenship",
        "urn:hub:ext:ethnic-group",
        "us-core-race",
    }
    assert urls["urn:hub:ext:ethnic-group"]["valueCodeableConcept"]["coding"][0]["system"] == "urn:oid:2.16.156.10011.2.3.3.3"
    assert patient["_birthDate"]["extension"][0]["valueDateTime"] == "1985-07-12T08:30:00+08:00"
    assert patient["identifier"][0]["assigner"]["identifier"]["value"] == "urn:oid:1.2.156.1"
    later = "PID|" + "|".join({3: number, 22: '""', 23: '""'}.get(field, "") for field in range(1, 24))
    gone = one(settled(adt("A08", pid, at="20240501"), adt("A08", later, at="20240502")), "Patient")
    left = {extension["url"].rpartition("/")[2] for extension in gone["extension"]}
    assert left == set(urls) - {"patient-birthPlace", "urn:hub:ext:ethnic-group"}
    assert (gone["birthDate"], gone["_birthDate"]) == ("1985-07-12", patient["_birthDate"])


# ---------------------------------------------------------------- real messages that may not be copied into the project


@pytest.mark.parametrize(
    ("name", "counts", "issues"),
    [
        ("adt_a01__hapi_adt-a01", {"Patient": 1, "Account": 1, "Encounter": 1, "Coverage": 1}, set()),
        ("adt_a03__hapi_adt-a03", {"Patient": 1, "Encounter": 1, "Procedure": 1}, set()),
        (
            "adt_a08__mirth_06",
            {"Patient": 1, "Account": 1, "RelatedPerson": 1, "Coverage": 1},
            {("missing", "PV1[1]-19")},
        ),
        ("adt_a40__dcm_adt-a40-patientmerge", {"Patient": 2}, {("not-mapped", "NTE")}),
        ("adt_a40__mirth_07", {"Patient": 2, "Account": 1}, set()),
        ("adt_a47__dcm_adt-a47-changepatientid", {"Patient": 2}, {("not-mapped", "NTE")}),
    ],
)
def test_real_messages(samples: Path, name: str, counts: dict[str, int], issues: set[tuple[str, str]]) -> None:
    (content,) = split_messages((samples / f"{name}.hl7").read_bytes())
    done: Mapped = mapped(content)
    check_r4(done)
    kinds = {change.resource["resourceType"] for change in done.changes}
    assert {kind: len(of_type(done, kind)) for kind in kinds} == counts
    assert {(issue.code, issue.where) for issue in done.issues} == issues
    assert done.changed_at is not None
