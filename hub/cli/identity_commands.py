"""`yitong identity …`. Each command imports what it needs when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.arguments import ConfigFile, DataFolder, Json, Limit, StoreAddress, Yes
from hub.cli.language import say

identity_app = typer.Typer(
    help=say(
        "Who is one person: doubts, two records side by side, link, set apart, split, merge, take back.",
        "谁和谁是同一个人:存疑列表、对照、关联、分开、分出、合并、撤回。",
    ),
    no_args_is_help=True,
)

Ids = Annotated[list[str], typer.Argument(help=say("Patient ids of the hub.", "平台内的 Patient 编号。"))]
Reason = Annotated[
    str, typer.Option("--reason", help=say("Why: kept with the decision and in the audit.", "理由:与决定一起保存,审计可查。"))
]


@identity_app.command(
    "doubts",
    help=say(
        """Pairs that a person has to decide, the newest first. Exit 1 if there are any.

        Example: yitong identity doubts --data /srv/yitong --facility CTY""",
        """需要人工判断的成对档案,最新在前。有存疑时退出码为 1。

        示例:yitong identity doubts --data /srv/yitong --facility CTY""",
    ),
)
def identity_doubts(
    data: DataFolder,
    state: Annotated[str, typer.Option(help="open, later, together, apart, all")] = "open",
    why: Annotated[str, typer.Option("--why", help=say("Only of this reason.", "仅此原因。"))] = "",
    facility: Annotated[str, typer.Option(help=say("Only with a Patient of this facility.", "仅涉及此机构。"))] = "",
    patient: Annotated[str, typer.Option(help=say("Only of this Patient id.", "仅此 Patient 编号。"))] = "",
    limit: Limit = 50,
    json_output: Json = False,
    config: ConfigFile = None,
    store: StoreAddress = "",
) -> None:
    from hub.cli.identity import list_doubts
    from hub.identity.review import Filter
    from hub.store.opening import choose

    choose(store)
    raise typer.Exit(list_doubts(data, Filter(state, why, facility, patient), limit=limit, as_json=json_output, config=config))


@identity_app.command(
    "show",
    help=say(
        """One Patient: all records of its person. Two: side by side, with what each element weighs. Masked unless --open.

        Example: yitong identity show PATIENT OTHER --data /srv/yitong --open "asked by the laboratory\"""",
        """一个编号:此人的全部档案;两个编号:并排对照及各项证据。除非 --open,值均遮蔽。

        示例:yitong identity show 编号 另一编号 --data /srv/yitong --open "检验科来电核对\"""",
    ),
)
def identity_show(
    ids: Ids,
    data: DataFolder,
    open_reason: Annotated[str, typer.Option("--open", help=say("Show values, for this reason.", "显示原值的理由。"))] = "",
    json_output: Json = False,
    config: ConfigFile = None,
    store: StoreAddress = "",
) -> None:
    from hub.cli.identity import show
    from hub.store.opening import choose

    choose(store)
    raise typer.Exit(show(data, ids, reason=open_reason, as_json=json_output, config=config))


def _deciding(act: str, help: str) -> None:
    """A command of its own for each decision: all take ids and a reason, ask, and say what was done."""

    @identity_app.command(act, help=help)
    def decide_identity(
        ids: Ids, data: DataFolder, reason: Reason, yes: Yes = False, config: ConfigFile = None, store: StoreAddress = ""
    ) -> None:
        from hub.cli.identity import decide
        from hub.store.opening import choose

        choose(store)
        raise typer.Exit(decide(data, act, ids, reason=reason, yes=yes, config=config))


for _act, _english, _chinese in (
    ("link", "Two Patients are one person.", "两份档案是同一个人。"),
    ("apart", "Two Patients are two persons, and stay so.", "两份档案不是同一个人,今后也不再自动关联。"),
    ("later", "Decide about two Patients later.", "这两份档案以后再定。"),
    ("unlink", "One Patient is not its person's: it leaves all others.", "一份档案不是此人的:与其他档案解除关联。"),
    ("split", "Several Patients leave their person together.", "几份档案一起分出,作为另一个人。"),
    ("merge", "All records of the first's person are the second's person's.", "第一个人的全部档案并入第二个人。"),
    ("undo", "Take back an operation (its id, as `link` and the others print it).", "撤回一次操作(编号见各命令的输出)。"),
):
    _deciding(_act, say(_english, _chinese))
