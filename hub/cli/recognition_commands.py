"""`yitong recognition …`. Each command imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub.cli.arguments import ConfigFile, DataFolder, StoreAddress, Yes
from hub.cli.language import say

recognition_app = typer.Typer(
    help=say(
        "Recognition catalogue and quality evidence: export, check, try on past orders, publish.",
        "互认目录与质评证据:导出、检查、在既往医嘱上试算、发布。",
    ),
    no_args_is_help=True,
)
Workbook = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help=say("A .xlsx file.", ".xlsx 文件。"))]
Version = Annotated[str, typer.Option(help=say("Another version than the file's.", "改用此版本号。"))]
FromDay = Annotated[str, typer.Option("--holds-from", help=say("Another day than the file's.", "改用此生效日期。"))]


@recognition_app.command("export", help=say("What holds, as Excel, to be changed.", "将现行目录或证据导出为 Excel。"))
def export(
    kind: Annotated[str, typer.Argument(help="catalogue | evidence")],
    file: Annotated[Path, typer.Argument(dir_okay=False, help=say("A new .xlsx file.", "新的 .xlsx 文件。"))],
    data: DataFolder,
    facility: Annotated[str, typer.Option(help=say("Whose catalogue; default: most facilities'.", "哪个机构所用的目录。"))] = "",
    config: ConfigFile = None,
    store: StoreAddress = "",
) -> None:
    from hub.cli.recognition import export_facts
    from hub.store.opening import choose

    choose(store)
    raise typer.Exit(export_facts(data, kind, file, facility, config))


@recognition_app.command(
    "check",
    help=say(
        "Read a workbook and name every wrong cell. Exit 1: something is wrong. It needs no hub.",
        "检查工作簿并列出所有有误的单元格;有误时退出码为 1。无需平台。",
    ),
)
def check(file: Workbook) -> None:
    from hub.cli.recognition import check_workbook

    raise typer.Exit(check_workbook(file))


@recognition_app.command(
    "what-if",
    help=say("What a workbook would have changed in past orders; nothing is published.", "在既往医嘱上试算;不发布。"),
)
def what_if(
    file: Workbook,
    data: DataFolder,
    first: Annotated[str, typer.Option("--from", help=say("Default: 30 days ago.", "默认 30 天前。"))] = "",
    last: Annotated[str, typer.Option("--to", help=say("Default: today.", "默认今天。"))] = "",
    config: ConfigFile = None,
    store: StoreAddress = "",
) -> None:
    from hub.cli.recognition import try_workbook
    from hub.store.opening import choose

    choose(store)
    raise typer.Exit(try_workbook(data, file, first, last, config))


@recognition_app.command("publish", help=say("Publish a workbook, after a look and a yes.", "查看差异并确认后发布。"))
def publish(
    file: Workbook,
    data: DataFolder,
    version: Version = "",
    holds_from: FromDay = "",
    yes: Yes = False,
    config: ConfigFile = None,
    store: StoreAddress = "",
) -> None:
    from hub.cli.recognition import publish_workbook
    from hub.store.opening import choose

    choose(store)
    raise typer.Exit(publish_workbook(data, file, {"version": version, "published": holds_from}, yes=yes, config=config))
