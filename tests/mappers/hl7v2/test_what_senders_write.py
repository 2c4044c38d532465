"""Fields as senders really fill them, read beside what they become: signs not escaped, zones, numbers and addresses in one."""

from decimal import Decimal

import pytest

from mappers.base import MappingContext
from tests.mappers.hl7v2.conftest import mapped, of_type, only, stored

MSH = "MSH|^~\\&|LIS|CTY|HUB|HUB|{at}||{kind}|1|P|2.5.1"
PID = "PID|1||P1||张三||19900307|M"


def message(*segments: str, kind: str = "ORU^R01", at: str = "20240501083000") -> str:
    return "\r".join((MSH.format(at=at, kind=kind), *segments))


def results(*obx: str, at: str = "20240501083000") -> str:
    return message(PID, "OBR|1|O1|R1|BIO^生化|||20240501080000", *obx, at=at)


@pytest.mark.parametrize(
    ("limits", "low", "high"),
    [
        ("3.5~5.1", "3.5", "5.1"),
        ("3.5～5.1", "3.5", "5.1"),
        ("0-5", "0", "5"),
        ("男:3-5~女:2-4", None, None),
        ("<1:40", None, None),
    ],
)
def test_a_reference_range_is_whole_whatever_sign_stands_in_it(limits: str, low: str | None, high: str | None) -> None:
    (found,) = only(mapped(results(f"OBX|1|NM|K^钾||4|mmol/L|{limits}||||F")), "Observation")["referenceRange"]
    edges = {edge: Decimal(value) for edge, value in (("low", low), ("high", high)) if value}
    assert found["text"] == limits
    assert {edge: found[edge]["value"] for edge in ("low", "high") if edge in found} == edges


@pytest.mark.parametrize(
    ("written", "text", "told"),
    [
        ("TX|D^所见||大小约1.2~1.5cm，边界清", "大小约1.2~1.5cm，边界清", True),
        ("FT|D^所见||直径3mm~5mm", "直径3mm~5mm", True),
        ("TX|D^所见||肺纹理清晰~2、心影不大~3.建议随访", "肺纹理清晰\n2、心影不大\n3.建议随访", False),
        ("TX|D^所见||血压120~2.随访", "血压120\n2.随访", False),
        ("ST|W^白细胞||2~5|/HP", "2~5", True),
    ],
)
def test_a_tilde_between_two_numbers_is_a_range_and_any_other_a_new_line(written: str, text: str, told: bool) -> None:
    done = mapped(results(f"OBX|1|{written}|||||F" if "/HP" not in written else f"OBX|1|{written}||||F"))
    assert only(done, "Observation")["valueString"] == text
    assert ("OBX[1]-5" in {issue.where for issue in done.issues}) is told


@pytest.mark.parametrize(("kind", "unit", "coded"), [("NM", "mmol/L", False), ("ST", "/HP", False), ("ST", "", True)])
def test_a_dash_where_something_is_measured_is_not_negative(kind: str, unit: str, *, coded: bool) -> None:
    observation = only(mapped(results(f"OBX|1|{kind}|K^钾||-|{unit}|||||F")), "Observation")
    assert ("valueCodeableConcept" in observation) is coded
    assert observation.get("valueString", "-") == "-"


@pytest.mark.parametrize(
    ("flag", "code"), [("H↑", "H"), ("low", "L"), ("Normal", "N"), ("危急高", "HH"), ("危急值", "AA"), ("HL", None)]
)
def test_flags_as_systems_print_them(flag: str, code: str | None) -> None:
    (found,) = only(mapped(results(f"OBX|1|NM|K^钾||4|mmol/L||{flag}|||F")), "Observation")["interpretation"]
    assert found["text"] == flag
    assert [coding["code"] for coding in found.get("coding", ())] == ([code] if code else [])


def test_repetitions_that_are_no_range_are_components() -> None:
    observation = only(mapped(results("OBX|1|CE|V^病毒||A^甲型^L~B^乙型^L||||||F")), "Observation")
    assert [part["valueCodeableConcept"]["text"] for part in observation["component"]] == ["甲型", "乙型"]


def test_times_without_an_offset_are_in_that_of_msh_7() -> None:
    """HL7 v2.5.1 2.15.9.7; the channel's zone is that of messages which say nothing."""
    obx = "OBX|1|TS|D^时间||20240501070000||||||F|||20240501090000+0900"
    far = mapped(results(obx, at="20240501083000+0600"))
    observation, report = only(far, "Observation"), only(far, "DiagnosticReport")
    assert report["effectiveDateTime"] == "2024-05-01T08:00:00+06:00"
    assert (observation["valueDateTime"], observation["effectiveDateTime"]) == (
        "2024-05-01T07:00:00+06:00",
        "2024-05-01T09:00:00+09:00",
    )
    assert [issue.where for issue in far.issues if issue.code == "conflict"] == ["MSH-7"]
    for at in ("20240501083000", "20240501083000+0800", "20240501003000Z", "bad"):
        near = mapped(results(obx, at=at))
        zone = "+00:00" if at.endswith("Z") else "+08:00"
        assert only(near, "DiagnosticReport")["effectiveDateTime"].replace("Z", "+00:00") == f"2024-05-01T08:00:00{zone}"
        assert any(issue.where == "MSH-7" for issue in near.issues) is at.endswith("Z")


