"""Z segments by declared tables: from the file beside county.toml to what the message states."""

import tomllib
from pathlib import Path

import pytest

from hub.errors import Invalid
from hub.ingest.contexts import context_of
from hub.settings import Channel
from mappers.base import Mapped, MappingContext
from mappers.hl7v2 import map_message
from tests.mappers.hl7v2.conftest import a_record, check_r4, of_type, only
from tests.mappers.hl7v2.test_ledger import check_ledger

GUIDE = Path(__file__).resolve().parents[3] / "mappers" / "hl7v2" / "README.md"
MESSAGE = "\r".join(
    [
        r"MSH|^~\&|HIS|CTY|HUB|HUB|20240501083000||ADT^A01|1|P|2.5",
        "PID|1||100234^^^CTY^MR||王建国||19620305|1",
        "PV1|1|I|内一科^201^03||||D012^陈医生||||||||||||ZY1|||||||||||||||||||||||||20240501082000",
        "ZPI|1|新农合|医保卡9988|是||20240101|x",
        "ZVS|1|37.2|℃|20240501082500",
        "ZZZ|1|x",
    ]
)


def declared() -> str:
    """The worked example of the mapper's README."""
    return GUIDE.read_text("utf-8").partition("```toml\n# tables/z.toml\n")[2].partition("```")[0]


def context(folder: Path, text: str) -> MappingContext:
    (folder / "z.toml").write_text(text, "utf-8")
    channel = Channel.model_validate({"name": "cty-his", "connector": "hl7v2_mllp", "facility": "CTY", "tables": ["z.toml"]})
    return context_of(channel, folder)


def mapped(folder: Path, text: str, message: str = MESSAGE) -> Mapped:
    given = context(folder, text)
    return map_message(a_record(message), MappingContext(tables=given.tables, explain=True))


def test_fields_of_z_segments_go_where_their_table_says(tmp_path: Path) -> None:
    done = mapped(tmp_path, declared())
    check_r4(done)
    patient, visit, observation = only(done, "Patient"), only(done, "Encounter"), only(done, "Observation")
    assert {e["url"]: e.get("valueString") for e in patient["extension"]}["urn:hub:ext:insurance-kind"] == "新农合"
    assert len(patient["extension"]) == 2  # the source's own sex code stays beside it
    assert {number["system"]: number["value"] for number in patient["identifier"]}["urn:hub:CTY:insurance-card"] == "医保卡9988"
    assert visit["extension"] == [{"url": "urn:hub:ext:referred", "valueBoolean": True}]
    assert observation["valueQuantity"]["code"] == "Cel"
    assert observation["subject"] == {"reference": f"Patient/{patient['id']}"}
    assert observation["encounter"] == {"reference": f"Encounter/{visit['id']}"}
    assert observation["effectiveDateTime"] == "2024-05-01T08:25:00+08:00"
    check_ledger(MESSAGE.encode(), done)
    lines = {line.where: (line.state, line.to) for line in done.lines if line.where.startswith("Z")}
    assert lines == {
        "ZPI[1]-1": ("kept", ""),
        "ZPI[1]-2": ("mapped", "Patient.extension"),
        "ZPI[1]-3": ("mapped", "Patient.identifier"),
        "ZPI[1]-4": ("mapped", "Encounter.extension[0].valueBoolean"),
        "ZPI[1]-6": ("unmapped", ""),
        "ZPI[1]-7": ("unmapped", ""),
        "ZVS[1]-1": ("mapped", "Observation.id"),
        "ZVS[1]-2": ("mapped", "Observation.valueQuantity"),
        "ZVS[1]-3": ("mapped", "Observation.valueQuantity"),
        "ZVS[1]-4": ("mapped", "Observation.effectiveDateTime"),
        "ZZZ[1]-1": ("unmapped", ""),
        "ZZZ[1]-2": ("unmapped", ""),
    }
    assert [issue.where for issue in done.issues] == ["ZZZ"]


def test_what_the_message_says_goes_first(tmp_path: Path) -> None:
    table = """
[ZPI]
[[ZPI.make]]
resource = "Patient"
key = ["patient"]
elements = [{ to = "birthDate", column = "6", as = "date" }, { to = "maritalStatus.text", column = "7" }]
"""
    done = mapped(tmp_path, table)
    patient = only(done, "Patient")
    assert (patient["birthDate"], patient["maritalStatus"]) == ("1962-03-05", {"text": "x"})
    assert ("conflict", "ZPI[1]") in {(issue.code, issue.where) for issue in done.issues}


def test_of_several_patients_none_is_certain(tmp_path: Path) -> None:
    pid, pv1 = MESSAGE.split("\r")[1:3]
    swap = MESSAGE.replace("ADT^A01", "ADT^A17") + "\r" + pid.replace("100234", "7") + "\r" + pv1.replace("ZY1", "ZY2")
    done = mapped(tmp_path, declared(), swap)
    assert not of_type(done, "Observation")
    assert {"ZPI[1]", "ZVS[1]"} <= {issue.where for issue in done.issues}


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        (('column = "2"', 'colum = "2"'), 7, "no such key"),
        (('as = "date', 'as = "datum'), None, "is none of"),
        (('to = "extension[+]"', 'to = "extension+"'), None, "element path"),
    ],
)
def test_a_bad_table_is_refused_by_its_line(tmp_path: Path, change: tuple[str, str], line: int | None, says: str) -> None:
    text = declared()
    tomllib.loads(text)
    with pytest.raises(Invalid, match=says) as refused:
        context(tmp_path, text.replace(*change, 1))
    assert "channel cty-his: tables:" in str(refused.value)
    assert "line" in str(refused.value)
    assert line is None or f"line {line}" in str(refused.value)
