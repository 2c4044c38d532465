"""What the golden cases do not show: tables, identifiers, keys, and messages that must not be mapped."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappers.base import CannotMap, Mapped, MappingContext
from mappers.datatypes import id_check
from mappers.hl7v2 import map_message
from mappers.hl7v2.message import split_messages
from mappers.identity_keys import resource_id
from profiles.names import ID_CARD, RECOGNITION_MARK
from tests.mappers.hl7v2.conftest import a_record, check_r4, mapped, of_type, only

GOOD_ID = "33990019850712044" + id_check("33990019850712044")


def adt(trigger: str, pid: str = "PID|1||7||张三", *more: str, head: str = "20240501103000") -> str:
    return "\r".join([rf"MSH|^~\&|HIS|CTY|HUB|HUB|{head}||ADT^{trigger}|1|P|2.5", pid, *more])


def oru(*segments: str, sixteen: str = "", pid: str = "PID|1||7||张三") -> str:
    return "\r".join([rf"MSH|^~\&|LIS|CTY|HUB|HUB|20240501103000||ORU^R01|1|P|2.3.1||||{sixteen}", pid, *segments])


def result(obx: str, obr: str = "OBR|1||L1|CHEM^生化|||20240501084500||||||||||||||||||F") -> dict:
    return only(mapped(oru(obr, f"OBX|1|{obx}")), "Observation")


OBR = "OBR|1|P1|L1|CHEM^生化|||20240501084500|||||||||||||||20240501100000|||F"


def mapped_or_reason(content: bytes) -> Mapped | str:
    try:
        return mapped(content)
    except CannotMap as reason:
        return str(reason)


def test_all_samples_are_mapped_or_dead_with_a_reason(samples: Path) -> None:
    outcomes: dict[str, list[str]] = {"mapped": [], "dead": []}
    for path in sorted(samples.glob("*.hl7")):
        for part in split_messages(path.read_bytes()):
            done = mapped_or_reason(part)
            if isinstance(done, str):
                assert done
                outcomes["dead"].append(path.name)
                continue
            check_r4(done)
            assert set(done.ledger) == {"mapped", "kept", "unmapped"}
            outcomes["mapped"].append(path.name)
    assert len(outcomes["mapped"]) >= 83
    assert len(outcomes["mapped"]) + len(outcomes["dead"]) == 113
    assert len({*outcomes["mapped"], *outcomes["dead"]}) == 79


@pytest.mark.parametrize(
    ("trigger", "status"),
    [
        ("A01", "in-progress"),
        ("A03", "finished"),
        ("A04", "in-progress"),
        ("A05", "planned"),
        ("A11", "cancelled"),
        ("A13", "in-progress"),
    ],
)
def test_the_trigger_states_the_status_of_the_visit(trigger: str, status: str) -> None:
    done = mapped(adt(trigger, "PID|1||7||张三", "PV1|1|I|||||||||||||||||V1"))
    assert only(done, "Encounter")["status"] == status
    check_r4(done)


def test_an_update_does_not_reopen_a_visit() -> None:
    done = mapped(adt("A08", "PID|1||7||张三", "PV1|1|I|||||||||||||||||V1"))
    states = [(c.mode, c.resource.get("status")) for c in done.changes if c.resource["resourceType"] == "Encounter"]
    assert states == [("fill", "in-progress"), ("patch", None)]


def test_a_person_without_a_visit() -> None:
    assert not of_type(mapped(adt("A28", "PID|1||7||张三", "PV1|1|N")), "Encounter")
    assert not of_type(mapped(adt("A31", "PID|1||7||张三")), "Encounter")


@pytest.mark.parametrize(
    ("pid_3", "namespace", "value"),
    [
        ("7", "CTY", "7"),
        ("7^^^CTY^MR", "CTY", "7"),
        ("7^^^HIS", "CTY", "7"),
        ("7^^^EMPI^PI~8^^^CTY^MR", "CTY", "8"),
        ("7^^^EMPI^PI", "CTY:EMPI", "7"),
        (f"{GOOD_ID}^^^CN^ID~7^^^CTY^MR", "CTY", "7"),
        (f"{GOOD_ID}~7", "CTY", "7"),
        (f"{GOOD_ID}^^^CN^ID", "CTY", f"id:{GOOD_ID}"),
        ("123^^^SSA^SS~7", "CTY", "7"),
    ],
)
def test_the_business_key_of_a_patient(pid_3: str, namespace: str, value: str) -> None:
    patient = only(mapped(adt("A08", f"PID|1||{pid_3}||张三")), "Patient")
    assert patient["id"] == resource_id("Patient", namespace, value)
    cards = [i["value"] for i in patient["identifier"] if i["system"] == ID_CARD]
    assert cards == ([GOOD_ID] if GOOD_ID in pid_3 else [])


def test_an_id_number_that_fails_its_check_drives_nothing() -> None:
    wrong = f"{GOOD_ID[:17]}5"
    done = mapped(adt("A08", f"PID|1||7||张三||||||||||||||{wrong}"))
    assert [i["system"] for i in only(done, "Patient")["identifier"]] == ["urn:hub:CTY:patient", "urn:hub:CTY:unchecked-id"]
    assert "check-failed" in {issue.code for issue in done.issues}
    assert all(wrong not in f"{issue}" for issue in done.issues)


def test_a_fifteen_digit_number_is_upgraded() -> None:
    old = GOOD_ID[:6] + GOOD_ID[8:17]
    systems = {
        i["system"]: i["value"] for i in only(mapped(adt("A08", f"PID|1||7||张三||||||||||||||{old}")), "Patient")["identifier"]
    }
    assert systems[ID_CARD] == GOOD_ID
    assert systems["urn:hub:CTY:id-15"] == old


def test_no_identifier_no_guess() -> None:
    with pytest.raises(CannotMap, match="no patient identifier"):
        mapped(oru(OBR, "OBX|1|NM|K||4||||||F", pid="PID|1||||张三"))


def test_an_empty_field_says_nothing_of_the_id_card() -> None:
    done = mapped(adt("A03", "PID|1||7||张三"))
    assert {i["system"] for i in only(done, "Patient")["identifier"]} == {"urn:hub:CTY:patient"}


def test_a_null_in_pid_19_says_that_there_is_no_id_card() -> None:
    done = mapped(adt("A08", 'PID|1||7||张三||||||||||||||""'))
    assert {"system": ID_CARD} in only(done, "Patient")["identifier"]


def test_a_discharge_taken_back_has_no_end() -> None:
    done = mapped(adt("A13", "PID|1||7||张三", "PV1|1|I|||||||||||||||||V1"))
    assert [c.resource["period"] for c in done.changes if c.resource["resourceType"] == "Encounter"] == [{"end": None}]


@pytest.mark.parametrize(
    ("segments", "reason"),
    [
        (("PID|1||7||张三", "MRG|7"), "not merged with itself"),
        (("PID|1||7||张三", "MRG|"), "names no patient"),
        (("PID|1||7||张三",), "without MRG"),
        (("MRG|8", "PID|1||7||张三"), "MRG before PID"),
    ],
)
def test_a_merge_that_is_not_certain_is_refused(segments: tuple[str, ...], reason: str) -> None:
    with pytest.raises(CannotMap, match=reason):
        mapped(adt("A40", *segments))


def test_two_merges_of_one_message() -> None:
    done = mapped(adt("A40", "PID|1||7||张三", "MRG|8", "PID|2||9||李四", "MRG|10"))
    inactive = {p["id"] for p in of_type(done, "Patient") if p.get("active") is False}
    assert inactive == {resource_id("Patient", "CTY", "8"), resource_id("Patient", "CTY", "10")}
    check_r4(done)


@pytest.mark.parametrize(("code", "status"), [
    ("F", "final"), ("P", "preliminary"), ("C", "corrected"), ("X", "cancelled"), ("D", "entered-in-error"),
    ("W", "entered-in-error"), ("I", "registered"), ("R", "preliminary"), ("S", "preliminary"), ("O", "registered"),
    ("?", "unknown"), ("", "final"),
])  # fmt: skip
def test_result_status(code: str, status: str) -> None:
    assert result(f"NM|K^钾||4.1|mmol/L|||||{code}")["status"] == status


def test_an_empty_result_status_is_never_final_by_itself() -> None:
    done = mapped(oru("OBR|1||L1|CHEM", "OBX|1|NM|K||4.1"))
    assert only(done, "Observation")["status"] == "unknown"
    assert only(done, "DiagnosticReport")["status"] == "unknown"


@pytest.mark.parametrize(("code", "status"), [
    ("O", "registered"), ("I", "registered"), ("S", "registered"), ("P", "preliminary"), ("C", "corrected"), ("R", "partial"),
    ("F", "final"), ("X", "cancelled"), ("Q", "unknown"),
])  # fmt: skip
def test_report_status(code: str, status: str) -> None:
    done = mapped(oru(f"OBR|1||L1|CHEM|||20240501|||||||||||||||20240501100000|||{code}", "OBX|1|NM|K||4.1||||||F"))
    assert only(done, "DiagnosticReport")["status"] == status


@pytest.mark.parametrize(("control", "stated", "status"), [
    ("NW", "", "active"), ("CA", "", "revoked"), ("CA", "IP", "revoked"), ("SC", "CM", "completed"), ("XO", "HD", "on-hold"),
    ("DC", "", "revoked"), ("SC", "??", "unknown"),
])  # fmt: skip
def test_order_status(control: str, stated: str, status: str) -> None:
    message = oru(f"ORC|{control}|P1|||{stated}", "OBR|1|P1||CBC^血常规").replace("ORU^R01", "ORM^O01")
    assert only(mapped(message), "ServiceRequest")["status"] == status


@pytest.mark.parametrize(
    ("obx", "expected"),
    [
        ("NM|K||72.50|mmol/L|||||F", {"valueQuantity": ("72.50", None, "mmol/L", "mmol/L")}),
        ("NM|K||<0.01|μmol/L|||||F", {"valueQuantity": ("0.01", "<", "μmol/L", "umol/L")}),
        ("ST|K||>1000|IU/L|||||F", {"valueQuantity": ("1000", ">", "IU/L", "[IU]/L")}),
        ("NM|W||6.5|10^9/L|||||F", {"valueQuantity": ("6.5", None, "10^9/L", "10*9/L")}),
        ("NM|W||6.5|x10\\S\\9/L|||||F", {"valueQuantity": ("6.5", None, "x10^9/L", "10*9/L")}),
        ("NM|W||6.5|叶|||||F", {"valueQuantity": ("6.5", None, "叶", None)}),
        ("SN|T||>=^5|mg/L|||||F", {"valueQuantity": ("5", ">=", "mg/L", "mg/L")}),
    ],
)
def test_quantities_keep_their_digits(obx: str, expected: dict) -> None:
    value, comparator, unit, code = expected["valueQuantity"]
    found = result(obx)["valueQuantity"]
    assert (found["value"], found.get("comparator"), found["unit"], found.get("code")) == (Decimal(value), comparator, unit, code)
    assert str(found["value"]) == value


@pytest.mark.parametrize(
    ("obx", "member", "value"),
    [
        ("ST|P||1+||||||F", "valueString", "1+"),
        ("NM|P||见报告||||||F", "valueString", "见报告"),
        ("ST|P||5||||||F", "valueString", "5"),
        ("DT|D||202405||||||F", "valueDateTime", "2024-05"),
        ("TM|D||0830||||||F", "valueTime", "08:30:00"),
        ("DR|D||20240501^20240502||||||F", "valuePeriod", {"start": "2024-05-01", "end": "2024-05-02"}),
        ("SN|T||^3^-^5||||||F", "valueRange", {"low": {"value": Decimal(3)}, "high": {"value": Decimal(5)}}),
        ("XCN|D||D1^赵医生||||||F", "valueString", "赵医生"),
    ],
)
def test_values_by_type(obx: str, member: str, value: object) -> None:
    assert result(obx)[member] == value


def test_repeats_become_components_and_an_empty_value_says_so() -> None:
    several = result("NM|BP||120~80|mmHg|||||F")
    assert [part["valueQuantity"]["value"] for part in several["component"]] == [Decimal(120), Decimal(80)]
    assert "valueQuantity" not in several
    assert result("NM|K|||mmol/L|||||X")["dataAbsentReason"]["coding"][0]["code"] == "not-performed"


@pytest.mark.parametrize(("flag", "code"), [("↑", "H"), ("↓", "L"), ("H", "H"), ("LL", "LL"), ("偏高", "H"), ("N", "N")])
def test_flags(flag: str, code: str) -> None:
    assert result(f"NM|K||4.1|mmol/L|3.5-5.3|{flag}|||F")["interpretation"][0]["coding"][0]["code"] == code


@pytest.mark.parametrize(
    ("name", "text", "scope"),
    [("【全国HR】钾", "钾", "national"), ("[浙江HR]钾", "钾", "浙江"), ("★钾", "钾", "unstated"), ("钾", "钾", None)],
)
def test_a_recognition_mark_is_data_not_name(name: str, text: str, scope: str | None) -> None:
    found = result(f"NM|K^{name}||4.1|mmol/L|||||F")
    assert found["code"]["text"] == text
    assert found["code"]["coding"][0]["display"] == text
    marks = [e["extension"][0]["valueCodeableConcept"] for e in found.get("extension", [])]
    assert [mark["coding"][0]["code"] for mark in marks] == ([scope] if scope else [])
    assert all(e["url"] == RECOGNITION_MARK for e in found.get("extension", []))


def test_a_correction_is_the_same_resource_and_a_second_item_of_the_same_code_another() -> None:
    first = mapped(oru(OBR, "OBX|1|NM|K||4.1||||||F", "OBX|2|NM|K||4.3||||||F"))
    again = mapped(oru(OBR, "OBX|1|NM|K||4.2||||||C", "OBX|2|NM|K||4.3||||||F"))
    ids = [[o["id"] for o in of_type(done, "Observation")] for done in (first, again)]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2
    assert only(first, "DiagnosticReport")["id"] == only(again, "DiagnosticReport")["id"]


def test_results_without_obr_make_a_report_and_say_so() -> None:
    done = mapped(oru("OBX|1|NM|K||4.1||||||F", "OBX|2|NM|Na||141||||||F"))
    assert len(only(done, "DiagnosticReport")["result"]) == 2
    assert "moved" in {issue.code for issue in done.issues}
    check_r4(done)


def test_results_after_a_specimen_are_kept() -> None:
    done = mapped(oru(OBR, "SPM|1|^S1||BLD^血", "OBX|1|NM|K||4.1||||||F", "NTE|1||溶血"))
    found = only(done, "Observation")
    assert found["note"][0]["text"] == "溶血"
    assert found["specimen"]["reference"].endswith(resource_id("Specimen", "CTY", "S1"))


def test_unknown_segments_are_named() -> None:
    done = mapped(oru(OBR, "OBX|1|NM|K||4.1||||||F", "ZXX|a|b", "PIDX|c"))
    assert {issue.where for issue in done.issues if issue.code == "not-mapped"} == {"ZXX", "PIDX"}
    assert done.ledger["unmapped"] >= 3


@pytest.mark.parametrize(("sixteen", "reason"), [("1", "calibration"), ("2", "quality control")])
def test_an_analyzers_own_measurements_are_not_a_patients(sixteen: str, reason: str) -> None:
    with pytest.raises(CannotMap, match=reason):
        mapped(oru(OBR, "OBX|1|NM|K||4.1||||||F", sixteen=sixteen))
    assert only(mapped(oru(OBR, "OBX|1|NM|K||4.1||||||F", sixteen="0")), "Observation")


def test_a_structure_without_a_map_is_never_half_mapped() -> None:
    with pytest.raises(CannotMap, match=r"no map for this structure BAR\^P01"):
        mapped(adt("A01").replace("ADT^A01", "BAR^P01"))
    with pytest.raises(CannotMap, match="several PID"):
        mapped(oru("ORC|NW|P1", OBR, "PID|2||8||李四", OBR).replace("ORU^R01", "ORM^O01"))
    with pytest.raises(CannotMap, match="order without OBR"):
        mapped(oru("ORC|NW", "BLG|D").replace("ORU^R01", "ORM^O01"))


def test_when_the_source_said_it() -> None:
    assert mapped(adt("A08", head="20240501103000+0900")).changed_at == datetime(2024, 5, 1, 1, 30, tzinfo=UTC)
    event = adt("A08", "EVN|A08|20240501090000", "PID|1||7||张三")
    assert mapped(event).changed_at == datetime(2024, 5, 1, 1, 0, tzinfo=UTC)
    assert mapped(event, context=MappingContext(zone="Asia/Tokyo")).changed_at == datetime(2024, 5, 1, 0, 0, tzinfo=UTC)


def test_a_record_of_several_messages_maps_all() -> None:
    both = adt("A08", "PID|1||7||张三") + "\r" + oru(OBR, "OBX|1|NM|K||4.1||||||F")
    assert {c.resource["resourceType"] for c in mapped(both).changes} >= {"Patient", "Observation"}


def test_the_same_record_maps_the_same() -> None:
    content = oru(OBR, "OBX|1|NM|K||4.1||||||F")
    assert mapped(content) == mapped(content)


SEEDS = [
    adt("A01", "PID|1||7||张三||19700101|1", "PV1|1|I|||||||||||||||||V1", "AL1|1|DA|x^青霉素", "DG1|1||I10"),
    adt("A40", "PID|1||7||张三", "MRG|8"),
    adt("A50", "PID|1||7||张三|||||||||||||A7", "MRG|8||A8||V0|X|李四", "PV1|1|I|||||||||||||||||V1"),
    adt("A17", "PID|1||7||张三", "PV1|1|I|a^b|||c^d|||||||||||||V1", "PID|2||8||李四", "PV1|1|I|||||||||||||||||V2"),
    adt(
        "A03",
        "PID|1||7||张三",
        "PD1|||W^^1|D5^吴",
        "NK1|1|李四|SPO||138|||20200101|20190101",
        "GT1|1|G1|n||||||||FTH||2020|2019",
        "PV1|1|I|a^b^c|E|P|d^e^f|D1|||||||1|A|V||Z|V1|||||||||||||||||01|home|||||p||20240501|20240502",
        "PV2|||b^c|||||2024|2025|3|4",
        "ROL|1|AD|RP|D7||20240501|20240502",
        "IN1|1|P^n|C1|N|a^b^c|c|1|G|GN|||2020|2021|||n|SEL",
        "IAM|1|DA|a^b|SV|r^s~q|D|I1|w|AL",
        "PR1|1|m|c^d|x|20240501080000|S|30",
        "OBX|1|NM|H||1|cm|||||F",
        "PDA|I21||Y",
    ),
    oru(OBR, "OBX|1|NM|K^钾||4.1|mmol/L|3-5|N|||F", "NTE|1||x", "SPM|1|&S||BLD", "OBX|2|ED|P||a^application^pdf^Base64^JVBERi0="),
    oru("ORC|NW|P1|||IP", "OBR|1|P1||CBC^血常规", "TQ1|1|||||||20240501|S").replace("ORU^R01", "ORM^O01"),
    oru("ORC|NW|P1", "RXE||D1^药|1||g", "TQ1|1||BID", "RXR|PO", "RXC|A|S^盐|1|g", "RXD|1|D1|20240501|1").replace(
        "ORU^R01", "RDE^O11"
    ),
    oru("SCH|A1|B1||||R|N|T|15|min|^^^20240501083000", "AIS|1|A|S^门诊", "AIP|1|A|D1^赵").replace("ORU^R01", "SIU^S14"),
    oru("TXA|1|DS|TX|||20240501||||||D1|D0||||AU", "OBX|1|TX|DS||甲").replace("ORU^R01", "MDM^T10"),
    oru("FT1|1|T1||20240501||CG|A|||2|9|4.5").replace("ORU^R01", "DFT^P03"),
]


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_no_mutation_of_a_message_raises_anything_but_cannot_map(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(SEEDS)).encode(data.draw(st.sampled_from(["utf-8", "gb18030"]))))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content)))
        content[place : place + data.draw(st.integers(0, 4))] = data.draw(
            st.sampled_from(
                [b"|", b"^", b"~", b"\\", b"&", b'""', b"\r", b"\n", b"-", b"", b"\xff", "珅".encode("gbk"), b"OBX|", b"9", b"\x00"]
            )
        )
    try:
        done = map_message(a_record(bytes(content)), MappingContext())
    except CannotMap:
        return
    check_r4(done)
