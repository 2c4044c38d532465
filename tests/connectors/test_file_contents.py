"""What the folder connector makes of real contents: sheets and workbooks as rows, archives, documents, samples of every kind."""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl  # type: ignore[import-untyped]
import pytest
from openpyxl.styles import numbers  # type: ignore[import-untyped]
from pydantic import ValidationError

from connectors.base import SourceRecord
from connectors.files.config import FilesConfig
from connectors.files.connector import FilesConnector
from connectors.files.content import kind_of
from mappers.base import CannotMap, MappingContext
from mappers.registry import map_record
from mappers.rows.tables import load_tables
from tests.connectors.test_files import Clock, drop, files, pages, records
from tests.samples import sample_files

EXAMPLES = Path(__file__).parents[2] / "docs" / "guides" / "examples" / "bsoft.toml"
CDA = b'<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"/>'
PDF = b"%PDF-1.4\n%%EOF\n"
ORU = b"MSH|^~\\&|LIS|CTY|HUB|CTY|20240506||ORU^R01|1|P|2.4\rPID|1||7\r"
SHEETS = [{"table": "checkup_sheet", "columns": ["姓名", "身份证号"]}]


@pytest.fixture
def clock() -> Clock:
    return Clock()


def connector(folder: Path, clock: Clock, **options: Any) -> FilesConnector:
    config = FilesConfig.model_validate({"folder": folder, "sheets": SHEETS, **options})
    return FilesConnector(config, source="village", facility="QS", hints={"zone": "+08:00"}, clock=clock)


def values(found: Sequence[SourceRecord]) -> list[dict[str, str]]:
    return [json.loads(record.content) for record in found]


def reason(folder: Path, name: str) -> str:
    return (folder / "failed" / f"{name}.reason.txt").read_text("utf-8")


# ---------------------------------------------------------------- what a file is


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("report.txt", CDA, "cda"),
        ("report.dat", "<报文><正文><ClinicalDocument/></正文></报文>".encode(), "cda"),
        ("message.xml", ORU, "hl7v2"),
        ("ecg.xml", b"<?xml version='1.0' encoding='GB18030'?><AnnotatedECG xmlns='urn:hl7-org:v3'/>", "ecg"),
        ("trace.bin", b"\x12\x34\x88\x00\x00\x00\x00\x00\x00\x00\x88\x00\x00\x00\x14\x14SCPECG" + bytes(20), "ecg"),
        ("image", bytes(128) + b"DICM\x02\x00", "dicom"),
        ("odd.hl7", b"PID|1||7\r", "hl7v2"),  # only its name says so: the mapper tells what is wrong with it
    ],
)
def test_the_content_says_what_a_file_is_and_not_its_name(
    tmp_path: Path, clock: Clock, name: str, content: bytes, kind: str
) -> None:
    drop(tmp_path, name, content, clock)
    source = connector(tmp_path, clock)
    (page,) = pages(source)
    assert [record.kind for record in page.records] == [kind]
    source.done(page)
    assert files(tmp_path) == [f"done/{name}"]


def test_a_batch_a_block_and_a_single_message_are_one_record_a_message(tmp_path: Path, clock: Clock) -> None:
    batch = b"FHS|^~\\&|LIS\rBHS|^~\\&|LIS\r" + ORU + ORU.replace(b"|1|P", b"|2|P") + b"BTS|2\rFTS|1\r"
    drop(tmp_path, "day.txt", batch, clock)
    first, second = records(connector(tmp_path, clock))
    assert (first.kind, second.kind, first.content + second.content) == ("hl7v2", "hl7v2", batch)


@pytest.mark.parametrize(("folder", "kinds"), [("hl7v2", {"hl7v2"}), ("cda", {"cda"}), ("dicom", {"dicom"})])
def test_every_sample_is_known_by_its_content(folder: str, kinds: set[str]) -> None:
    found = sample_files(folder, "**/*")
    told = Counter(
        kind_of(path.read_bytes()) for path in found if path.suffix in {".hl7", ".xml", ".dcm"} and "missing-msh" not in path.name
    )
    assert {kind for kind, count in told.items() if count > 1} == kinds
    assert sum(count for kind, count in told.items() if kind not in kinds) <= 1


