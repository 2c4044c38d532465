"""Options that several commands take alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub.cli.language import say

DataFolder = Annotated[Path, typer.Option("--data", help=say("The hub's data folder.", "平台的数据目录。"), file_okay=False)]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help=say("county.toml; default: DATA/county.toml.", "county.toml;默认为 DATA/county.toml。")),
]
StoreAddress = Annotated[
    str, typer.Option("--store", help=say("mongodb://…; default: $YITONG_STORE.", "mongodb://…;默认取 $YITONG_STORE。"))
]
Json = Annotated[bool, typer.Option("--json", help=say("Machine-readable.", "输出 JSON。"))]
Yes = Annotated[bool, typer.Option("--yes", "-y", help=say("Do not ask.", "不再询问。"))]
Channel = Annotated[str, typer.Option(help=say("Only of this channel, e.g. cty-lis.", "仅此通道,如 cty-lis。"))]
Kind = Annotated[
    str, typer.Option(help=say("Only this kind: hl7v2, cda, dicom, row, row/v_patient …", "仅此类型:hl7v2、cda、dicom、row …"))
]
Since = Annotated[
    str, typer.Option(help=say("Received at or after: 2026-05-01 or …T08:00:00+08:00.", "接收时间不早于,如 2026-05-01。"))
]
Until = Annotated[str, typer.Option(help=say("Received before.", "接收时间早于。"))]
Cause = Annotated[
    str, typer.Option(help=say("Dead for this cause, as `yitong messages causes` writes it.", "死信原因,见 messages causes。"))
]
Patient = Annotated[
    str,
    typer.Option(help=say("A number, a name, or Patient/ID of the hub.", "患者号、姓名,或平台的 Patient/ID。")),
]
Control = Annotated[str, typer.Option("--control-id", help=say("MSH-10, or the source's key.", "MSH-10 或来源主键。"))]
State = Annotated[
    str, typer.Option(help=say("waiting, done, dead, conflict or discarded.", "waiting、done、dead、conflict 或 discarded。"))
]
Words = Annotated[str, typer.Option(help=say("Words that all stand in it; Chinese needs no spaces.", "包含的词,中文无需空格。"))]
Limit = Annotated[int, typer.Option(min=1, max=1000, help=say("How many.", "条数。"))]
Before = Annotated[int, typer.Option(min=0, help=say("Only below this number: the next page.", "仅此序号之前:下一页。"))]
