"""Catalogue and evidence as Excel workbooks: out and in again unchanged, and every wrong cell named."""

from __future__ import annotations

from io import BytesIO

import pytest
from openpyxl import Workbook, load_workbook

from hub.errors import Invalid
from hub.recognition.publishing.columns import SHEETS
from hub.recognition.publishing.export import workbook_of
from hub.recognition.publishing.sheets import MOST_WRONG, read_workbook
from tests.hub.recognition.test_publishing import CATALOGUE, EVIDENCE


def changed(facts, change, language="zh-CN"):
    """The exported workbook as somebody saved it in Excel; `change` gets its head, its rows and the columns' letters."""
    book = load_workbook(BytesIO(workbook_of(facts, language)))
    rows = book.worksheets[1]
    letters = {str(cell.value).rstrip("*"): cell.column_letter for cell in rows[1]}
    change(book.worksheets[0], rows, letters)
    return saved(book)


def saved(book):
    content = BytesIO()
    book.save(content)
    return content.getvalue()


@pytest.mark.parametrize("language", ["zh-CN", "en"])
@pytest.mark.parametrize("facts", [CATALOGUE, EVIDENCE], ids=["catalogue", "evidence"])
def test_out_and_in_again_it_is_the_same(facts, language):
    read = read_workbook(workbook_of(facts, language))
    assert (read.facts, read.wrong) == (facts, [])


def test_cells_as_people_and_excel_write_them():
    def change(head, rows, letters):
        head["B2"], head["B3"] = 7, "2026年3月1日"
        for name, value in (
            ("价格(元)", 12.5),
            ("须有参考区间", "NO"),
            ("对应代码", "LOINC|2823-3；urn:hub:CTY:item|K\nurn:x|a|b"),
            ("不适用场景", "司法鉴定、transfusion"),
            ("时限(天)·术前", None),
            ("时限(天)·门诊", 14.0),
            ("最低互认标识", "national"),
        ):
            rows[f"{letters[name]}2"] = value

    read = read_workbook(changed(CATALOGUE, change), {"version": "8"})
    item = read.facts.items[0]
    assert (read.facts.catalogue.version, read.facts.catalogue.published.isoformat()) == ("8", "2026-03-01")
    assert (item.price, item.requires_reference_range, item.min_mark) == (1250, False, "national")
    assert [(each.system, each.code) for each in item.match][1:] == [("urn:hub:CTY:item", "K"), ("urn:x|a", "b")]
    assert item.excluded_contexts == ("forensic", "transfusion")
    assert ("preoperative" not in item.validity_days, item.validity_days["outpatient"]) == (True, 14)


def test_every_wrong_cell_of_a_catalogue_is_named():
    def change(head, rows, letters):
        head["B3"] = "yesterday"
        for row, name, value in (
            (2, "价格(元)", "3.005"),
            (2, "类别", "化验"),
            (3, "时限(天)·门诊", "-1"),
            (4, "对应代码", "2823-3"),
            (5, "项目代码", "L0101"),
            (6, "项目名称", None),
            (7, "须同方法", "是"),
            (8, "不适用场景", "体检"),
        ):
            rows[f"{letters[name]}{row}"] = value

    read = read_workbook(changed(CATALOGUE, change))
    assert read.facts is None
    told = [(wrong.row, wrong.column, wrong.name, wrong.says("zh-CN")) for wrong in read.wrong]
    assert (3, "B", "生效日期", "“yesterday”应为日期，例如 2026-03-01") in told
    assert {(row, name) for row, _, name, _ in told[1:]} == {
        (2, "价格(元)"), (2, "类别"), (3, "时限(天)·门诊"), (4, "对应代码"),
        (5, "项目代码"), (6, "项目名称"), (7, "可接受方法"), (8, "不适用场景"),
    }  # fmt: skip
    assert next(wrong for wrong in read.wrong if wrong.row == 5).says("en") == "is stated in row 2 already"


def test_every_wrong_cell_of_evidence_is_named_and_how_many_are_told_is_limited():
    def change(_, rows, letters):
        for row, name, value in (
            (2, "互认范围", "省"),
            (3, "合格", "也许"),
            (4, "有效期至", "2020-01-01"),
            (5, "有效期自", "2026-02-30"),
            (6, "机构代码", ""),
        ):
            rows[f"{letters[name]}{row}"] = value
        rows["K1"] = "备注"
        for column in range(1, 9):
            rows.cell(rows.max_row + 1 if column == 1 else rows.max_row, column, rows.cell(7, column).value)

    read = read_workbook(changed(EVIDENCE, change, "zh-CN"))
    named = {(wrong.row, wrong.name) for wrong in read.wrong}
    last = len(EVIDENCE.rows) + 2
    assert named == {
        (1, "备注"), (2, "互认范围"), (3, "合格"), (4, "有效期至"), (5, "有效期自"), (6, "机构代码"), (last, "机构代码"),
    }  # fmt: skip

    def spoil(_, rows, letters):
        for number in range(2, 602):
            rows[f"A{number}"] = "CTY"

    assert len(read_workbook(changed(EVIDENCE, spoil)).wrong) == MOST_WRONG


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: b"code,display\n1,2\n", "no Excel workbook"),
        (lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "save it as .xlsx"),
        (lambda: saved(Workbook()), "export one here"),
        (lambda: workbook_of(CATALOGUE, "en")[:4000], "Excel workbook"),
    ],
    ids=["csv", "xls", "empty", "cut"],
)
def test_what_is_no_such_workbook_says_what_to_do(make, says):
    with pytest.raises(Invalid, match=says):
        read_workbook(make())


def test_a_sheet_of_rows_alone_takes_its_head_from_the_form():
    book = load_workbook(BytesIO(workbook_of(EVIDENCE, "en")))
    del book[SHEETS["evidence"][0][1]]
    alone = saved(book)
    assert {(wrong.name, wrong.problem) for wrong in read_workbook(alone).wrong} == {
        ("编号 / Id", "no-head"),
        ("版本 / Version", "no-head"),
        ("生效日期 / Holds from", "no-head"),
    }
    read = read_workbook(alone, {"id": "nccl", "version": "2026-1", "published": "2026-03-01"})
    assert (read.facts.evidence.id, read.facts.rows) == ("nccl", EVIDENCE.rows)


def test_a_name_that_begins_like_a_formula_stays_a_name():
    facts = CATALOGUE.model_copy(update={"items": (CATALOGUE.items[0].model_copy(update={"display": "=1+1"}),)})
    content = workbook_of(facts, "en")
    assert load_workbook(BytesIO(content)).worksheets[1]["B2"].data_type == "s"
    assert read_workbook(content).facts == facts
