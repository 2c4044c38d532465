"""The columns of a workbook of items, or of evidence, and the lines of its head: what each is called, holds and accepts.

A header, and a word of a choice, is known in Chinese, in English and by the name that the JSON uses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as member
from typing import Literal

from hub.recognition.publishing.library import Kind

Holds = Literal["text", "list", "settings", "choice", "whole", "yuan", "flag", "day", "match", "area", "areas"]
Words = tuple[str, str]  # Chinese, English


@dataclass(frozen=True, slots=True)
class Column:
    field: str
    words: Words
    holds: Holds = "text"
    needed: bool = False
    choices: Mapping[str, Words] = member(default_factory=dict)
    help: Words = ("", "")

    def label(self, language: str) -> str:
        return self.words[place_of(language)]

    @property
    def names(self) -> tuple[str, ...]:
        return (self.field, *self.words)


def place_of(language: str) -> int:
    return 1 if language.startswith("en") else 0


YES_NO: Mapping[str, Words] = {"yes": ("是", "yes"), "no": ("否", "no")}
CONTEXTS: Mapping[str, Words] = {
    "outpatient": ("门诊", "outpatient"),
    "inpatient": ("住院", "inpatient"),
    "preoperative": ("术前", "before an operation"),
    "emergency": ("急诊", "emergency"),
    "forensic": ("司法鉴定", "forensic"),
    "disability": ("伤残鉴定", "disability"),
    "transfusion": ("输血", "transfusion"),
}
CATEGORY: Mapping[str, Words] = {
    "lab": ("检验", "laboratory"),
    "imaging": ("检查", "imaging"),
    "ecg": ("心电", "electrocardiogram"),
}
CLOCK: Mapping[str, Words] = {
    "collected": ("采样", "collected"),
    "performed": ("检测或检查", "performed"),
    "issued": ("报告", "reported"),
}
MARK: Mapping[str, Words] = {
    "none": ("不要求", "none"),
    "community": ("医共体", "community"),
    "county": ("县", "county"),
    "prefecture": ("市", "prefecture"),
    "province": ("省", "province"),
    "agreement": ("协议区域", "agreement area"),
    "national": ("全国", "national"),
}
LOWER: Mapping[str, Words] = {
    "must": ("应当互认", "accept"),
    "suggest": ("可以互认", "may accept"),
    "ignore": ("不互认", "do not accept"),
}
EQA: Mapping[str, Words] = {
    "in-date-when-performed": ("检测当日有效", "valid when performed"),
    "no": ("医共体内不要求", "not inside the community"),
}
CONTRAST: Mapping[str, Words] = {"with": ("增强", "with"), "without": ("平扫", "without")}
COUNTS: Mapping[str, Words] = {"calendar-days": ("自然日", "calendar days"), "hours": ("每天24小时", "24 hours each")}
SEVERAL: Words = ("多个值用分号分开", "several are separated by semicolons")
AREA: Words = (
    "national，或 province:33、prefecture:3399、county:339900、community:名称、agreement:名称",
    "national, or province:33, prefecture:3399, county:339900, community:NAME, agreement:NAME",
)
CODES: Words = (
    "系统|代码，例如 LOINC|2823-3；多个用分号分开",
    "system|code, as LOINC|2823-3; several are separated by semicolons",
)

BEFORE_DAYS: tuple[Column, ...] = (
    Column("code", ("项目代码", "Item code"), needed=True),
    Column("display", ("项目名称", "Name"), needed=True),
    Column("display_en", ("英文名称", "English name")),
    Column("category", ("类别", "Category"), "choice", needed=True, choices=CATEGORY),
    Column("match", ("对应代码", "Matching codes"), "match", needed=True, help=CODES),
)
AFTER_DAYS: tuple[Column, ...] = (
    Column("clock_from", ("时限起点", "Window begins"), "choice", needed=True, choices=CLOCK),
    Column("min_mark", ("最低互认标识", "Least mark"), "choice", needed=True, choices=MARK),
    Column("lower_tier_source", ("下级机构结果", "Lower tier"), "choice", needed=True, choices=LOWER),
    Column("requires_eqa", ("室间质评", "Quality evaluation"), "choice", needed=True, choices=EQA),
    Column("requires_images", ("须有影像", "Images needed"), "flag"),
    Column("requires_reference_range", ("须有参考区间", "Reference range needed"), "flag"),
    Column("price", ("价格(元)", "Price (yuan)"), "yuan", needed=True),
    Column("excluded_contexts", ("不适用场景", "Excluded settings"), "settings", help=SEVERAL),
    Column("specimen", ("标本", "Specimen"), "list", help=SEVERAL),
    Column("unit", ("单位", "Unit"), help=("UCUM 代码", "a UCUM code")),
    Column("same_method", ("须同方法", "Same method"), "flag"),
    Column("methods", ("可接受方法", "Accepted methods"), "list", help=SEVERAL),
    Column("modality", ("检查类型", "Modality"), "list", help=("DICOM 代码：DX、CT、US", "DICOM codes: DX, CT, US")),
    Column("body_part", ("部位", "Body part"), "list", help=SEVERAL),
    Column("laterality", ("侧别", "Laterality")),
    Column("contrast", ("增强方式", "Contrast"), "choice", choices=CONTRAST),
    Column("min_series", ("最少序列数", "Least series"), "whole"),
)
ROWS_OF_EVIDENCE: tuple[Column, ...] = (
    Column("organization", ("机构代码", "Facility code"), needed=True),
    Column("item", ("项目代码", "Item code"), needed=True),
    Column("scope", ("互认范围", "Scope"), "area", needed=True, help=AREA),
    Column("scheme", ("质评计划", "Scheme"), needed=True),
    Column("round", ("轮次", "Round"), needed=True),
    Column("passed", ("合格", "Passed"), "flag", needed=True),
    Column("valid_from", ("有效期自", "Valid from"), "day", needed=True),
    Column("valid_to", ("有效期至", "Valid to"), "day", needed=True),
)
IDENTIFIED: tuple[Column, ...] = (
    Column("id", ("编号", "Id"), needed=True),
    Column("version", ("版本", "Version"), needed=True),
    Column("published", ("生效日期", "Holds from"), "day", needed=True),
)
NOTE = Column("note", ("说明", "Note"))
HEADS: Mapping[Kind, tuple[Column, ...]] = {
    "catalogue": (
        *IDENTIFIED,
        Column("scope", ("目录级别", "Level"), needed=True),
        Column("region", ("适用区域", "Region"), "area", help=AREA),
        Column("title", ("名称", "Title")),
        Column("title_en", ("英文名称", "English title")),
        NOTE,
        Column("contexts", ("就诊场景", "Settings"), "settings", help=SEVERAL),
        Column("window_counts", ("时限计法", "Windows count"), "choice", choices=COUNTS),
        Column("mark_areas", ("标识对应区域", "Areas of marks"), "areas", help=("全国=national；浙=province:33",) * 2),
    ),
    "evidence": (*IDENTIFIED, NOTE),
}
SHEETS: Mapping[Kind, tuple[Words, Words]] = {
    "catalogue": (("目录", "Catalogue"), ("项目", "Items")),
    "evidence": (("质评表", "Evidence"), ("质评结果", "Rows")),
}
DAYS = "validity_days."
"""Before a context's name: the field of its window."""


def days_column(context: str) -> Column:
    chinese, english = CONTEXTS.get(context, (context, context))
    return Column(f"{DAYS}{context}", (f"时限(天)·{chinese}", f"Days: {english}"), "whole")


def columns_of(kind: Kind, contexts: Sequence[str]) -> tuple[Column, ...]:
    """Of the sheet of rows."""
    if kind == "evidence":
        return ROWS_OF_EVIDENCE
    return (*BEFORE_DAYS, *map(days_column, contexts), *AFTER_DAYS)


def bare(text: str) -> str:
    """What of a header tells it apart."""
    return "".join(text.split()).casefold().replace("（", "(").replace("）", ")").replace("：", ":").rstrip("*")


def choices_of(column: Column) -> Mapping[str, Words]:
    return YES_NO if column.holds == "flag" else column.choices


def accepted(column: Column) -> Iterator[tuple[str, str]]:
    """(what a cell may say, value)."""
    for value, words in choices_of(column).items():
        yield from ((bare(word), value) for word in (value, *words))
