"""The command `yitong`: each command imports what it needs when it runs, so `--help` answers at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from hub import __version__
from hub.cli import workbench_commands
from hub.errors import HubError

app = typer.Typer(
    name="yitong",
    help="""Yitong Hub (医通): take in every system's records, give back one FHIR R4 record.

\b
A first walk:  yitong demo
A real hub:    yitong init /srv/yitong; yitong connect --data /srv/yitong; yitong serve --data /srv/yitong
An account:    yitong token create --data /srv/yitong --name "Dr Li" --role clinician --facility CTY
What is wrong: yitong doctor --data /srv/yitong""",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
token_app = typer.Typer(help="Accounts: make, list and revoke bearer tokens.", no_args_is_help=True)
app.add_typer(token_app, name="token")
workbench_commands.add_to(app)

Data = Annotated[Path, typer.Option("--data", help="The hub's data folder (made if it is not there).", file_okay=False)]
Config = Annotated[Path | None, typer.Option("--config", help="county.toml; default: DATA/county.toml if it is there.")]

Store = Annotated[
    str,
    typer.Option("--store", help="mongodb://host/database, shared by several hubs; default: $YITONG_STORE, else the data folder."),
]

MAX_PORT = 65_535
err = Console(stderr=True)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if show:
        typer.echo(f"yitong {__version__}")
        raise typer.Exit


@app.command()
def serve(
    data: Data,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=MAX_PORT, help="FHIR and pages; 0 takes any free port.")] = 8000,
    mllp_port: Annotated[
        int | None, typer.Option(min=0, max=MAX_PORT, help="An MLLP listener for any facility (0: any free port).")
    ] = None,
    dicom_port: Annotated[
        int | None, typer.Option(min=0, max=MAX_PORT, help="A DICOM listener for any facility (0: any free port).")
    ] = None,
    config: Config = None,
    store: Store = "",
    processes: Annotated[
        int | None,
        typer.Option(min=1, max=64, envvar="YITONG_PROCESSES", help="How many answer HTTP; default: one a processor, at most 4."),
    ] = None,
    log_json: Annotated[bool, typer.Option("--log-json", help="Logs as a JSON object a line; or YITONG_LOG=json.")] = False,
) -> None:
    """Run the hub: FHIR API, pages, listeners, polling and pipeline, supervised by this one command.

    Without channels in county.toml it listens for MLLP on 2575 and DICOM on 11112 and watches DATA/inbox for files. Ctrl-C or
    SIGTERM stops it; kill -9 or a power cut loses nothing that was acknowledged.

    Several hubs, each with its own --data, may share one MongoDB --store. An address that holds a password belongs into the
    environment variable YITONG_STORE, or into a file that YITONG_STORE_FILE names.
    """
    from hub.cli.logs import set_up_logs
    from hub.cli.serve import run_server
    from hub.store.opening import choose

    choose(store)
    set_up_logs(as_json=log_json)
    run_server(data, host=host, port=port, mllp_port=mllp_port, dicom_port=dicom_port, config=config, processes=processes)


@app.command()
def demo(
    headless: Annotated[bool, typer.Option("--headless", help="Check as a client, print the table, stop.")] = False,
    people: Annotated[int, typer.Option(min=20, max=20_000, help="How many residents.")] = 200,
    data: Annotated[Path | None, typer.Option("--data", help="Data folder; default: a new temporary one.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same county.")] = 1,
) -> None:
    """Watch three facilities' systems flow into a hub, then look at the shared record in the browser.

    Everything is synthetic and stays on this machine. With --headless: exit 0 only if every line of the table holds.
    """
    from demo.run import run_demo

    raise typer.Exit(run_demo(headless=headless, people=people, data=data, seed=seed))


@app.command()
def doctor(
    data: Data,
    config: Config = None,
    store: Store = "",
    url: Annotated[str, typer.Option(help="Also ask a running hub at this address whether it is well.")] = "",
    json_output: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Numbered checks with cause and exact fix. Exit 0 all well, 1 warnings, 2 something is broken."""
    from hub.cli.doctor import run_doctor
    from hub.store.opening import choose

    choose(store)
    raise typer.Exit(run_doctor(data, config=config, url=url, as_json=json_output))