def test_what_nobody_knows_goes_to_failed_by_name(tmp_path: Path, clock: Clock) -> None:
    drop(tmp_path, "virus.exe", b"MZ\x90\x00" + bytes(60), clock)
    drop(tmp_path, "old.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), clock)
    drop(tmp_path, "notes.txt", "随便写写".encode(), clock)
    drop(tmp_path, "Thumbs.db", b"x", clock)
    assert records(connector(tmp_path, clock, sheets=[])) == []
    assert "was not recognised" in reason(tmp_path, "virus.exe")
    assert "save it as .xlsx" in reason(tmp_path, "old.xls")
    assert "[[channel.sheets]]" in reason(tmp_path, "notes.txt")
    assert "Thumbs.db" in files(tmp_path)


# ---------------------------------------------------------------- CSV

SHEET = '''青山村卫生室体检登记表;;;;
姓名;身份证号;体检日期;血压/收缩压;备注
赵桂花;339900196203152428;2024-05-06;121;"家住
村东""老屋"""
钱大力;33990019500101001X;2024-05-06;多一格;1;2
孙小妹;;2024-05-06
李四;339900195001010011;20240507;;
'''


@pytest.mark.parametrize(
    ("charset", "delimiter"), [("utf-8", ";"), ("utf-8-sig", ","), ("gb18030", "\t"), ("gbk", "|"), ("utf-16", "\t")]
)
def test_a_sheet_of_text_gives_a_record_a_row_and_a_bad_row_stands_alone(
    tmp_path: Path, clock: Clock, charset: str, delimiter: str
) -> None:
    drop(tmp_path, "体检.csv", SHEET.replace(";", delimiter).replace("\n", "\r\n").encode(charset), clock)
    found = records(connector(tmp_path, clock))
    assert [record.key.rpartition("/")[2] for record in found] == [
        "3",
        "5",
        "6",
        "7",
    ]  # lines of the file, as an editor counts them
    good, long, short, last = values(found)
    assert good == {
        "姓名": "赵桂花",
        "身份证号": "339900196203152428",
        "体检日期": "2024-05-06",
        "血压/收缩压": "121",
        "备注": '家住\r\n村东"老屋"',
    }
    assert (long, short, last["体检日期"]) == ({}, {}, "20240507")
    context = MappingContext(tables=load_tables(EXAMPLES))
    assert [resource["resourceType"] for resource in map_record(found[0], context).resources] == [
        "Patient",
        "Encounter",
        "Observation",
    ]
    with pytest.raises(CannotMap, match="row 5: 6 cells under a header of 5"):
        map_record(found[1], context)
    with pytest.raises(CannotMap, match="row 6: 3 cells under a header of 5"):
        map_record(found[2], context)
    assert "孙小妹" not in found[2].hints["problem"]


def test_an_open_quotation_mark_and_bytes_of_no_charset_cost_one_row_each(tmp_path: Path, clock: Clock) -> None:
    lines = [f"张{n},{n}" for n in range(300)]
    lines[10] = '"张,10'
    text = ("姓名,身份证号\n" + "\n".join(lines) + "\n").encode("gb18030").replace("张20,".encode("gb18030"), b"\xff\xff20,")
    drop(tmp_path, "a.csv", text, clock)
    found = records(connector(tmp_path, clock))
    bad = [record.hints["problem"] for record in found if "problem" in record.hints]
    assert len(found) == 300
    assert [problem.partition(":")[0] for problem in bad] == ["row 12", "row 22"]
    assert values(found)[11] == {"姓名": "张11", "身份证号": "11"}


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        ("姓名,年龄\n赵,1\n", {}, "the nearest lacks 身份证号"),
        ("姓名,身份证号,姓名\n赵,1,2\n", {}, "names 姓名 twice"),
        ("x\n", {}, "none of its first rows"),
        ("a,b\n1,2\n", {"sheets": [{"table": "t", "header": 1, "columns": ["c"]}]}, "no column c"),
        ("x\n", {"sheets": [{"table": "t"}]}, "no header row"),
        ("姓名,身份证号\n", {}, "it has no rows"),
        ("姓名,身份证号\n" + "赵,1\n" * 30, {"max_sheet_bytes": 64}, "max_sheet_bytes"),
    ],
)
def test_a_sheet_without_its_header_is_refused_by_name(
    tmp_path: Path, clock: Clock, content: str, options: dict[str, Any], says: str
) -> None:
    drop(tmp_path, "a.csv", content.encode(), clock)
    assert records(connector(tmp_path, clock, **options)) == []
    assert says in reason(tmp_path, "a.csv")


