"""`yitong directory …`. Each command imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub.cli.arguments import ConfigFile, DataFolder, Json, StoreAddress, Yes
from hub.cli.language import say

directory_app = typer.Typer(
    help=say(
        "Facilities, departments and staff: take them in from CSV or Excel, see the tree, check a number.",
        "机构、科室与人员目录:从 CSV 或 Excel 导入、查看机构树、校验号码。",
    ),
    no_args_is_help=True,
)
Files = Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help=say("CSV or .xlsx.", "CSV 或 .xlsx。"))]


@directory_app.command(
    "import",
    help=say(
        """Take in organisations (机构代码, 机构名称), departments (机构代码, 科室代码, 科室名称) and staff (机构代码, 工号, 姓名).

        Each sheet is told by its header. Shows what is wrong with which row, and asks. Exit 1: some rows were left out.

        Example: yitong directory import 目录.xlsx --data /srv/yitong""",
        """导入机构(机构代码、机构名称…)、科室(机构代码、科室代码、科室名称…)与人员(机构代码、工号、姓名…),按表头识别。

        先逐行列出问题再询问。有行未导入时退出码为 1。

        示例:yitong directory import 目录.xlsx --data /srv/yitong""",
    ),
)
def directory_import(
    files: Files,
    data: DataFolder,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=say("Only look.", "仅检查。"))] = False,
    yes: Yes = False,
    config: ConfigFile = None,
    store: StoreAddress = "",
) -> None:
    from hub.cli.directory import import_directory
    from hub.store.opening import choose

    choose(store)
    raise typer.Exit(import_directory(data, files, dry_run=dry_run, yes=yes, config=config))


@directory_app.command("tree", help=say("Organisations as they are parts of each other.", "机构树。"))
def directory_tree(data: DataFolder, json_output: Json = False, config: ConfigFile = None, store: StoreAddress = "") -> None:
    from hub.cli.directory import show_tree
    from hub.store.opening import choose

    choose(store)
    raise typer.Exit(show_tree(data, as_json=json_output, config=config))


@directory_app.command(
    "check",
    help=say(
        """Is it a right number of this kind, and if not, which character is wrong. Exit 1 if one is wrong.

        Example: yitong directory check uscc 12330000470051726F""",
        """校验号码并指出哪一位有误。有误时退出码为 1。

        示例:yitong directory check uscc 12330000470051726F""",
    ),
)
def directory_check(
    kind: Annotated[str, typer.Argument(help="uscc, organization-code, ws218, registration, insurance, practising …")],
    numbers: Annotated[list[str], typer.Argument(help=say("Numbers.", "号码。"))],
) -> None:
    from hub.cli.directory import check_numbers

    raise typer.Exit(check_numbers(kind, numbers))
