"""The workbench's commands: init, connect, messages; more in hub.cli.map_commands. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub.cli.arguments import (
    Before,
    Cause,
    Channel,
    ConfigFile,
    Control,
    DataFolder,
    Json,
    Kind,
    Limit,
    Patient,
    Since,
    State,
    StoreAddress,
    Until,
    Words,
    Yes,
)
from hub.cli.directory_commands import directory_app
from hub.cli.identity_commands import identity_app
from hub.cli.language import say
from hub.cli.map_commands import codes_app, map_app, outbox_app
from hub.cli.recognition_commands import recognition_app

messages_app = typer.Typer(
    help=say(
        "Find messages, look at one, see why some are dead. Personal data is masked.",
        "查找消息、查看单条、了解死信原因。个人信息默认遮蔽。",
    ),
    no_args_is_help=True,
)


def add_to(app: typer.Typer) -> None:
    app.command("init", help=INIT)(init)
    app.command("connect", help=CONNECT)(connect)
    app.add_typer(messages_app, name="messages")
    app.add_typer(map_app, name="map")
    app.add_typer(codes_app, name="codes")
    app.add_typer(outbox_app, name="outbox")
    app.add_typer(identity_app, name="identity")
    app.add_typer(directory_app, name="directory")
    app.add_typer(recognition_app, name="recognition")


INIT = say(
    """Make a data folder with a commented county.toml to begin from. What is there stays as it is.

    Example: yitong init /srv/yitong --name 示范县医共体 --facility CTY=示范县人民医院 --facility TWP=东镇卫生院""",
    """新建数据目录和带注释的 county.toml。已有文件不会被改动。

    示例:yitong init /srv/yitong --name 示范县医共体 --facility CTY=示范县人民医院 --facility TWP=东镇卫生院""",
)
CONNECT = say(
    """Connect a system: asks for its options, tries them out step by step (name, address, login, query), shows five records as they
    would be mapped, masked, and writes the [[channel]] into county.toml, whose comments stay.

    Without TYPE it lists the connectors; with --explain it tells all options of one. Passwords belong into an environment variable
    or a file that an option names, never into county.toml.

    Example: yitong connect hl7v2_mllp --data /srv/yitong --facility CTY --name cty-lis --option port=2575 --yes""",
    """接入一个系统:询问选项,逐步测试(域名、网络、登录、查询),以遮蔽方式显示五条记录的映射结果,再写入 county.toml(保留注释)。

    不带 TYPE 时列出全部连接器;--explain 说明某个连接器的选项。密码应放在环境变量或文件中,不写入 county.toml。

    示例:yitong connect hl7v2_mllp --data /srv/yitong --facility CTY --name cty-lis --option port=2575 --yes""",
)


def init(
    folder: Annotated[Path, typer.Argument(help=say("The data folder to make.", "要新建的数据目录。"), file_okay=False)] = Path(
        "yitong-data"
    ),
    name: Annotated[str, typer.Option(help=say("The county's or community's name.", "县(市)或医共体名称。"))] = "",
    facility: Annotated[
        list[str] | None, typer.Option(help=say("CODE=NAME; may be given several times.", "代码=名称;可多次使用。"))
    ] = None,
    yes: Yes = False,
) -> None:
    from hub.cli.init import init as run

    raise typer.Exit(run(folder, name=name, facilities=facility or [], yes=yes))


def connect(
    connector: Annotated[
        str, typer.Argument(metavar="[TYPE]", help=say("hl7v2_mllp, sql, files …", "hl7v2_mllp、sql、files …"))
    ] = "",
    data: DataFolder = Path("yitong-data"),
    config: ConfigFile = None,
    name: Annotated[str, typer.Option(help=say("The channel's name.", "通道名称。"))] = "",
    facility: Annotated[str, typer.Option(help=say("Code of the facility whose system it is.", "所属机构代码。"))] = "",
    charset: Annotated[str, typer.Option(help=say("Where records declare none: GB18030 …", "记录未声明时的字符集。"))] = "",
    maps: Annotated[list[str] | None, typer.Option("--map", help=say("A ConceptMap's name.", "代码映射名称。"))] = None,
    tables: Annotated[list[str] | None, typer.Option("--table", help=say("A file of row tables.", "行表定义文件。"))] = None,
    option: Annotated[list[str] | None, typer.Option(help=say("NAME=VALUE, several times.", "名称=值,可多次使用。"))] = None,
    explain: Annotated[bool, typer.Option("--explain", help=say("Tell all options of TYPE.", "列出该类型的全部选项。"))] = False,
    unchecked: Annotated[bool, typer.Option("--unchecked", help=say("Write it though it failed.", "测试失败也写入。"))] = False,
    yes: Yes = False,
) -> None:
    from hub.cli import connect as command

    if not connector:
        raise typer.Exit(command.list_connectors())
    if explain:
        raise typer.Exit(command.explain(connector))
    asked = command.Asked(
        name, facility, charset, tuple(maps or ()), tuple(tables or ()), tuple(option or ()), yes=yes, unchecked=unchecked
    )
    raise typer.Exit(command.connect(connector, asked, data=data, config=config))


# ---------------------------------------------------------------- messages


def _list(data: Path, store: str, limit: int, as_json: bool, config: Path | None, **asked: str | int) -> None:
    from hub.cli.messages import list_messages
    from hub.ingest.messages import Query
    from hub.store.opening import choose

    choose(store)
    query = Query(**asked)  # type: ignore[arg-type]
    raise typer.Exit(list_messages(data, query, limit=limit, as_json=as_json, config=config))


LIST = say(
    """The newest first; every option narrows. Exit 1 if none matches.

    Example: yitong messages list --data /srv/yitong --channel cty-lis --state dead --since 2026-05-01""",
    """最新的在前;每个选项缩小范围。没有匹配时退出码为 1。

    示例:yitong messages list --data /srv/yitong --channel cty-lis --state dead --since 2026-05-01""",
)


@messages_app.command("list", help=LIST)
def messages_list(
    data: DataFolder,
    channel: Channel = "",
    kind: Kind = "",
    type: Annotated[str, typer.Option(help=say("ADT^A01, C0002 …", "ADT^A01、C0002 …"))] = "",
    state: State = "",
    cause: Cause = "",
    control: Control = "",
    patient: Patient = "",
    text: Words = "",
    since: Since = "",
    until: Until = "",
    before: Before = 0,
    limit: Limit = 50,
    json_output: Json = False,
    config: ConfigFile = None,
    store: StoreAddress = "",
) -> None:
    asked = {"source": channel, "kind": kind, "type": type, "state": state, "cause": cause, "control_id": control}
    times = {"since": since, "until": until}
    _list(data, store, limit, json_output, config, **asked, patient=patient, text=text, **times, before_seq=before)


@messages_app.command(
    "search",
    help=say(
        """Messages in which all these words stand, the newest first.

        Example: yitong messages search --data /srv/yitong 血清钾 危急""",
        """包含全部这些词的消息,最新的在前。

        示例:yitong messages search --data /srv/yitong 血清钾 危急""",
    ),
)
def messages_search(
    words: Annotated[list[str], typer.Argument(help=say("What stands in it.", "要查找的词。"))],
    data: DataFolder,
    channel: Channel = "",
    since: Since = "",
    until: Until = "",
    before: Before = 0,
    limit: Limit = 50,
    json_output: Json = False,
    config: ConfigFile = None,
    store: StoreAddress = "",
) -> None:
    asked = {"source": channel, "since": since, "until": until}
    _list(data, store, limit, json_output, config, text=" ".join(words), before_seq=before, **asked)


@messages_app.command(
    "discard",
    help=say(
        """Give dead records up for good, with a reason that the audit keeps: these numbers, or all that the options find.

        Nothing is deleted, and --undo makes them dead letters again. A replay passes them by, unless it names their numbers.

        Example: yitong messages discard --data /srv/yitong --channel cty-lis --cause 'no PID segment' --reason '测试数据' """,
        """永久放弃死信并写明理由(记入审计):指定序号,或选项匹配的全部。

        不删除任何数据;--undo 恢复为死信。重放时会跳过,除非按序号指定。

        示例:yitong messages discard --data /srv/yitong --channel cty-lis --cause 'no PID segment' --reason '测试数据' """,
    ),
)
def messages_discard(
    data: DataFolder,
    reason: Annotated[str, typer.Option(help=say("Why; the audit keeps it.", "原因;记入审计。"))],
    numbers: Annotated[list[int] | None, typer.Argument(help=say("Journal numbers.", "日志序号。"))] = None,
    channel: Channel = "",
    kind: Kind = "",
    cause: Cause = "",
    since: Since = "",
    until: Until = "",
    undo: Annotated[bool, typer.Option("--undo", help=say("Take it back.", "恢复。"))] = False,
    yes: Yes = False,
    config: ConfigFile = None,
    store: StoreAddress = "",
) -> None:
    from hub.cli.discarding import discard_messages
    from hub.ingest.messages import Query
    from hub.store.opening import choose

    choose(store)
    state = "discarded" if undo else "dead"
    query = Query(source=channel, kind=kind, state=state, cause=cause, since=since, until=until)
    raise typer.Exit(discard_messages(data, query, numbers or [], reason=reason, undo=undo, yes=yes, config=config))


@messages_app.command(
    "show",
    help=say(
        """One message: bytes, parts with their places, where each field went, FHIR, issues, other messages of the same resources.

        Personal data is masked. --open with --reason shows it, and an AuditEvent says who, which message, whose and why.

        Example: yitong messages show --data /srv/yitong 4711 --open --reason '家属来电核对' """,
        """单条消息:原文、各部分及位置、每个字段的去向、FHIR、问题、相关消息。

        个人信息默认遮蔽。--open 与 --reason 同用可显示,并记入审计。

        示例:yitong messages show --data /srv/yitong 4711 --open --reason '家属来电核对' """,
    ),
)
def messages_show(
    number: Annotated[int, typer.Argument(help=say("Its journal number.", "日志序号。"))],
    data: DataFolder,
    opened: Annotated[bool, typer.Option("--open", help=say("Unmasked; needs --reason.", "不遮蔽;需 --reason。"))] = False,
    reason: Annotated[str, typer.Option(help=say("Why; the audit keeps it.", "原因;记入审计。"))] = "",
    json_output: Json = False,
    config: ConfigFile = None,
    store: StoreAddress = "",
) -> None:
    from hub.cli.messages import show_message
    from hub.store.opening import choose

    choose(store)
    raise typer.Exit(show_message(data, number, opened=opened, reason=reason, as_json=json_output, config=config))


@messages_app.command("causes", help=say("Why messages are dead: causes by how many, per channel.", "死信原因,按通道与条数。"))
def messages_causes(
    data: DataFolder, channel: Channel = "", json_output: Json = False, config: ConfigFile = None, store: StoreAddress = ""
) -> None:
    from hub.cli.messages import list_causes
    from hub.store.opening import choose

    choose(store)
    raise typer.Exit(list_causes(data, source=channel, as_json=json_output, config=config))