def test_a_large_sheet_comes_page_by_page_and_its_file_moves_with_the_last(tmp_path: Path, clock: Clock) -> None:
    drop(tmp_path, "a.csv", ("姓名,身份证号\n" + "".join(f"赵,{n}\n" for n in range(250))).encode(), clock)
    source = connector(tmp_path, clock, page_records=100, max_rows=1000)
    cut = next(iter(source.fetch({})))
    source.done(cut)  # killed after this page: nothing has moved, and the next look gives the same records again
    assert files(tmp_path) == ["a.csv"]
    again = connector(tmp_path, clock, page_records=100)
    whole = pages(again)
    assert [record.key for record in whole[0].records] == [record.key for record in cut.records]
    assert [len(page.records) for page in whole] == [100, 100, 50]
    for page in whole:
        assert files(tmp_path) == ["a.csv"]
        again.done(page)
    assert files(tmp_path) == ["done/a.csv"]
    drop(tmp_path, "b.csv", ("姓名,身份证号\n" + "".join(f"赵,{n}\n" for n in range(250))).encode(), clock)
    short = connector(tmp_path, clock, max_rows=200)
    (page,) = pages(short)
    short.done(page)
    assert "more than 200 rows" in reason(tmp_path, "b.csv")
    assert len(page.records) == 199


# ---------------------------------------------------------------- workbooks


