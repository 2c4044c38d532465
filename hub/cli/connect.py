"""`yitong connect TYPE`: ask, try out step by step, show what would come of five records, write the channel into county.toml."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

import connectors
from connectors.base import SourceRecord
from connectors.registry import Manifest, config_model, manifests
from hub.cli.desk import ask_yes, err, out
from hub.cli.language import say
from hub.cli.options import Option, hidden, options_of, stated, value_of
from hub.cli.probe import Step, probe
from hub.cli.toml import append_table, table_of
from hub.errors import Invalid
from hub.ingest.contexts import context_of
from hub.ingest.preview import Preview, previewed
from hub.settings import Channel, County, load_county

COMMON = frozenset({"host", "port", "folder", "ae_title", "url_env", "url_file", "base_url"})
"""Options that are asked for though they have a default: the others have one that fits most."""

NAME = re.compile(r"[a-z0-9][a-z0-9\-]{0,63}")
MARKS = {True: ("✓", "green"), False: ("✗", "red")}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says."""

    name: str = ""
    facility: str = ""
    charset: str = ""
    maps: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    yes: bool = False
    unchecked: bool = False  # write it though it could not be tried out


def connect(connector: str, asked: Asked, *, data: Path, config: Path | None) -> int:
    """Exit code 0 written; 1 not written, because a step failed or the person said no."""
    manifest = manifests().get(connector)
    if manifest is None:
        raise Invalid(
            say(
                f"no connector {connector}; there are {', '.join(manifests())}",
                f"没有连接器 {connector};现有:{'、'.join(manifests())}",
            )
        )
    path = config or data / "county.toml"
    county = load_county(path if path.exists() else None)
    model_options = options_of(config_model(manifest))
    channel = _channel(manifest, asked, county, model_options)
    _refuse_twice(channel, county)
    if not _tried(channel, path, county) and not asked.unchecked:
        err.print(say("Nothing was written; --unchecked writes it all the same.", "未写入;--unchecked 可强制写入。"), style="red")
        return 1
    values = _table(channel, asked)
    out.print(Text(table_of("channel", {**values, **hidden(channel.options, model_options)})))
    if not ask_yes(say(f"Write it into {path}?", f"写入 {path}?"), yes=asked.yes):
        err.print(say("Nothing was written; --yes writes without asking.", "未写入;--yes 可免询问。"))
        return 1
    append_table(path, "channel", {**values, **channel.options}, comment=f"yitong connect {connector}")
    out.print(
        say(
            f"{path} has the channel {channel.name}; a running hub reads it at its next start.",
            f"通道 {channel.name} 已写入 {path};重启后生效。",
        ),
        style="green",
        soft_wrap=True,
    )
    return 0


def list_connectors() -> int:
    table = Table(box=None, pad_edge=False)
    for name in (say("type", "类型"), say("how", "方式"), say("what", "说明"), say("records", "记录")):
        table.add_column(name)
    for manifest in manifests().values():
        how = say("listens", "监听") if manifest.listens else say("asks", "轮询")
        table.add_row(manifest.name, how, Text(manifest.title or _headline(manifest)), Text(", ".join(manifest.produces)))
    out.print(table)
    out.print(say("Options of one: yitong connect TYPE --explain", "查看选项:yitong connect 类型 --explain"), style="dim")
    return 0


def _headline(manifest: Manifest) -> str:
    """Of its README, where the manifest gives no title."""
    readme = Path(connectors.__file__ or "").parent / manifest.name / "README.md"
    first = readme.read_text("utf-8").partition("\n")[0] if readme.is_file() else ""
    return first.lstrip("# ").strip()


def explain(connector: str) -> int:
    manifest = manifests().get(connector)
    if manifest is None:
        raise Invalid(
            say(
                f"no connector {connector}; there are {', '.join(manifests())}",
                f"没有连接器 {connector};现有:{'、'.join(manifests())}",
            )
        )
    table = Table(box=None, pad_edge=False)
    for name in (say("option", "选项"), say("value", "值"), say("default", "默认"), say("what it does", "说明")):
        table.add_column(name)
    for option in options_of(config_model(manifest)):
        default = say("required", "必填") if option.required else option.default
        table.add_row(option.name, option.kind, Text(default), Text(option.says))
    out.print(table)
    out.print(
        say("Each as --option NAME=VALUE; a.b=… for a value within a table.", "写作 --option 名称=值;表内的值写作 a.b=…"),
        style="dim",
    )
    return 0