@app.command()
def replay(
    data: Data,
    seq: Annotated[list[int] | None, typer.Option(help="Journal number; may be given several times.")] = None,
    channel: Annotated[str, typer.Option(help="Only records of this channel, e.g. cty-lis.")] = "",
    kind: Annotated[str, typer.Option(help="Only this kind: hl7v2, cda, dicom, row/v_patient …")] = "",
    state: Annotated[str, typer.Option(help="Only records in this state: dead or done.")] = "",
    since: Annotated[str, typer.Option(help="Only received at or after: 2026-05-01T00:00:00+08:00")] = "",
    until: Annotated[str, typer.Option(help="Only received before.")] = "",
    cause: Annotated[str, typer.Option(help="Only dead for this cause, as `yitong messages causes` writes it.")] = "",
    text: Annotated[str, typer.Option(help="Only in which these words stand.")] = "",
    patient: Annotated[str, typer.Option(help="Only of this patient: a number, a name, or Patient/ID of the hub.")] = "",
    control_id: Annotated[str, typer.Option(help="Only with this MSH-10, or source's key.")] = "",
    rate: Annotated[float, typer.Option(min=0, help="Records a second at most; 0: as fast as it goes.")] = 0,
    paused: Annotated[bool, typer.Option("--paused", help="Leave the request, but do not begin: see --resume.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be replayed, and show three of them.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask. Without a terminal nobody is asked anyway.")] = False,
    requests: Annotated[bool, typer.Option("--requests", help="List the requests and how far they are.")] = False,
    resume: Annotated[int, typer.Option(min=0, metavar="REQUEST", help="Begin a paused request.")] = 0,
    pause: Annotated[int, typer.Option(min=0, metavar="REQUEST", help="Pause a request.")] = 0,
    cancel: Annotated[int, typer.Option(min=0, metavar="REQUEST", help="End a request; what was done stays done.")] = 0,
    config: Config = None,
    store: Store = "",
) -> None:
    """Map stored records again, after a map or a setting was mended. Counts first, and asks.

    Safe by construction: ids come from the records' own keys, so a replay is an update and unchanged content makes no new version.
    Works beside a running hub, which then does the work, or alone.

    Example: yitong replay --data /srv/yitong --channel cty-lis --state dead --dry-run
    """
    from hub.cli.replay import Wanted, change_request, list_requests, run_replay
    from hub.ingest.messages import Query
    from hub.store.opening import choose

    choose(store)
    if requests:
        raise typer.Exit(list_requests(data))
    if resume or pause or cancel:
        raise typer.Exit(change_request(data, resume=resume, pause=pause, cancel=cancel))
    query = Query(
        source=channel,
        kind=kind,
        state=state,
        cause=cause,
        control_id=control_id,
        patient=patient,
        text=text,
        since=since,
        until=until,
    )
    raise typer.Exit(run_replay(data, Wanted(tuple(seq or ()), query, rate, paused), dry_run=dry_run, yes=yes, config=config))


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="NDJSON, a resource with its id in each line.", exists=True, dir_okay=False)],
    data: Annotated[Path | None, typer.Option("--data", help="The folder of a hub that does not run.", file_okay=False)] = None,
    url: Annotated[str, typer.Option(help="Of a running hub: http://hub:8000")] = "",
    token: Annotated[str, typer.Option(envvar="YITONG_TOKEN", help="For --url; better in the environment.")] = "",
    facility: Annotated[str, typer.Option(help="With --data: whose records they are; default: as their tags say.")] = "",
    errors: Annotated[Path | None, typer.Option(help="Where to write what was refused; default: FILE.outcomes.ndjson")] = None,
    config: Config = None,
    store: Store = "",
) -> None:
    """Bring NDJSON into a hub, thousands of resources a second, each as a PUT under its own id.

    Killed and run again it goes on where it was; the same file again makes no new version. A line that is refused stops nothing:
    what was wrong with it, without its values, is written to --errors. Exit 0 if every line is stored, 1 if some were refused.

    Example: yitong import --data /srv/yitong patients.ndjson results.ndjson
    """
    from hub.cli.importing import import_into_folder, import_over_http
    from hub.store.opening import choose

    choose(store)
    if bool(data) == bool(url):
        _fail("say --data of a hub that does not run, or --url of one that does")
    if data:
        raise typer.Exit(import_into_folder(data, files, facility=facility, errors=errors, config=config))
    raise typer.Exit(import_over_http(url, token, files, errors=errors))


