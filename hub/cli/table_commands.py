"""The commands about tables of codes: import, kinds, tables. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub.cli.arguments import ConfigFile, DataFolder, Json, StoreAddress, Yes
from hub.cli.language import say

IMPORT = say(
    """Bring in a table of codes, or decisions on unmapped codes; shows what it would become, and asks.

    A table (ICD-10, ICD-9-CM-3, drugs, items, Chinese medicine, or a map between two editions) is an .xlsx or CSV file as its
    issuer hands it out: columns in any order, titles above the header, merged headers, UTF-8 or GB18030. Which table it is its
    columns, codes, name and titles say; where that is not certain, --kind does (`yitong codes kinds` lists them). The edition is
    read off the name or a title (国临版2.0), else say --edition. Lines with broken codes, without a name or against a line
    before are told by their number and left out. The same file again does nothing; another edition stands beside the former.

    \b
    Look:        yitong codes import ICD-10国临版2.0.xlsx --data /srv/yitong --preview
    Import:      yitong codes import ICD-10国临版2.0.xlsx --data /srv/yitong
    Another:     yitong codes import dept.csv --data /srv/yitong --kind table --system urn:hub:CTY:dept --edition 2026
    Decisions:   yitong codes import codes.csv --data /srv/yitong     (as `yitong codes export` wrote it; all of it or nothing)

    Exit 0: all is there; 1: lines were left out, or nobody agreed; 2: it cannot be read, and the text says what to do.""",
    """导入标准代码表,或导入未映射代码的确认结果;先显示预览,再询问。

    代码表(ICD-10、ICD-9-CM-3、药品、诊疗项目、中医病证,或两个版本间的对照表)为发布单位提供的 .xlsx 或 CSV 原文件即可:列序不限,
    表头上方可有标题,表头可合并单元格,UTF-8 或 GB18030。表的类型由列名、代码形式、文件名和标题判断;无法确定时用 --kind 指定
    (yitong codes kinds 列出全部类型)。版本取自文件名或标题(如“国临版2.0”),否则用 --edition 指定。代码有误、缺名称或与前面行矛盾的
    行会按行号列出并略去。同一文件再次导入不做任何事;不同版本并存。

    \b
    预览:      yitong codes import ICD-10国临版2.0.xlsx --data /srv/yitong --preview
    导入:      yitong codes import ICD-10国临版2.0.xlsx --data /srv/yitong
    其他表:    yitong codes import dept.csv --data /srv/yitong --kind table --system urn:hub:CTY:dept --edition 2026
    确认结果:  yitong codes import codes.csv --data /srv/yitong     (由 yitong codes export 导出;有错则全部不导入)

    退出码 0:全部已有;1:有行被略去或未获同意;2:无法读取,提示会说明如何处理。""",
)


def add_table_commands(codes_app: typer.Typer) -> None:
    codes_app.command("import", help=IMPORT)(codes_import)
    codes_app.command("kinds", help=say("The kinds of tables that are known by their columns.", "可识别的代码表类型。"))(
        codes_kinds
    )
    codes_app.command("tables", help=say("The tables that are here, with their editions.", "已有的代码表及版本。"))(codes_tables)


def codes_import(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help=say("A .xlsx or CSV file.", ".xlsx 或 CSV 文件。"))],
    data: DataFolder,
    kind: Annotated[str, typer.Option(help=say("Which table it is: icd10-gl, drug-yb …", "表的类型:icd10-gl、drug-yb …"))] = "",
    edition: Annotated[str, typer.Option(help=say("Its edition: 2.0", "版本:2.0"))] = "",
    system: Annotated[
        str, typer.Option(help=say("URI of the code system; default: the kind's.", "代码系统 URI;默认按类型。"))
    ] = "",
    title: Annotated[str, typer.Option(help=say("What it is called; default: the kind's.", "名称;默认按类型。"))] = "",
    preview: Annotated[bool, typer.Option("--preview", help=say("Only look.", "仅预览。"))] = False,
    problems: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help=say("A new CSV file for the lines left out.", "将略去的行写入新的 CSV 文件。")),
    ] = None,
    yes: Yes = False,
    config: ConfigFile = None,
    store: StoreAddress = "",
) -> None:
    from hub.cli.code_tables import Wishes, import_table
    from hub.cli.codes import holds_decisions, import_codes
    from hub.store.opening import choose
    from hub.terminology.importing.bringing import Asked

    choose(store)
    if not kind and holds_decisions(file):
        raise typer.Exit(import_codes(data, file, yes=yes, config=config))
    asked = Asked(file.name, kind, system, edition, title)
    raise typer.Exit(import_table(data, file, asked, Wishes(yes, preview, problems), config))


def codes_kinds(
    data: Annotated[
        Path | None, typer.Option("--data", file_okay=False, help=say("With the county's own.", "含本县自定义。"))
    ] = None,
    config: ConfigFile = None,
) -> None:
    from hub.cli.code_tables import list_kinds

    raise typer.Exit(list_kinds(data, config))


def codes_tables(data: DataFolder, json_output: Json = False, config: ConfigFile = None, store: StoreAddress = "") -> None:
    from hub.cli.code_tables import list_tables
    from hub.store.opening import choose

    choose(store)
    raise typer.Exit(list_tables(data, as_json=json_output, config=config))
