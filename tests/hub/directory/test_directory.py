"""The directory by its front doors: county.toml, an office's workbook, FHIR; on both stores."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import httpx
import openpyxl
import pytest
from typer.testing import CliRunner, Result

from hub.app import open_hub
from hub.cli.main import app
from hub.directory.bring import bring, look
from hub.errors import HubError
from hub.ingest.run import IntakeService
from hub.security.access import Access
from hub.settings import County, load_county
from tests.hub.api.conftest import anyio_backend, store
from tests.hub.api.county import Client, Served, served

__all__ = ["anyio_backend", "store"]

USCC, OTHER_USCC = "12330000470051726F", "11500000MB1670604W"
COUNTY = f"""
[[facility]]
code = "CTY"
name = "示范县人民医院"
kind = "A100"
identifiers = {{ uscc = "{USCC}", organization-code = "47005172-6" }}
[[facility]]
code = "TWP"
name = "青山镇中心卫生院"
parent = "CTY"
"""
OFFICE = Access(name="Office", role="admin")
SHEETS: dict[str, list[tuple[str, ...]]] = {
    "机构": [
        ("机构代码", "机构名称", "上级机构代码", "统一社会信用代码", "机构类别", "地址"),
        ("CTY", "示范县人民医院", "", USCC, "A100", "示范县城关镇1号"),
        ("TWP", "青山镇中心卫生院", "CTY", OTHER_USCC, "C210", ""),
        ("V01", "桃源村卫生室", "TWP", "12330000740051726F", "D600", ""),
        ("V02", "柳树村卫生室", "TWP", OTHER_USCC, "D600", ""),
        ("V03", "", "TWP", "", "", ""),
    ],
    "科室": [
        ("机构代码", "科室代码", "科室名称", "上级科室代码", "位置"),
        ("CTY", "0301", "心内科", "03", "门诊楼3层"),
        ("CTY", "03", "内科", "", ""),
        ("CTY", "A", "甲", "B", ""),
        ("CTY", "B", "乙", "A", ""),
    ],
    "人员": [
        ("机构代码", "工号", "姓名", "性别", "科室代码", "职称代码", "岗位", "医师执业证书编码"),
        ("CTY", "D001", "李医生", "男", "0301", "2", "心内科医师", "110330000001234"),
        ("CTY", "D002", "王医生", "女", "99", "9", "", "1103300"),
        ("XXX", "D003", "外来者", "", "", "", "", ""),
    ],
}


def workbook() -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, lines in SHEETS.items():
        sheet = book.create_sheet(name)
        for line in lines:
            sheet.append(line)
    content = BytesIO()
    book.save(content)
    return content.getvalue()


def county(tmp_path: Path, text: str = COUNTY) -> County:
    (tmp_path / "county.toml").write_text(text, "utf-8")
    return load_county(tmp_path / "county.toml")


async def found(client: Client, query: str) -> list[str]:
    entries = await client.walk(f"/fhir/{query}")
    return [str(entry["resource"].get("name") or entry["resource"]["id"]) for entry in entries]


@pytest.mark.anyio
async def test_a_workbook_becomes_a_directory_that_fhir_searches(tmp_path: Path, store: str) -> None:
    async with served(tmp_path, county(tmp_path), store) as hub:
        first = await bring(hub.hub, OFFICE, [("目录.xlsx", workbook())])
        said = {(each.sheet, each.row): each for each in first.said if each.error}
        assert "characters 9 and 10 swapped" in said["机构", 4].text
        assert "TWP has this number already" in said["机构", 5].text
        assert said["机构", 6].text == "no name"
        assert "part of itself" in said["科室", 5].text
        assert "no facility XXX" in said["人员", 4].text
        assert len(said) == 5
        assert {each.row for each in first.said if not each.error} == {3}  # of staff: department, title and certificate in doubt

        reader = hub.client("it", "TWP")
        assert await found(reader, f"Organization?identifier=urn:hub:cn:uscc|{USCC}") == ["示范县人民医院"]
        assert set(await found(reader, "Organization?partof=TWP")) == {"桃源村卫生室", "柳树村卫生室"}
        assert await found(reader, "Organization?partof.partof=CTY&type=urn:hub:facility-kind|D600") != []
        assert await found(reader, "Organization?type=dept&name=心内科") == ["心内科"]
        assert len(await found(reader, "Location?organization.name=心内科")) == 1
        roles = "PractitionerRole?practitioner.identifier=urn:hub:CTY:staff|D001&organization.partof.name=内科"
        assert len(await found(reader, roles)) == 1
        doctor = await reader.walk("/fhir/Practitioner?identifier=urn:hub:cn:practising-certificate|110330000001234")
        assert doctor[0]["resource"]["gender"] == "male"

        again = await bring(hub.hub, OFFICE, [("目录.xlsx", workbook())])
        assert set(again.counts) == {"unchanged"}
        with pytest.raises(HubError):
            await bring(hub.hub, Access(name="x", role="admin", facility="CTY"), [("目录.xlsx", workbook())])
        await claims(hub)


async def claims(hub: Served) -> None:
    """Nobody poses as another facility, and a wrong number is refused with its place."""
    twp, admin = hub.client("clinician", "TWP"), hub.client("admin")
    for id, value in (("TWP", "CTY"), ("CTY", "CTY"), ("clinic", "TWP"), ("clinic", "NEW")):
        forged = {
            "resourceType": "Organization",
            "id": id,
            "name": "x",
            "identifier": [{"system": "urn:hub:facility-code", "value": value}],
        }
        assert (await twp.put(forged)).status_code in (403, 404), (id, value)
    tagged = {
        "resourceType": "Organization",
        "id": "clinic",
        "name": "x",
        "meta": {"tag": [{"system": "urn:hub:facility", "code": "CTY"}]},
    }
    made: httpx.Response = await twp.put(tagged)
    assert made.status_code == 201
    assert (await twp.get("/fhir/Organization/clinic")).json()["meta"]["tag"][0]["code"] == "TWP"
    wrong = {
        "resourceType": "Organization",
        "name": "x",
        "identifier": [{"system": "urn:hub:cn:uscc", "value": "123300004700517O6F"}],
    }
    refused = await admin.post(wrong)
    assert refused.status_code == 422
    issue = refused.json()["issue"][0]
    assert issue["expression"] == ["Organization.identifier[0].value"]
    assert "character 16, O" in issue["diagnostics"]


def test_county_toml_says_which_character_is_wrong_and_stays_beside_the_sheet(tmp_path: Path) -> None:
    for text, said in (
        (COUNTY.replace(USCC, USCC[:-1] + "G"), "facility CTY: Unified social credit code"),
        (COUNTY.replace("uscc =", "ucss ="), "no identifier ucss"),
        (COUNTY.replace('kind = "A100"', 'parent = "TWP"'), "part of itself"),
        (COUNTY.replace('parent = "CTY"', 'parent = "NONE"'), "no facility NONE"),
    ):
        with pytest.raises(HubError, match=said):
            open_hub(tmp_path / "refused", county(tmp_path, text))
    made, problems = look([("a.csv", "机构代码,机构名称,统一社会信用代码\nCTY,别的名称,\n".encode("gb18030"))], county(tmp_path))
    assert made[0].resource["name"] == "示范县人民医院"
    assert [each.error for each in problems] == [False]
    for content in (b"", b"a,b\n1,2\n", b"\x89PNG\r\n"):
        with pytest.raises(HubError):
            look([("x.csv", content)], county(tmp_path))


def test_the_commands(tmp_path: Path) -> None:
    known = county(tmp_path)
    hub = open_hub(tmp_path, known)
    IntakeService(tmp_path, known, hub.store, hub.blobs).stop()
    hub.close()
    (tmp_path / "目录.xlsx").write_bytes(workbook())

    def yitong(*arguments: object) -> Result:
        return CliRunner().invoke(app, ["directory", *map(str, arguments)], env={"YITONG_LANG": "en"})

    looked = yitong("import", tmp_path / "目录.xlsx", "--data", tmp_path, "--dry-run")
    assert looked.exit_code == 1, looked.output
    assert "swapped it would be right" in looked.output
    done = yitong("import", tmp_path / "目录.xlsx", "--data", tmp_path, "--yes")
    assert "created" in done.output, done.output
    assert "桃源村卫生室" in yitong("tree", "--data", tmp_path).output
    assert yitong("check", "uscc", USCC).exit_code == 0
    assert yitong("check", "uscc", OTHER_USCC, USCC[::-1]).exit_code == 1
    assert isinstance(yitong("check", "passport", "1").exception, HubError)
