"""The workbench's commands about maps, codes and the outbox. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub.cli.arguments import Channel, ConfigFile, DataFolder, Json, Kind, Limit, Since, StoreAddress, Until, Yes
from hub.cli.language import say
from hub.cli.table_commands import add_table_commands

map_app = typer.Typer(
    help=say(
        "See what a file would become, what a changed map would change, whether tables do what they promise.",
        "预览文件的映射结果、比较映射改动、运行表定义的示例。",
    ),
    no_args_is_help=True,
)
codes_app = typer.Typer(
    help=say(
        "Codes that nothing maps: list with proposals, confirm, take to a spreadsheet and back. And the tables they are from.",
        "未映射代码:带建议列出、确认、导出与导入表格;以及标准代码表的导入与查看。",
    ),
    no_args_is_help=True,
)


outbox_app = typer.Typer(
    help=say(
        "What the hub reports back to facilities' systems: how each destination stands, what is dead, send again.",
        "回传给各机构系统的报告:各目的地状态、死信、重新发送。",
    ),
    no_args_is_help=True,
)


# ---------------------------------------------------------------- maps

A_FILE = typer.Argument(
    exists=True, dir_okay=False, help=say("HL7 v2, CDA, DICOM, or JSON rows.", "HL7 v2、CDA、DICOM 或 JSON 行。")
)


@map_app.command(
    "preview",
    help=say(
        """What the file would become, field by field; nothing is stored. Values are masked unless --open. Exit 1: not mapped.

        Example: yitong map preview oru.hl7 --data /srv/yitong --channel cty-lis""",
        """文件的映射结果,逐字段说明;不存储。除非 --open,值均遮蔽。无法映射时退出码为 1。

        示例:yitong map preview oru.hl7 --data /srv/yitong --channel cty-lis""",
    ),
)
def map_preview(
    file: Annotated[Path, A_FILE],
    data: Annotated[Path | None, typer.Option("--data", file_okay=False, help=say("For --channel.", "配合 --channel。"))] = None,
    config: ConfigFile = None,
    channel: Annotated[str, typer.Option(help=say("By the maps of this channel.", "按此通道的映射。"))] = "",
    kind: Annotated[
        str, typer.Option(help=say("hl7v2, cda, dicom, row/v_patient; default: by its bytes.", "类型;默认由内容判断。"))
    ] = "",
    facility: Annotated[str, typer.Option(help=say("Whose record it is.", "所属机构。"))] = "",
    opened: Annotated[bool, typer.Option("--open", help=say("Unmasked.", "不遮蔽。"))] = False,
    json_output: Json = False,
) -> None:
    from hub.cli.mapping import map_preview as run

    raise typer.Exit(
        run(file, data=data, config=config, channel=channel, kind=kind, facility=facility, opened=opened, as_json=json_output)
    )


@map_app.command(
    "diff",
    help=say(
        """Map stored messages by the county.toml in force and by a new one, and tell what differs in FHIR, before it goes live.

        Exit 1 if anything is worse: fewer resources, more issues, no longer mapped. Values are masked.

        Example: yitong map diff --data /srv/yitong --new /root/new/county.toml --channel cty-lis --last 1000""",
        """用现行与新的 county.toml 分别映射已存消息,上线前比较 FHIR 差异。

        若有变差(资源减少、问题增多、无法映射)退出码为 1。值均遮蔽。

        示例:yitong map diff --data /srv/yitong --new /root/new/county.toml --channel cty-lis --last 1000""",
    ),
)
def map_diff(
    data: DataFolder,
    new: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help=say("The new county.toml; maps beside it.", "新的 county.toml。"))
    ],
    old: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help=say("Default: the one in force.", "默认为现行文件。"))
    ] = None,
    channel: Channel = "",
    kind: Kind = "",
    since: Since = "",
    until: Until = "",
    last: Annotated[int, typer.Option(min=1, help=say("So many of the newest that match.", "最新的若干条。"))] = 1000,
    accept: Annotated[bool, typer.Option("--accept", help=say("Exit 0 though something is worse.", "变差也返回 0。"))] = False,
    json_output: Json = False,
    store: StoreAddress = "",
) -> None:
    from hub.cli.mapping import map_diff as run
    from hub.ingest.messages import Query
    from hub.store.opening import choose

    choose(store)
    query = Query(source=channel, kind=kind, since=since, until=until)
    raise typer.Exit(run(data, new=new, old=old, query=query, last=last, as_json=json_output, accept=accept))


@map_app.command(
    "test",
    help=say(
        "Run the [[example]] blocks of a file of declared row tables. Exit 1 if one does not hold.",
        "运行行表定义文件中的 [[example]]。有未通过的则退出码为 1。",
    ),
)
def map_test(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help=say("tables/his.toml", "tables/his.toml"))],
) -> None:
    from hub.cli.mapping import map_test as run

    raise typer.Exit(run(file))


# ---------------------------------------------------------------- codes

System = Annotated[str, typer.Option(help=say("Only of this code system, e.g. urn:hub:CTY:item.", "仅此代码系统。"))]


@codes_app.command(
    "list",
    help=say(
        "Codes by how many records hold them, each with a proposal. Exit 1 if there are any.",
        "按记录数列出未映射代码及建议。有则退出码为 1。",
    ),
)
def codes_list(
    data: DataFolder,
    system: System = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help=say("How many.", "条数。"))] = 50,
    json_output: Json = False,
    config: ConfigFile = None,
    store: StoreAddress = "",
) -> None:
    from hub.cli.codes import list_codes
    from hub.store.opening import choose

    choose(store)
    raise typer.Exit(list_codes(data, system=system, limit=limit, as_json=json_output, config=config))


@codes_app.command(
    "confirm",
    help=say(
        """Say what a code means: a ConceptMap is written and taken up without a restart, its records are mapped again.

        Example: yitong codes confirm --data /srv/yitong urn:hub:CTY:item XQJ --to http://loinc.org 2823-3
        By the first proposal: --suggested. It shall stay a local code: --local.""",
        """确认代码含义:写入 ConceptMap,无需重启,并重新映射相关记录。

        示例:yitong codes confirm --data /srv/yitong urn:hub:CTY:item XQJ --to http://loinc.org 2823-3
        采用首个建议:--suggested;保留为本地代码:--local。""",
    ),
)
def codes_confirm(
    system: Annotated[str, typer.Argument(help=say("The source's code system.", "来源代码系统。"))],
    code: Annotated[str, typer.Argument(help=say("The source's code.", "来源代码。"))],
    data: DataFolder,
    to: Annotated[tuple[str, str], typer.Option(help=say("System and code that it means.", "目标系统与代码。"))] = ("", ""),
    display: Annotated[str, typer.Option(help=say("What the target is called.", "目标名称。"))] = "",
    equivalence: Annotated[str, typer.Option(help="equivalent, wider, narrower, inexact …")] = "equivalent",
    local: Annotated[bool, typer.Option("--local", help=say("It stays a local code.", "保留本地代码。"))] = False,
    suggested: Annotated[bool, typer.Option("--suggested", help=say("By the first proposal.", "采用首个建议。"))] = False,
    yes: Yes = False,
    config: ConfigFile = None,
    store: StoreAddress = "",
) -> None:
    from hub.cli.codes import confirm_code
    from hub.errors import Invalid
    from hub.ingest.gaps import Confirmation
    from hub.store.opening import choose

    choose(store)
    if sum((local, suggested, bool(to[1]))) != 1:
        raise Invalid(say("say one of --to SYSTEM CODE, --local and --suggested", "--to、--local、--suggested 须选其一"))
    decision = Confirmation(system, code, *to, display, "unmatched" if local else equivalence)
    raise typer.Exit(confirm_code(data, decision, suggested=suggested, yes=yes, config=config))


@codes_app.command("export", help=say("Write the gaps into a CSV file for a spreadsheet.", "导出未映射代码为 CSV 表格。"))
def codes_export(
    file: Annotated[Path, typer.Argument(dir_okay=False, help=say("A new file: codes.csv.", "新文件:codes.csv。"))],
    data: DataFolder,
    system: System = "",
    config: ConfigFile = None,
    store: StoreAddress = "",
) -> None:
    from hub.cli.codes import export_codes
    from hub.store.opening import choose

    choose(store)
    raise typer.Exit(export_codes(data, file, system=system, config=config))


add_table_commands(codes_app)


# ---------------------------------------------------------------- outbox

Destination = Annotated[str, typer.Option(help=say("Only of this [[destination]].", "仅此目的地。"))]
Sent = Annotated[str, typer.Option(help=say("waiting, sent, dead or skipped.", "waiting、sent、dead 或 skipped。"))]


@outbox_app.command(
    "list",
    help=say("Each destination: what waits, was sent, is dead. Exit 1 if one has trouble.", "各目的地状态;有问题则退出码为 1。"),
)
def outbox_list(data: DataFolder, json_output: Json = False, config: ConfigFile = None, store: StoreAddress = "") -> None:
    from hub.cli.outbox import list_lanes
    from hub.store.opening import choose

    choose(store)
    raise typer.Exit(list_lanes(data, as_json=json_output, config=config))


@outbox_app.command("items", help=say("Reports one by one, with why they failed.", "逐条列出报告及失败原因。"))
def outbox_items(
    data: DataFolder,
    destination: Destination = "",
    state: Sent = "",
    limit: Limit = 50,
    json_output: Json = False,
    config: ConfigFile = None,
    store: StoreAddress = "",
) -> None:
    from hub.cli.outbox import list_items
    from hub.store.opening import choose

    choose(store)
    raise typer.Exit(list_items(data, destination=destination, state=state, limit=limit, as_json=json_output, config=config))


@outbox_app.command(
    "replay",
    help=say(
        """Send again, of each record its newest version only, after counting and asking.

        Example: yitong outbox replay --data /srv/yitong --destination twp-his --state dead""",
        """重新发送(每条记录仅最新版本),先计数并询问。

        示例:yitong outbox replay --data /srv/yitong --destination twp-his --state dead""",
    ),
)
def outbox_replay(
    data: DataFolder,
    destination: Destination = "",
    state: Sent = "dead",
    number: Annotated[list[int] | None, typer.Option(help=say("Only this one; several times.", "仅此条;可多次使用。"))] = None,
    yes: Yes = False,
    config: ConfigFile = None,
    store: StoreAddress = "",
) -> None:
    from hub.cli.outbox import send_again
    from hub.store.opening import choose

    choose(store)
    raise typer.Exit(send_again(data, destination=destination, state=state, numbers=tuple(number or ()), yes=yes, config=config))
