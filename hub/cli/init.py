"""`yitong init`: a data folder with a commented county.toml to begin from. What is there is never written over."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from hub.cli.desk import out
from hub.cli.language import say
from hub.cli.toml import text_of
from hub.errors import Invalid
from hub.settings import load_county

USUAL_NAME = "示范县医共体"
CODE = re.compile(r"[A-Za-z0-9.\-]{1,32}")
HEAD = """\
# {title}
# Yitong Hub reads this file when it starts. Lines that begin with # are explanations; remove the # to use one.
# 平台启动时读取本文件。以 # 开头的是说明;去掉 # 即生效。

[county]
name = {name}
# code = "339900"                # administrative division code · 行政区划代码
# catalogue = "county-demo"      # which recognition catalogue is in force · 互认目录
"""
FACILITY = """
[[facility]]
code = {code}
name = {name}
# kind = "A100"                  # WS 218 facility type · 卫生机构类别
# grade = "二级甲等"
# parent = ""                    # code of the facility it belongs to · 上级机构代码
# community = "demo"             # members of one community recognise one another's results · 医共体
"""
TAIL = """
# Every system that sends, or is read, is a [[channel]]. `yitong connect TYPE` writes one and tries it out first.
# 每个来源系统是一个 [[channel]]。用 `yitong connect 类型` 测试并写入。
#
# [[channel]]
# name = "{lower}-lis"
# connector = "hl7v2_mllp"       # `yitong connect` lists them · 查看全部连接器
# facility = {code}
# host = "0.0.0.0"
# port = 2575
# charset = "GB18030"            # where MSH-18 says nothing · MSH-18 未声明时
# maps = ["{lower}-item"]        # ConceptMaps: concept_maps/{lower}-item.json beside this file · 代码映射

# When a channel is silent, behind or failing, an alert says so on /ops and to the webhook.
# 通道静默、积压或出错时告警。
#
# [[alert]]
# channel = "{lower}-lis"        # leave out: every channel · 不填:全部通道
# silence_minutes = 120
# backlog = 1000
# error_percent = 5
# quiet = ["22:00-06:00"]        # no alert of silence in these hours · 静默告警豁免时段
# webhook = "https://alarm.county.example/hook"
"""


def init(folder: Path, *, name: str, facilities: list[str], yes: bool) -> int:
    """Exit code 0; 1 if there was a county.toml already, which stays as it is."""
    path = folder / "county.toml"
    if path.exists():
        told = say(f"{path} is there already; nothing was changed.", f"{path} 已存在,未作更改。")
        out.print(told, style="yellow", soft_wrap=True)
        return 1
    asking = sys.stdin.isatty() and not yes
    if asking and not name:
        name = _ask(say("The county's or community's name", "县(市)或医共体名称"), USUAL_NAME)
    name = name or USUAL_NAME
    stated = [_facility(text) for text in facilities]
    if asking and not stated:
        stated = _asked_facilities()
    stated = stated or [("CTY", "示范县人民医院")]
    _write(path, _text(name, stated))
    county = load_county(path)
    facilities_said = "1 facility" if len(county.facilities) == 1 else f"{len(county.facilities)} facilities"
    out.print(
        say(
            f"{path} is written: {facilities_said}. Next:",
            f"已写入 {path}:{len(county.facilities)} 家机构。下一步:",
        ),
        style="green",
        soft_wrap=True,
    )
    out.print(f"  yitong connect --data {folder}", soft_wrap=True)
    out.print(f"  yitong doctor --data {folder}", soft_wrap=True)
    out.print(f"  yitong serve --data {folder}", soft_wrap=True)
    return 0


def _ask(question: str, default: str) -> str:
    import typer

    return str(typer.prompt(question, default=default))


def _asked_facilities() -> list[tuple[str, str]]:
    """One after the other; an empty answer ends."""
    import typer

    found: list[tuple[str, str]] = []
    while True:
        question = say("A facility as CODE=NAME (empty: no more)", "机构,写作 代码=名称(留空结束)")
        text = str(typer.prompt(question, default="", show_default=False))
        if not text.strip():
            return found
        try:
            found.append(_facility(text))
        except Invalid as error:
            out.print(error.message, style="red")


def _facility(text: str) -> tuple[str, str]:
    code, equals, name = (part.strip() for part in text.partition("="))
    if not equals or not name or not CODE.fullmatch(code):
        raise Invalid(
            say(
                f"--facility {text[:60]}: write CODE=NAME; the code has up to 32 letters, digits, dots and dashes",
                f"--facility {text[:60]}:写作 代码=名称;代码为至多 32 个字母、数字、点或短横",
            )
        )
    return code, name


def _text(name: str, facilities: list[tuple[str, str]]) -> str:
    codes = [code for code, _ in facilities]
    twice = next((code for code in codes if codes.count(code) > 1), None)
    if twice:
        raise Invalid(say(f"facility {twice} is named twice", f"机构 {twice} 重复"))
    first = codes[0]
    parts = [HEAD.format(title=name.replace("\n", " "), name=text_of(name))]
    parts += [FACILITY.format(code=text_of(code), name=text_of(title)) for code, title in facilities]
    parts.append(TAIL.format(lower=re.sub(r"[^a-z0-9]", "", first.lower()) or "his", code=text_of(first)))
    return "".join(parts)


def _write(path: Path, text: str) -> None:
    """There whole or not at all, and only if it was not there."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    except FileExistsError:
        raise Invalid(f"{path} is there already") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