def _channel(manifest: Manifest, asked: Asked, county: County, options: tuple[Option, ...]) -> Channel:
    asking = sys.stdin.isatty() and not asked.yes
    facility = asked.facility
    known = [each.code for each in county.facilities]
    if asking and not facility and known:
        facility = _ask(say(f"Whose system is it? {', '.join(known)}", f"属于哪家机构?{'、'.join(known)}"), known[0])
    if facility and known and facility not in known:
        raise Invalid(
            say(
                f"no facility {facility} in county.toml; there are {', '.join(known)}",
                f"county.toml 中没有机构 {facility};现有:{'、'.join(known)}",
            )
        )
    usual = f"{(facility or 'all').lower()}-{manifest.name.partition('_')[0]}"
    name = asked.name or (_ask(say("A name for the channel", "通道名称"), usual) if asking else usual)
    if not NAME.fullmatch(name):
        raise Invalid(
            say(f"--name {name[:64]}: small letters, digits and dashes", f"--name {name[:64]}:只能用小写字母、数字和短横")
        )
    values = stated(asked.options)
    if asking:
        for option in options:
            if option.name not in values and (option.required or option.name in COMMON):
                _ask_option(option, values)
    given: Mapping[str, Any] = {"charset": asked.charset} if asked.charset else {}
    return Channel(
        name=name, connector=manifest.name, facility=facility, maps=asked.maps, tables=asked.tables, options=values, **given
    )


def _ask(question: str, default: str) -> str:
    import typer

    return str(typer.prompt(question, default=default))


def _ask_option(option: Option, values: dict[str, Any]) -> None:
    import typer

    if option.says:
        out.print(Text(f"  {option.name}: {option.says}", "dim"), soft_wrap=True)
    default = option.default.strip('"')
    text = str(
        typer.prompt(f"  {option.name} ({option.kind})", default=default, show_default=bool(default), hide_input=option.secret)
    )
    if text and text != default:
        values[option.name] = value_of(text)


def _refuse_twice(channel: Channel, county: County) -> None:
    """One source read by two channels would be two sources; one port cannot be taken twice."""
    for other in county.channels:
        if other.name == channel.name:
            raise Invalid(
                say(
                    f"county.toml has a channel {channel.name} already; name it otherwise",
                    f"county.toml 已有通道 {channel.name},请换名",
                )
            )
        if other.connector == channel.connector and _source(other) == _source(channel):
            raise Invalid(say(f"the channel {other.name} is of the same source already", f"通道 {other.name} 已连接同一来源"))
        taken = _port(channel)
        if taken and _port(other) == taken and manifests()[other.connector].listens:
            raise Invalid(say(f"the channel {other.name} listens on port {taken} already", f"通道 {other.name} 已占用端口 {taken}"))


def _source(channel: Channel) -> Any:
    names = ("url", "url_env", "url_file", "views", "folder", "base_url", "host", "port", "ae_title", "patterns", "path")
    return {name: channel.options[name] for name in names if name in channel.options}


def _port(channel: Channel) -> int:
    manifest = manifests().get(channel.connector)
    if manifest is None or not manifest.listens:
        return 0
    usual = next((option.default for option in options_of(config_model(manifest)) if option.name == "port"), "0")
    port = channel.options.get("port", usual)
    return int(port) if str(port).isdigit() else 0


def _tried(channel: Channel, path: Path, county: County) -> bool:
    context = context_of(channel, path.parent, county.validation)  # its maps and tables are there and can be read
    samples: list[SourceRecord] = []
    well = True
    for number, step in enumerate(probe(channel, samples), 1):
        _say(number, step)
        well = well and step.ok
    if samples:
        for number, each in enumerate(previewed(samples, context), 1):
            _sample(number, each)
    return well


def _say(number: int, step: Step) -> None:
    mark, style = MARKS[step.ok]
    out.print(Text(f"{number} {mark} {step.name}: {step.found}", style), soft_wrap=True)
    if step.fix:
        out.print(Text(f"    → {step.fix}"), soft_wrap=True)


def _sample(number: int, found: Preview) -> None:
    """Masked: whoever connects a system need not read its patients."""
    made = ", ".join(str(each["resourceType"]) for each in found.resources) or say("nothing", "无")
    out.print(Text(f"  {number}. {found.kind} → {made}"), soft_wrap=True)
    if found.reason:
        out.print(Text(f"     ✗ {found.reason}", "red"), soft_wrap=True)
    for node in found.tree[:40]:
        if node.value:
            out.print(Text(f"     {node.where} = {node.value}", "dim"), soft_wrap=True)
    for issue in found.issues[:5]:
        out.print(Text(f"     ! {issue.code} {issue.where} {issue.value} {issue.detail}", "yellow"), soft_wrap=True)


def _table(channel: Channel, asked: Asked) -> dict[str, Any]:
    stated: dict[str, Any] = {"name": channel.name, "connector": channel.connector}
    more = (("facility", channel.facility), ("charset", channel.charset), ("maps", asked.maps), ("tables", asked.tables))
    return {**stated, **{name: value for name, value in more if value}}