def test_a_positive_marker_is_no_organism() -> None:
    organism = "OBX|1|CWE|ORG^鉴定|1|112283007^大肠埃希菌^SCT||||||F"
    drugs = "OBX|2|SN|AMP^氨苄西林|1|>=^32|ug/mL||R|||F"
    marker = "OBX|3|ST|ESBL^超广谱酶|1|阳性|||A|||F"
    alone = {o["code"]["text"]: o for o in of_type(mapped(results(drugs, marker)), "Observation")}
    assert not any("derivedFrom" in o or "hasMember" in o for o in alone.values())
    both = {o["code"]["text"]: o for o in of_type(mapped(results(organism, drugs, marker)), "Observation")}
    assert both["氨苄西林"]["derivedFrom"] == [{"reference": f"Observation/{both['鉴定']['id']}"}]
    assert "hasMember" not in both["超广谱酶"]


def test_who_took_the_specimen_and_when() -> None:
    obr = "OBR|1|O1|R1|BIO^生化|||20240501080000|||N1^护^士||||20240501082000|^血清"
    done = mapped(message(PID, obr, "OBX|1|NM|K^钾||4|mmol/L|||||F"))
    nurse = {"identifier": {"system": "urn:hub:CTY:staff", "value": "N1"}, "display": "护士"}
    assert only(done, "Specimen")["collection"] == {"collector": nurse, "collectedDateTime": "2024-05-01T08:00:00+08:00"}
    spm = "SPM|1|S1||SER^血清||||||||||空腹~溶血|||20240501075500"
    specimen = only(mapped(message(PID, obr, "OBX|1|NM|K^钾||4|mmol/L|||||F", spm)), "Specimen")
    assert specimen["collection"] == {"collector": nurse, "collectedDateTime": "2024-05-01T07:55:00+08:00"}
    assert [note["text"] for note in specimen["note"]] == ["空腹", "溶血"]


def test_a_service_over_days_and_why_an_order_was_cancelled() -> None:
    asked = message(PID, "ORC|NW|O1", "TQ1|1||BID||||20240501090000|20240503090000", "OBR|1|O1||N^护理", kind="ORM^O01")
    cancelled = message(PID, "ORC|CA|O1||||||||||||||XX^患者拒绝", "OBR|1|O1||N^护理", kind="ORM^O01", at="20240501093000")
    (order,) = (found for (kind, _), found in stored(mapped(asked), mapped(cancelled)).items() if kind == "ServiceRequest")
    assert order["occurrencePeriod"] == {"start": "2024-05-01T09:00:00+08:00", "end": "2024-05-03T09:00:00+08:00"}
    assert order["status"] == "revoked"
    assert [entry["valueCodeableConcept"]["text"] for entry in order["extension"]] == ["患者拒绝"]


@pytest.mark.parametrize(
    ("orc", "element", "number"),
    [("RO|O2||||||O1", "replaces", "O1"), ("NW|O2||||||O1^F1", "basedOn", "O1"), ("NW|O2||||||^F1", "basedOn", "F1")],
)
def test_an_order_names_the_order_it_follows(orc: str, element: str, number: str) -> None:
    done = mapped(message(PID, f"ORC|{orc}", "OBR|1|O2||CT^胸部CT|||||||||咳嗽^发热3天~无过敏史", kind="ORM^O01"))
    request = only(done, "ServiceRequest")
    assert [entry["identifier"]["value"] for entry in request[element]] == [number]
    assert [note["text"] for note in request["note"]] == ["咳嗽^发热3天~无过敏史"]


def test_every_field_read_has_its_destination() -> None:
    """Fields that no message of the corpus states."""
    told = message(
        PID, "ORC|CA|O2||||||O1||||||||XX^拒绝", "TQ1|1||BID||||20240501|20240502", "OBR|1|O2||N^护理||||||N1^护士", kind="ORM^O01"
    )
    done = mapped(told, context=MappingContext(explain=True))
    assert not [line.where for line in done.lines if line.state == "mapped" and not line.to]


def test_a_number_and_an_address_in_one_field_are_two() -> None:
    pid = f"{PID}|||||13800000000^PRN^CP^zhang@example.cn~^NET^Internet^li@example.cn~^WPN^PH^^86^571^88880000^12||E^^"
    points = [
        tuple(point.get(name, "") for name in ("system", "value", "use"))
        for point in only(mapped(message(pid, kind="ADT^A08")), "Patient")["telecom"]
    ]
    assert points == [
        ("phone", "13800000000", "mobile"),
        ("email", "zhang@example.cn", "home"),
        ("email", "li@example.cn", ""),
        ("phone", "+86 571 88880000 x12", "work"),
    ]


@pytest.mark.parametrize(("kind", "code"), [("DA", "409137002"), ("FA", "429625007"), ("EA", "428607008"), ("", "716186003")])
def test_none_denies_no_more_than_was_asked_about(kind: str, code: str) -> None:
    allergy = only(mapped(message(PID, f"AL1|1|{kind}|^无", kind="ADT^A01")), "AllergyIntolerance")
    assert [coding["code"] for coding in allergy["code"]["coding"]] == [code]


def test_x_is_no_change_and_d_takes_back() -> None:
    """HL7 table 0206 (IAM-6)."""
    iam = [f"IAM|{n}|FA|00{n}^食物{n}^L|MI||{action}|AL{n}" for n, action in enumerate("AXUD", 1)]
    found = of_type(mapped(message(PID, *iam, kind="ADT^A60")), "AllergyIntolerance")
    taken_back = ["verificationStatus" in allergy for allergy in sorted(found, key=lambda each: each["identifier"][0]["value"])]
    assert taken_back == [False, False, False, True]


def test_a_time_is_no_place_to_be_discharged_to() -> None:
    def to(dld: str) -> dict:
        pv1 = "|".join(("PV1", "1", "I", *[""] * 16, "V1", *[""] * 16, "01", dld))
        return only(mapped(message(PID, pv1, kind="ADT^A03")), "Encounter")["hospitalization"].get("destination", {})

    assert to("^20240501120000") == {}
    assert to("H2^县人民医院") == to("H2&县人民医院^20240501") == {"display": "县人民医院"}