def workbook() -> bytes:
    """As a village clinic writes it: a title across the sheet, a grouped header, dates as numbers, an ID as a number."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "体检"
    sheet.append(["青山村卫生室2024年体检"])
    sheet.merge_cells("A1:G1")
    sheet.append(["序号", "姓名", "身份证号", "体检日期", "血压", None, "空腹血糖"])
    sheet.append([None, None, None, None, "收缩压", "舒张压", None])
    for letter in "ABCDG":
        sheet.merge_cells(f"{letter}2:{letter}3")
    sheet.merge_cells("E2:F2")
    sheet.append([1, "赵桂花", "339900196203152428", date(2024, 5, 6), 121, 80, 5.6])
    sheet.append([2, "钱大力", 339900195001010011, datetime.fromisoformat("2024-05-06T08:30"), "121", "=1/0", 0.1 + 0.2])
    sheet.append([3, "李四", "339900195001010011", 45419, "未测", None, "<1.1"])
    sheet["F5"].value = "#DIV/0!"
    sheet["F5"].data_type = "e"
    sheet["D4"].number_format = 'yyyy"年"m"月"d"日"'
    sheet["D6"].number_format = numbers.FORMAT_GENERAL
    book.create_sheet("说明").append(["填表说明", "请勿修改"])
    book.create_sheet("二组").append(["姓名", "身份证号"])
    book["二组"].append(["周五", "1"])
    hidden = book.create_sheet("隐藏")
    hidden.append(["姓名", "身份证号"])
    hidden.append(["不该读", "2"])
    hidden.sheet_state = "hidden"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


BOOK: list[dict[str, Any]] = [
    {"sheet": "体检", "table": "checkup_sheet", "header_rows": 2, "columns": ["姓名", "血压/收缩压"], "dates": ["体检日期"]},
    {"sheet": "二组", "table": "checkup_sheet"},
]


def test_a_workbook_gives_a_record_a_row_of_each_sheet_that_is_named(tmp_path: Path, clock: Clock) -> None:
    drop(tmp_path, "体检.bin", workbook(), clock)
    found = records(connector(tmp_path, clock, sheets=BOOK))
    assert [record.key.rpartition("/")[2] for record in found] == ["体检!4", "体检!5", "体检!6", "二组!2"]
    first, broken, third, other = values(found)
    assert first == {
        "序号": "1",
        "姓名": "赵桂花",
        "身份证号": "339900196203152428",
        "体检日期": "2024-05-06",
        "血压/收缩压": "121",
        "血压/舒张压": "80",
        "空腹血糖": "5.6",
    }
    assert (broken, found[1].hints["problem"]) == ({}, "row 5: cell F5 holds the error #DIV/0!")
    assert (third["体检日期"], third["血压/收缩压"], third["空腹血糖"]) == ("2024-05-07", "未测", "<1.1")
    assert other == {"姓名": "周五", "身份证号": "1"}
    mapped = map_record(found[0], MappingContext(tables=load_tables(EXAMPLES)))
    assert [resource["resourceType"] for resource in mapped.resources] == ["Patient", "Encounter", "Observation", "Observation"]
    assert mapped.issues == ()


def test_a_number_keeps_the_zeros_that_its_sheet_shows(tmp_path: Path, clock: Clock) -> None:
    """A code 36.10 or 000042 that Excel keeps as a number is another code without them; nothing is rounded."""
    seen = {
        ("0.00", 36.1): "36.10",
        ("0.00_ ", 36): "36.00",
        ("000000", 42): "000042",
        ("#,##0.00", 1234.5): "1234.50",
        ("0.0", 5.123): "5.123",
        ("00.0;[Red]-00.0", -7.25): "-07.25",
        ("0.0", 0.1 + 0.2): "0.3",
        ("0%", 0.05): "0.05",
        ("General", 36.1): "36.1",
    }
    book = openpyxl.Workbook()
    book.active.append(["编码"])
    for number, (form, value) in enumerate(seen, 2):
        book.active.append([value])
        book.active.cell(number, 1).number_format = form
    out = io.BytesIO()
    book.save(out)
    drop(tmp_path, "codes.xlsx", out.getvalue(), clock)
    found = records(connector(tmp_path, clock, sheets=[{"sheet": "*", "table": "checkup_sheet", "columns": ["编码"]}]))
    assert [each["编码"] for each in values(found)] == list(seen.values())


def test_a_sheet_for_people_is_passed_over_and_a_named_one_without_its_header_is_told(tmp_path: Path, clock: Clock) -> None:
    any_sheet = [{**BOOK[0], "sheet": "*"}]
    drop(tmp_path, "a.xlsx", workbook(), clock)
    source = connector(tmp_path, clock, sheets=any_sheet)
    (page,) = pages(source)
    source.done(page)
    assert len(page.records) == 3
    assert files(tmp_path) == ["done/a.xlsx"]
    drop(tmp_path, "b.xlsx", workbook(), clock)
    source = connector(tmp_path, clock, sheets=[{**BOOK[0], "sheet": "说明"}, BOOK[1]])
    (page,) = pages(source)
    source.done(page)
    assert len(page.records) == 1
    assert "sheet 说明: none of its first rows is a header with 姓名, 血压/收缩压" in reason(tmp_path, "b.xlsx")


def test_a_workbook_that_is_a_bomb_or_damaged_or_meant_for_people_is_refused(tmp_path: Path, clock: Clock) -> None:
    with zipfile.ZipFile(tmp_path / "bomb", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("[Content_Types].xml", "<Types/>")
        bomb.writestr("xl/workbook.xml", "<workbook><sheets><sheet name='a'/></sheets></workbook>")
        bomb.writestr("xl/sharedStrings.xml", b"<sst>" + b" " * 50_000_000)
    drop(tmp_path, "bomb.xlsx", (tmp_path / "bomb").read_bytes(), clock)
    (tmp_path / "bomb").unlink()
    drop(tmp_path, "broken.xlsx", workbook()[:-200], clock)
    drop(tmp_path, "people.xlsx", workbook(), clock)
    drop(tmp_path, "entity.xlsx", _with_sheet(ENTITY), clock)
    assert records(connector(tmp_path, clock, max_sheet_bytes=1_000_000, sheets=[{"table": "t", "pattern": "[!p]*"}])) == []
    assert "max_sheet_bytes" in reason(tmp_path, "bomb.xlsx")
    assert "not recognised" in reason(tmp_path, "broken.xlsx")
    assert "[[channel.sheets]]" in reason(tmp_path, "people.xlsx")
    assert "root:" not in reason(tmp_path, "entity.xlsx")


ENTITY = """<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>
<x><row><c t='inlineStr'><is><t>&e;</t></is></c></row></x>"""


def test_a_workbook_that_no_reader_foresaw_does_not_hold_back_what_comes_after_it(tmp_path: Path, clock: Clock) -> None:
    drop(tmp_path, "a.xlsx", _with_sheet("<x><row r='many'><c s='x'><v>1</v></c></row></x>"), clock, age=100)
    drop(tmp_path, "b.xml", CDA, clock)
    assert [record.kind for record in records(connector(tmp_path, clock, sheets=[*BOOK[1:], {"table": "t"}]))] == ["cda"]
    assert "reading it failed (ValueError)" in reason(tmp_path, "a.xlsx")


def _with_sheet(sheet: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook><sheets><sheet name='a' id='r1'/></sheets></workbook>")
        archive.writestr("xl/_rels/workbook.xml.rels", "<r><Relationship Id='r1' Target='worksheets/1.xml'/></r>")
        archive.writestr("xl/worksheets/1.xml", sheet)
    return out.getvalue()


# ---------------------------------------------------------------- archives


def zipped(*entries: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return out.getvalue()


def locked(archive: bytes) -> bytes:
    """With the bit set that says so, in the file's own header and in the directory's."""
    local, directory = b"PK\x03\x04\x14\x00", b"PK\x01\x02\x14\x03\x14\x00"
    return archive.replace(local + b"\x00", local + b"\x01").replace(directory + b"\x00", directory + b"\x01")


def test_an_archive_gives_what_is_in_it_and_names_what_it_could_not_take(tmp_path: Path, clock: Clock) -> None:
    inside = [
        ("../../etc/cron.d/a.xml", CDA),
        ("报告/一.hl7", ORU),
        ("报告/a.xml", CDA),
        ("报告\\a.xml", CDA),
        ("virus.exe", b"MZ\x90\x00" + bytes(60)),
        ("in.zip", zipped(("a", b"a"))),
    ]
    drop(tmp_path, "day.zip", zipped(*inside), clock)
    source = connector(tmp_path, clock)
    (page,) = pages(source)
    assert [(record.kind, record.key.partition("#")[0], record.hints["file"]) for record in page.records] == [
        ("cda", "day.zip/etc/cron.d/a.xml", "day.zip/etc/cron.d/a.xml"),
        ("hl7v2", "day.zip/报告/一.hl7", "day.zip/报告/一.hl7"),
        ("cda", "day.zip/报告/a.xml", "day.zip/报告/a.xml"),
        ("cda", "day.zip/报告/a.xml.2", "day.zip/报告/a.xml.2"),
    ]
    assert files(tmp_path) == ["day.zip"]
    source.done(page)
    assert files(tmp_path) == ["failed/day.zip", "failed/day.zip.reason.txt"]
    assert "virus.exe: what it is was not recognised" in reason(tmp_path, "day.zip")
    assert "in.zip: an archive within an archive" in reason(tmp_path, "day.zip")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (zipped(*((str(n), b"x") for n in range(12))), "12 files"),
        (zipped(("a.csv", b"0" * 5_000_000)), "200 times its size"),
        (zipped(("a.csv", bytes(range(256)) * 40_000)), "max_bytes"),
        (zipped(("a.exe", b"MZ\x90\x00" + bytes(9))), "a.exe: what it is was not recognised"),
        (locked(zipped(("a.xml", CDA))), "password"),
        (b"PK\x03\x04" + b"\x00" * 300, "not recognised"),
    ],
)
def test_an_archive_beyond_its_limits_is_refused_whole(tmp_path: Path, clock: Clock, content: bytes, says: str) -> None:
    drop(tmp_path, "a.zip", content, clock)
    assert records(connector(tmp_path, clock, max_entries=10, max_bytes=8_000_000)) == []
    assert says in reason(tmp_path, "a.zip")


# ---------------------------------------------------------------- documents


def test_a_document_says_whose_it_is_by_its_name_or_by_the_words_beside_it(tmp_path: Path, clock: Clock) -> None:
    options = {"documents": {"pattern": r"(?P<patient>\d+)_(?P<report>[A-Z]\d+)_(?P<date>\d{8})", "title": "心电图报告"}}
    drop(tmp_path, "1001_E77_20240506.pdf", PDF, clock)
    drop(tmp_path, "scan.jpg", b"\xff\xd8\xff\xe0" + bytes(20), clock)
    drop(
        tmp_path,
        "scan.jpg.json",
        b'{"patient": 1002, "visit": "V9", "title": "\xe7\x9f\xa5\xe6\x83\x85\xe5\x90\x8c\xe6\x84\x8f\xe4\xb9\xa6"}',
        clock,
    )
    drop(tmp_path, "nobody.pdf", PDF, clock)
    source = connector(tmp_path, clock, **options)
    (page,) = pages(source)
    by_name = {record.hints["file"]: map_record(record, MappingContext(explain=True)) for record in page.records}
    source.done(page)
    assert files(tmp_path) == [
        "done/1001_E77_20240506.pdf", "done/scan.jpg", "done/scan.jpg.json", "failed/nobody.pdf", "failed/nobody.pdf.reason.txt"
    ]  # fmt: skip
    assert 'no nobody.pdf.json beside it says {"patient": "…"}' in reason(tmp_path, "nobody.pdf")
    report, _binary = by_name["1001_E77_20240506.pdf"].resources
    attachment = report["content"][0]["attachment"]
    assert (attachment["contentType"], attachment["title"], attachment["creation"]) == (
        "application/pdf",
        "心电图报告",
        "2024-05-06",
    )
    assert (attachment["size"], report["identifier"][0]["value"]) == (len(PDF), "E77")
    assert by_name["1001_E77_20240506.pdf"].attachments[0].content == PDF
    scan, _ = by_name["scan.jpg"].resources
    assert (scan["content"][0]["attachment"]["title"], "encounter" in scan["context"]) == ("知情同意书", True)
    for mapped in by_name.values():
        assert len(mapped.lines) == sum(mapped.ledger.values())


@pytest.mark.parametrize(
    ("pattern", "says"), [("(", "missing \\)"), (r"(\d+)", "names the patient"), (r"(?P<patient>a)\1", "invalid escape")]
)
def test_a_pattern_that_cannot_be_used_is_told_when_the_hub_starts(pattern: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        FilesConfig.model_validate({"folder": "/", "documents": {"pattern": pattern}})


def test_a_document_waits_for_the_words_beside_it_where_they_are_promised(tmp_path: Path, clock: Clock) -> None:
    source = connector(tmp_path, clock, documents={"sidecar": True})
    drop(tmp_path, "a.pdf", PDF, clock)
    assert records(source) == []
    drop(tmp_path, "a.pdf.json", b'{"patient": "7"}', clock)
    assert [record.hints["document.patient"] for record in records(source)] == ["7"]
    drop(tmp_path, "a.pdf.json", b"[" * 9999, clock)
    assert records(source) == []
    assert "cannot be read" in reason(tmp_path, "a.pdf")


# ---------------------------------------------------------------- the folder


def test_folders_in_the_folder_are_read_and_links_are_not_followed(tmp_path: Path, clock: Clock) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    drop(outside, "secret.xml", CDA, clock)
    folder = tmp_path / "drop"
    (folder / "2024" / "05").mkdir(parents=True)
    (folder / "link").symlink_to(outside)
    drop(folder / "2024" / "05", "a.xml", CDA, clock)
    clock.now += timedelta(seconds=30)
    source = connector(folder, clock)
    (page,) = pages(source)
    assert [record.key.partition("#")[0] for record in page.records] == ["2024/05/a.xml"]
    source.done(page)
    assert "done/2024/05/a.xml" in files(folder)
    assert files(outside) == ["secret.xml"]
    assert pages(source) == []


def test_a_file_waits_for_the_one_that_says_it_is_ready(tmp_path: Path, clock: Clock) -> None:
    source = connector(tmp_path, clock, ready=".ok")
    drop(tmp_path, "a.xml", CDA, clock)
    assert records(source) == []
    drop(tmp_path, "a.xml.ok", b"", clock)
    (page,) = pages(source)
    source.done(page)
    assert files(tmp_path) == ["done/a.xml", "done/a.xml.ok"]