@app.command()
def export(
    to: Annotated[Path, typer.Argument(help="A folder; files that are there are not written over.", file_okay=False)],
    url: Annotated[str, typer.Option(help="Of a running hub: http://hub:8000")],
    token: Annotated[str, typer.Option(envvar="YITONG_TOKEN", help="Better in the environment, which others cannot read.")] = "",
    types: Annotated[str, typer.Option("--type", help="Patient,Observation …; default: all that the token may read.")] = "",
    since: Annotated[str, typer.Option(help="Only what changed since: 2026-05-01T00:00:00+08:00")] = "",
    patients: Annotated[bool, typer.Option("--patients", help="Only what lies in a patient's compartment.")] = False,
) -> None:
    """Write everything that a token may read into NDJSON files, as it was when the export began.

    Example: yitong export --url http://hub:8000 --type Patient,Observation /mnt/export
    """
    from hub.cli.exporting import export_to

    raise typer.Exit(export_to(to, url, token, types=types, since=since, patients=patients))


@app.command()
def backup(
    data: Data,
    to: Annotated[Path, typer.Option("--to", help="A new folder; it is there whole or not at all.", file_okay=False)],
) -> None:
    """Copy the data folder while the hub runs: records, journal, originals, accounts and keys, as of one moment.

    Of a hub on MongoDB the folder holds no records: copy those first, by mongodump --oplog (docs/guides/backup.md).

    Example: yitong backup --data /srv/yitong --to /mnt/backup/yitong-2026-05-01
    """
    from hub.cli.backup import run_backup

    raise typer.Exit(run_backup(data, to))


@app.command()
def check(
    data: Data,
    everything: Annotated[bool, typer.Option("--all", help="Every resource and every original, not a sample.")] = False,
    sample: Annotated[int, typer.Option(min=1, help="How many resources to extract again, at random.")] = 10_000,
    config: Config = None,
    store: Store = "",
) -> None:
    """Is everything there, sound and searchable: of a running hub or of a backup. Exit 0 all well, 1 if something is wrong.

    Example: yitong check --data /mnt/backup/yitong-2026-05-01 --all
    """
    from hub.cli.check import run_check
    from hub.store.opening import choose

    choose(store)
    raise typer.Exit(run_check(data, everything=everything, sample=sample, config=config))


@token_app.command("create")
def token_create(
    data: Data,
    name: Annotated[str, typer.Option(help="Who holds it; the audit names them so.")],
    role: Annotated[str, typer.Option(help="admin, it, clinician, reader, system, bureau or resident.")],
    facility: Annotated[str, typer.Option(help="Code of the facility the holder works for, as in county.toml.")] = "",
    patient: Annotated[str, typer.Option(help="Of a resident: the id of their own Patient.")] = "",
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it is valid.")] = 365,
    store: Store = "",
) -> None:
    """Make a bearer token. It is shown once, alone on the last line; the hub keeps only its hash.

    A clinician or reader sees persons whom --facility treats; without --facility they see no patients at all. A resident sees
    their own record and who looked at it, a bureau figures without patients.
    """
    from hub.cli.tokens import create_token
    from hub.store.opening import choose

    choose(store)
    create_token(data, name=name, role=role, facility=facility, days=days, patient=patient)


@token_app.command("list")
def token_list(data: Data, store: Store = "") -> None:
    """Who has a token, for which role and facility, until when. Never the tokens."""
    from hub.cli.tokens import list_tokens
    from hub.store.opening import choose

    choose(store)
    list_tokens(data)


@token_app.command("revoke")
def token_revoke(
    data: Data, token_id: Annotated[str, typer.Argument(help="The id that `token list` shows.")], store: Store = ""
) -> None:
    """End a token at once."""
    from hub.cli.tokens import revoke_token
    from hub.store.opening import choose

    choose(store)
    revoke_token(data, token_id)


def main() -> None:
    """Entry point: an error of ours is one clear line, not a traceback."""
    try:
        app()
    except HubError as error:
        _fail(error.message)
    except OSError as error:
        if error.filename is None:
            raise
        _fail(f"{error.filename}: {(error.strerror or type(error).__name__).lower()}")


def _fail(message: str) -> NoReturn:
    err.print(f"yitong: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(2)
