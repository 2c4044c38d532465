"""`yitong export`: kick-off, waiting, and the files of a running hub's `$export`, each counted."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import httpx

from hub.cli.progress import Bar
from hub.errors import HubError, Invalid, Unavailable

LOOK_SECONDS = 0.5
SECONDS = httpx.Timeout(30.0, read=600.0)
ASYNC = {"prefer": "respond-async"}


def export_to(to: Path, url: str, token: str, *, types: str, since: str, patients: bool) -> int:
    to.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(to.glob("*.ndjson")):
        raise Invalid(f"{to} holds an export already")
    asked = {name: value for name, value in (("_type", types), ("_since", since)) if value}
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=SECONDS) as client:
        try:
            manifest = _manifest(client, "/fhir/Patient/$export" if patients else "/fhir/$export", asked)
            count = sum(_fetched(client, file, to, number) for number, file in enumerate(_files(manifest), 1))
        except httpx.HTTPError as error:
            raise Unavailable(f"the hub does not answer ({type(error).__name__})") from None
    sys.stdout.write(f"{count} resources, as of {manifest['transactionTime']}, in {to}\n")
    return 0


def _manifest(client: httpx.Client, path: str, asked: dict[str, str]) -> dict[str, Any]:
    answer = _checked(client.get(path, params=asked, headers=ASYNC), 202)
    address = httpx.URL(answer.headers["content-location"]).path
    with Bar("exporting") as bar:
        while (answer := client.get(address)).status_code == 202:
            number = answer.headers.get("x-progress", "").partition(" ")[0]
            bar.told(0, None, int(number) if number.isdecimal() else 0)
            time.sleep(LOOK_SECONDS)
    return dict(_checked(answer, 200).json())


def _files(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return [*manifest["output"], *({**file, "type": "Deleted"} for file in manifest["deleted"])]


def _fetched(client: httpx.Client, file: dict[str, Any], to: Path, number: int) -> int:
    """How many lines it holds. Raise HubError if they are not those of the manifest."""
    path, count = to / f"{number:03d}.{file['type']}.ndjson", 0
    with client.stream("GET", httpx.URL(file["url"]).path) as answer, path.open("xb") as stream:
        if answer.status_code != 200:
            raise HubError(f"the hub answered {answer.status_code} for a file")
        for piece in answer.iter_bytes():
            stream.write(piece)
            count += piece.count(b"\n")
    if count != file["count"]:
        raise HubError(f"{path.name} holds {count} lines, and should hold {file['count']}")
    return count


def _checked(answer: httpx.Response, wanted: int) -> httpx.Response:
    if answer.status_code == wanted:
        return answer
    try:
        said = answer.json()["issue"][0]["diagnostics"]
    except (ValueError, LookupError, TypeError):
        said = "no reason given"
    raise HubError(f"the hub answered {answer.status_code}: {said}")
