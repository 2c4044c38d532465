"""Tables as they come from their issuers: columns in any order, merged headers, GB18030, broken lines told by their number."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import openpyxl
import pytest

from hub.errors import Invalid
from hub.terminology.concepts import CodeSystem
from hub.terminology.importing.kinds import table_kinds
from hub.terminology.importing.resource import Naming, concept_map, definition, named
from hub.terminology.importing.table import Table, read_table
from hub.terminology.maps import CodeMap
from profiles.validation import validate

KINDS = table_kinds()
CHOLERA = "霍乱,由于O1群霍乱弧菌,霍乱生物型所致"
Rows = Sequence[Sequence[object]]


def sheet(rows: Rows, charset: str = "utf-8-sig") -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode(charset)


def workbook(*sheets: Rows, merged: Sequence[str] = ()) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for rows in sheets:
        made = book.create_sheet()
        for row in rows:
            made.append(list(row))
        for place in merged:
            made.merge_cells(place)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def taken(content: bytes, name: str, kind: str = "") -> Table:
    return read_table(content, name, KINDS, kind)


def made(table: Table) -> dict:
    resource = definition(table, named(table, checksum="0" * 64, file="table.csv", edition=table.edition or "1"))
    assert [issue.message for issue in validate(resource)] == []
    return resource


CLINICAL = (
    ["附件 疾病分类与代码国家临床版2.0", "", ""],
    ["附加编码", "疾病名称", "ICD-10 编码(必填)"],
    ["", CHOLERA, "A00.000"],
    ["", "古典生物型霍乱", "A00.000x001"],
    ["", "特发性(原发性)高血压", "Ｉ10.X00"],
    ["", "高血压病", "i10.x00X002"],
    ["", "特发性(原发性)高血压", "I10.x00"],
    ["", "高血压", "I10.x00"],
    ["", "字母O写成的代码", "I1O.x00"],
    ["G01*", "结核性脑膜炎", "A17.000†"],
    ["附加编码", "疾病名称", "ICD-10 编码(必填)"],
    ["", "没有代码", ""],
    ["", "", "B02.200"],
    ["", "良性肿瘤", "M80000/0"],
)


@pytest.mark.parametrize("charset", ["utf-8-sig", "gb18030", "utf-16"])
def test_a_clinical_edition_by_its_title_and_wrong_lines_by_their_number(charset):
    table = taken(sheet(CLINICAL, charset), "诊断.csv")
    assert (table.kind.name, table.edition, table.rows, table.repeated) == ("icd10-gl", "2.0", 11, 1)
    assert list(table.concepts) == ["A00.000", "A00.000x001", "I10.x00", "I10.x00x002", "A17.000†", "M80000/0"]
    assert [(line, text.split()[-1]) for _, line, text in table.problems] == [(8, "name"), (9, "kind"), (12, "code"), (13, "name")]
    assert "line 5" in table.problems[0].text
    resource = made(table)
    assert (resource["url"], resource["version"]) == ("urn:hub:cn:icd10-gl", "2.0")
    system = CodeSystem.of(resource)
    assert [system.codes[n] for n in system.descendants(system.number["I10.x00"])] == ["I10.x00", "I10.x00x002"]
    assert system.values(system.number["A17.000†"], "additional-code") == ["G01*"]


INSURER = (
    ["医疗保障疾病诊断分类与代码(医保版)V2.1"],
    ["序号", "章", None, "类目", None, "诊断", None],
    ["序号", "章代码范围", "章的名称", "类目代码", "类目名称", "诊断代码", "诊断名称"],
    [1, "A00-B99", "某些传染病和寄生虫病", "A00", "霍乱", "A00.000", CHOLERA],
    [2, "I00-I99", "循环系统疾病", "I10", "高血压", "I10.x00", "特发性高血压"],
    [3, "I00-I99", "循环系统疾病", "I10", "高血压", "I10.x00x002", "高血压病"],
)


def test_an_insurers_workbook_with_a_merged_header_categories_and_a_sheet_of_words():
    content = workbook([["说明"], ["本表由……发布"]], INSURER, merged=("B2:C2", "D2:E2", "F2:G2"))
    table = taken(content, "诊断.xlsx")
    assert (table.kind.name, table.edition, table.found.passed, table.wrong) == ("icd10-yb", "2.1", ["Sheet"], 0)
    system = CodeSystem.of(made(table))
    below = system.descendants(system.number["I00-I99"])
    assert {system.codes[n] for n in below} == {"I00-I99", "I10", "I10.x00", "I10.x00x002"}
    assert {system.codes[n] for n in system.abstract} == {"A00-B99", "A00", "I00-I99", "I10"}
    assert [system.codes[n] for n in system.ancestors(system.number["A00.000"])] == ["A00.000", "A00", "A00-B99"]


def test_a_chapter_and_its_only_category_with_one_code_and_two_names_lose_no_line():
    header = ["章代码范围", "章名称", "类目代码", "类目名称", "亚目代码", "亚目名称", "手术操作代码", "手术操作名称"]
    rows = [
        ["00", "操作和介入 NEC", "00", "操作和介入,不可归类在他处者", "00.0", "治疗性超声", "00.0100", "头和颈部血管治疗性超声"],
        ["00", "操作和介入 NEC", "00", "操作和介入,不可归类在他处者", "00.0", "治疗性超声", "00.0200", "心脏治疗性超声"],
    ]
    table = taken(sheet([header, *rows]), "医保手术操作分类与代码2.0.csv")
    system = CodeSystem.of(made(table))
    assert (table.wrong, [system.codes[n] for n in system.ancestors(system.number["00.0200"])]) == (0, ["00.0200", "00.0", "00"])
    assert system.displays[system.number["00"]] == "操作和介入 NEC"


def test_two_editions_side_by_side_under_a_header_of_two_rows_are_a_map():
    rows = [
        ["医保2.0", None, "国临2.0", None],
        ["诊断代码", "诊断名称", "诊断代码", "诊断名称"],
        ["I10.x00", "a", "I10.x00x002", "b"],
    ]
    table = taken(workbook(rows, merged=("A1:B1", "C1:D1")), "对应库.xlsx")
    assert (table.kind.name, list(table.pairs)) == ("icd10-map", [("I10.x00x002", "I10.x00")])


def test_sheets_that_go_on_are_one_table_and_a_rounded_code_is_told():
    head = ["序号", "药品代码", "注册名称", "商品名称", "剂型", "批准文号"]
    first = [
        head,
        [1, "XA01ABD075A002010100483", "氯己定含漱液", "某牌", "含漱液", "国药准字H20000001"],
        [2, 1.23e22, "坏", "", "", ""],
    ]
    second = [head, [3, "za01aab0016010200001xyz", "中成药", "", "", ""]]
    table = taken(workbook(first, second), "医保药品2024年版.xlsx")
    assert (table.kind.name, table.edition) == ("drug-yb", "2024")
    assert list(table.concepts) == ["XA01ABD075A002010100483", "ZA01AAB0016010200001XYZ"]
    assert "rounded by a spreadsheet" in table.problems[0].text
    concept = made(table)["concept"][0]
    assert concept["designation"] == [{"language": "zh-CN", "value": "某牌"}]
    assert {"code": "approval-number", "valueString": "国药准字H20000001"} in concept["property"]


@pytest.mark.parametrize(
    ("name", "header", "code", "kind"),
    [
        ("手术操作国临版3.0.csv", ("手术名称", "手术编码"), "00.0100x001", "icd9cm3-gl"),
        ("手术操作医保版2.0.csv", ("手术操作名称", "手术操作代码"), "00.0100", "icd9cm3-yb"),
        ("项目.csv", ("医疗服务项目名称", "国家医保代码"), "002503010010000-250301001", "item-yb"),
        ("饮片.csv", ("中药饮片名称", "中药饮片代码"), "T001700001", "herb-yb"),
        ("中医病证.csv", ("证候名称", "证候代码"), "B04.02.01.03.02", "tcm-2021"),
        ("中医病证.csv", ("证候名称", "证候代码"), "BNS070", "tcm-1995"),
        ("CV04.30.002.csv", ("值含义", "值"), "BB04ZZZZ1", "imaging-technique"),
        ("ICD-10医保2.0版.csv", ("条目名称", "条目代码"), "A00.000", "icd10-yb"),
        ("国家临床版2.0.csv", ("国家临床版2.0名称", "国家临床版2.0编码"), "A17.000†G01*", "icd10-gl"),
        ("手术操作分类代码医保版.csv", ("手术操作分类名称", "手术操作分类代码"), "00.0100", "icd9cm3-yb"),
        ("中医证候.csv", ("证候名称", "证候分类代码"), "B01.01.01", "tcm-2021"),
        ("95版中医病名.csv", ("病名", "病名编码"), "BNS010", "tcm-1995"),
        ("医用耗材.csv", ("医保通用名", "医保耗材代码"), "C0101010010100100001", "consumable-yb"),
        ("2023年行政区划.csv", ("单位名称", "行政区划代码"), "431125", "region"),
    ],
)
def test_a_kind_is_told_by_columns_codes_and_names(name, header, code, kind):
    table = taken(sheet([header, ("某一名称", code)]), name)
    assert (table.kind.name, list(table.concepts)) == (kind, [code])
    assert made(table)


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (sheet([["诊断代码", "诊断名称"], ["I10.x00", "高血压"]]), "", "say --kind"),
        (sheet([["日期", "金额"], ["2026", "1"]]), "", "header"),
        (sheet([["日期", "金额"], ["2026", "1"]]), "icd10-gl", "code: "),
        (sheet([["主要编码", "疾病名称"], ["坏", "坏"]]), "", "no line has a code"),
        (sheet([["项目代码", "项目名称"], ["K", "钾"]]), "", "--kind table --system"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "", "xlsx"),
        (b"%PDF-1.4 ...", "", "neither a CSV"),
        (b"", "", "header"),
        (sheet([["主要编码", "疾病名称"], ["I10.x00", "高血压"]]), "icd-11", "one of"),
    ],
)
def test_what_cannot_be_told_is_not_guessed(content, kind, says):
    with pytest.raises(Invalid, match=says):
        taken(content, "file", kind)


def test_a_map_of_two_editions_says_no_more_than_the_file_does():
    rows = [
        ["医保版名称", "国临版编码", "国临版名称", "医保版编码"],
        ["高血压病", "I10.x00x002", "高血压病", "I10.x00x002"],
        [CHOLERA, "A00.000x001", "古典生物型霍乱", "A00.000"],
        ["", "Z99.900", "依赖", "无"],
    ]
    table = taken(sheet(rows), "国临医保对照.csv")
    resource = concept_map(table, Naming(table.kind.system, "2.0", table.kind.title, "0" * 64, "对照.csv"))
    assert [issue.message for issue in validate(resource)] == []
    there = [(e["code"], e["target"][0].get("code"), e["target"][0]["equivalence"]) for e in resource["group"][0]["element"]]
    assert there == [
        ("I10.x00x002", "I10.x00x002", "equivalent"),
        ("A00.000x001", "A00.000", "relatedto"),
        ("Z99.900", None, "unmatched"),
    ]
    assert CodeMap.of(resource).targets == {"urn:hub:cn:icd10-yb"}


def test_a_county_adds_a_kind_of_its_own_and_a_wrong_one_names_itself(tmp_path):
    (tmp_path / "table_kinds.toml").write_text(
        '[dept]\ntitle = "科室"\ntitle_en = "Departments"\nsystem = "urn:hub:CTY:dept"\ncode = \'\\d{4}\'\n'
        'columns = { code = ["科室编号"], display = ["科室名"] }\n',
        "utf-8",
    )
    kinds = table_kinds(tmp_path)
    assert read_table(sheet([["科室名", "科室编号"], ["内科", "0101"]]), "x.csv", kinds).kind.name == "dept"
    (tmp_path / "table_kinds.toml").write_text('[dept]\ntitle = "科室"\n', "utf-8")
    with pytest.raises(Invalid, match=r"table_kinds\.toml"):
        table_kinds(tmp_path)
